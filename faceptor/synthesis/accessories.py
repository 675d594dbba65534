"""What sits on or hides the head: ears and earrings, glasses, brims of hats, a hand or a bar in front."""

import numpy as np

from faceptor.synthesis.canvas import BACKGROUND, EAR_L, EAR_R, EARRING, EYES_AND_BROWS, GLASSES, HAT, Canvas
from faceptor.synthesis.hair import BRIM_ROW
from faceptor.synthesis.palette import FRAMES, THIN_FRAME, Palette, hat_colour
from faceptor.synthesis.view import View

_CIRCLE_ANGLES = np.linspace(0, 2 * np.pi, 28)
_IS_EYE_OR_BROW = np.isin(np.arange(256), EYES_AND_BROWS)
_EAR_ANGLE = 1.62  # of the ear's root on the head surface, radians
_SHELL = np.linspace(0, 2 * np.pi, 18)  # around an ear
_SHELL_COS, _SHELL_SIN = np.cos(_SHELL), np.sin(_SHELL)
_OCCLUDER_CLASS = 255  # painted as this class while drawing, then found and set to background
_EARS = np.array([[-_EAR_ANGLE, _EAR_ANGLE], [0.2, 0.2]])  # u and v of their roots, image-left and image-right


def ears_in_front(view: View) -> np.ndarray:
    """(2,) bool: the image-left and image-right ear face the camera, so that they are painted after the head."""
    return view.head.facing(*_EARS) > 0.1


def paint_ears(canvas: Canvas, view: View, colours: Palette, chosen: np.ndarray) -> None:
    """Paint the `chosen` (2,) of the image-left and image-right ear, with what hangs from them."""
    for side in np.array([-1, 1])[chosen]:
        _ear(canvas, view, colours, side)


def _ear(canvas: Canvas, view: View, colours: Palette, side: int) -> None:
    face, head = view.face, view.head
    thick = face.hair_length == "medium" and face.hair_volume > 0.4
    covered = not face.bald and (face.hair_length == "long" or thick)
    root_x, _, root_z = head.surface(side * _EAR_ANGLE, 0.3, bumps=False)
    size = 1 + 0.07 * face.person.ear_size
    stand_off = (0.08 + 0.2 * (0.6 + 0.4 * _SHELL_COS)) * size * (0.75 + 0.21 * _SHELL_SIN)
    shell = np.stack([root_x + side * stand_off, 0.24 - 0.38 * size * _SHELL_SIN, root_z - 0.12 + 0.16 * _SHELL_COS], 1)
    if not covered:
        canvas.fill(view.at(shell), colours.skin * 0.88, EAR_L if side < 0 else EAR_R)
        inner = shell.mean(0) + (shell - shell.mean(0)) * 0.55
        canvas.fill(view.at(inner), colours.shadow, alpha=0.45, soft=0.02 * view.unit)
    if face.earrings:
        lobe = np.array([root_x + side * 0.12, 0.24 + 0.46 * size, root_z - 0.08])
        drop = lobe + np.stack([0.09 * _SHELL_COS, 0.12 * _SHELL_SIN, np.zeros_like(_SHELL)], axis=1)
        canvas.fill(view.at(drop), (240, 212, 120), EARRING)


def paint_accessories(canvas: Canvas, view: View, colours: Palette) -> None:
    if view.face.eyeglasses or view.face.sunglasses:
        _glasses(canvas, view)
    if view.face.hat in _BRIMS:
        _brim(canvas, view)


def paint_occluder(canvas: Canvas, view: View, colours: Palette) -> np.ndarray:
    """Paint what the camera sees in front of the face, if anything; returns where, (H, W) bool."""
    if view.face.occluder:
        _OCCLUDERS[view.face.occluder](canvas, view, colours)
    covered = canvas.classes == _OCCLUDER_CLASS
    canvas.classes[covered] = BACKGROUND
    return covered


def _glasses(canvas: Canvas, view: View) -> None:
    face, head = view.face, view.head
    half_width, half_height = (0.33, 0.25) if face.sunglasses else (0.30, 0.215)
    frame = FRAMES[face.glasses_colour % len(FRAMES)]
    line = max(1.0, (0.045 if face.glasses_colour == THIN_FRAME else 0.055) * view.unit)
    front = float(head.surface(0.0, 0.02)[2]) + 0.02
    power = 1.0 - 0.55 * face.glasses_style  # superellipse: round to square
    rim = np.stack([np.cos(_CIRCLE_ANGLES), np.sin(_CIRCLE_ANGLES)], axis=1)
    rim = np.sign(rim) * np.abs(rim) ** power * [half_width, half_height]
    for side in (-1, 1):
        x = side * head.eye_x + rim[:, 0]
        lens = np.stack([x, 0.03 + rim[:, 1], front - 0.28 * np.maximum(0, np.abs(x) - 0.2) ** 1.5], axis=1)
        glass = view.at(lens)
        if face.sunglasses:
            canvas.fill(glass, (22, 20, 24), GLASSES, alpha=0.94, shade=(0.7, 2.2))
        else:
            seen_through = canvas.classes.copy()  # eyes and brows behind clear glass keep their class
            canvas.fill(glass, (235, 242, 250), GLASSES, alpha=0.10)
            np.copyto(canvas.classes, seen_through, where=_IS_EYE_OR_BROW[seen_through])
        canvas.fill(glass, frame, GLASSES, line=line)
        if head.facing(side * 1.3, 0.0) > 0.05:  # the temple on this side is in view
            ear = head.surface(side * 1.55, 0.0, bumps=False)
            hinge = lens[0 if side > 0 else len(lens) // 2]
            canvas.fill(view.at(np.stack([hinge, [ear[0] * 1.02, -0.08, ear[2]]])), frame, line=line)
    inner = head.eye_x - half_width
    bridge = [[-inner, -0.03, front], [0, -0.07, front + 0.02], [inner, -0.03, front]]
    canvas.fill(view.at(bridge), frame, GLASSES, line=line)


# Angles the brim spans, and how it reaches outwards, downwards and forwards.
_BRIMS = {"cap": (np.linspace(-1.3, 1.3, 15), 1.0, 0.06, 1.55), "brim": (np.linspace(-2.4, 2.4, 25), 1.5, 0.0, 1.5)}


def _brim(canvas: Canvas, view: View) -> None:
    angles, sideways, down, forward = _BRIMS[view.face.hat]
    inner = view.head.surface(angles, np.full(len(angles), BRIM_ROW - 0.04), bumps=False) * [1.1, 1.0, 1.1]
    outer = inner * [sideways, 1.0, forward] + [0.0, down, 0.0]
    canvas.fill(view.at(np.concatenate([inner, outer[::-1]])), hat_colour(view.face) * 0.7, HAT)


def _bar(canvas: Canvas, view: View, colours: Palette) -> None:
    side = _occluded_side(view)
    quad = np.array([[0.2, -1.6, 1.5], [0.65, -1.6, 1.5], [0.8, 2.2, 1.5], [0.35, 2.2, 1.5]]) * [side, 1, 1]
    canvas.fill(view.at(quad), (90, 84, 80), _OCCLUDER_CLASS)


def _hand(canvas: Canvas, view: View, colours: Palette) -> None:
    side = _occluded_side(view)
    x, y = side * 0.75 + 0.38 * np.cos(_CIRCLE_ANGLES), 1.35 + 0.34 * np.sin(_CIRCLE_ANGLES)
    palm = np.stack([x, y, np.full_like(x, 1.4)], axis=1)
    canvas.fill(view.at(palm), colours.skin * 0.92, _OCCLUDER_CLASS)
    for i in range(4):
        x = 0.5 + 0.15 * i
        finger = np.array([[x, 1.2, 1.4], [x - 0.12, 0.62, 1.4]]) * [side, 1, 1]
        canvas.fill(view.at(finger), colours.skin * (0.86 + 0.02 * i), _OCCLUDER_CLASS, line=0.13 * view.unit)


def _occluded_side(view: View) -> int:
    return 1 if view.face.texture % 2 else -1


_OCCLUDERS = {"bar": _bar, "hand": _hand}
