"""What lies behind the head: long hair, neck, clothes. Neck and shoulders stay upright whatever the head does."""

import numpy as np

from faceptor.synthesis.canvas import CLOTH, HAIR, NECK, NECKLACE, Canvas
from faceptor.synthesis.palette import CLOTHES, TIES, Palette
from faceptor.synthesis.view import View

_HAIR_DROP = {"medium": 0.9, "long": 2.0}
# Sideways swing of the mane's edge in head units, and waves to a head unit of its length.
_WAVES = {"straight": (0.0, 0.0), "wavy": (0.06, 1.1), "curly": (0.09, 2.3)}
_SHOULDER_ROLL_SHARE = 0.3  # share of the head's roll that the shoulders follow


def paint_body(canvas: Canvas, view: View, colours: Palette) -> None:
    face, head = view.face, view.head
    neck, shoulder = 0.60 + 0.1 * face.male + 0.04 * head.fat, 1.75 + 0.35 * face.male
    clothes = _mirrored([[neck * 0.95, 0.55], [shoulder * 0.8, 0.95], [shoulder, 1.4], [shoulder * 1.1, 6]])
    _fill(canvas, view, clothes, CLOTHES[face.texture % len(CLOTHES)], CLOTH, shade=(1.05, 0.75))
    if face.hair_length != "short" and not face.bald:
        canvas.fill(view.at(_mane(view)), colours.hair * 0.72, HAIR, shade=(1.0, 0.85))
    throat = _mirrored([[neck, -0.9], [neck * 0.95, 0.5], [neck * 1.15, 0.68], [0.05, 1.15]])
    _fill(canvas, view, throat, colours.skin * 0.72, NECK, shade=(0.8, 1.15))
    if head.double_chin:
        fold = view.at(_double_chin(view))
        canvas.fill(fold, colours.skin * 0.66, NECK, shade=(1.3, 1.0))
        canvas.fill(fold[2:-2], colours.shadow * 0.8, line=0.03 * view.unit, soft=0.012 * view.unit)
    if face.necktie:
        collar = [[0, 1.05], [neck * 1.1, 0.3], [neck * 1.25, 0.75], [0.1, 1.5]]
        _fill(canvas, view, _mirrored(collar), (236, 236, 238), CLOTH)
        tie = [[0.17, 0.85], [0.12, 1.15], [0.3, 3.5]]
        _fill(canvas, view, _mirrored(tie), TIES[face.texture % len(TIES)], CLOTH)
    if face.necklace:
        s = np.linspace(-1, 1, 13)
        chain = np.stack([s * neck * 1.05, 0.72 - 0.5 * s**2], axis=1)
        _fill(canvas, view, chain, (236, 206, 110), NECKLACE, line=0.13 * view.unit)


def _fill(canvas: Canvas, view: View, points: np.ndarray, colour, cls: int, **options) -> None:
    """Paint points given in head units about the base of the neck."""
    tilt = np.deg2rad(view.face.roll * _SHOULDER_ROLL_SHARE)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    base = view.at([0.0, view.head.rest_chin * 0.9, -0.35])
    canvas.fill(points @ turn.T * view.unit + base, colour, cls, **options)


def _mirrored(half: list) -> np.ndarray:
    """Closed symmetric polygon from its image-right half."""
    right = np.array(half, float)
    return np.concatenate([right, (right * [-1, 1])[::-1]])


def _double_chin(view: View) -> np.ndarray:
    """(N, 3) half ellipse of skin that hangs below the chin and turns with the head."""
    head, s = view.head, np.linspace(0, np.pi, 17)
    deep = 0.16 + 0.06 * (head.fat - 1.1)
    x, y = 0.62 * head.jaw * np.cos(s), head.chin - 0.12 + (0.12 + deep) * np.sin(s)
    return np.stack([x, y, np.full_like(s, 0.75)], axis=1)


def _mane(view: View) -> np.ndarray:
    """(N, 3) outline of medium or long hair behind the head."""
    face, wide = view.face, view.head.width * (1.05 + 0.25 * view.face.hair_volume)
    drop = _HAIR_DROP[face.hair_length]
    s = np.linspace(0, np.pi, 15)
    cap = np.stack([-wide * np.cos(s), -0.45 - 1.0 * np.sin(s), np.full(15, -0.5)], axis=1)
    down = np.linspace(0, 1, 25)
    swing, waves = _WAVES[face.person.hair_texture]
    x = wide * (1.05 - 0.03 * down) + swing * np.sin(2 * np.pi * waves * down * (drop + 0.5))
    edge = np.stack([x, drop * down - 0.4 * (1 - down), np.full_like(down, -0.35)], axis=1)
    right = np.concatenate([edge, [[wide * 0.7, drop + 0.25, -0.3]]])
    return np.concatenate([cap, right, (right * [-1, 1, 1])[::-1]])
