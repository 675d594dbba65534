"""Hair and hat on the head: where they begin, how far they stand off the skull, how they are painted."""

import cv2
import numpy as np

from faceptor.synthesis.canvas import HAIR, HAT, Canvas
from faceptor.synthesis.head import COLUMNS, Head, columns, smoothstep
from faceptor.synthesis.palette import Palette, hat_colour

_ANGLES = columns()
# Strand noise: rows and columns of the coarse grid stretched over the head (tall cells look straight); contrast.
_STRANDS = {"straight": (3, 70, 0.12), "wavy": (12, 28, 0.26), "curly": (28, 28, 0.38)}
# How much fuller textured hair stands, and how uneven its edge is, head units.
_EXTRA_THICKNESS = {"straight": 0.0, "wavy": 0.06, "curly": 0.15}
_EDGE_ROUGHNESS = {"straight": 0.015, "wavy": 0.045, "curly": 0.08}
_SIDE_LENGTH = {"short": 0.0, "medium": 0.35, "long": 0.5}
BRIM_ROW = -0.68


def hairline(head: Head) -> np.ndarray:
    """(COLUMNS,) row `v` above which the head carries hair, per mesh column."""
    face, angle = head.face, np.abs(_ANGLES)
    if face.bald:  # a wreath around the back of the head
        bare = head.crown - 1
        return np.interp(angle, [0, 1.25, 1.4, 1.6, 1.9, 2.75], [bare, bare, -0.35, -0.05, 0.7, 0.9])
    edge = -0.98 + 0.05 * face.person.hairline
    middle, temple, peak = edge - 0.35 * face.receding, edge - 0.55 * face.receding, 0.06
    if face.bangs:
        middle = temple = -0.40
        peak = 0.0
    side = _SIDE_LENGTH[face.hair_length] + 0.3 * face.sideburns
    return np.interp(
        angle,
        [0, 0.35, 0.8, 1.08, 1.22, 1.36, 1.6, 1.8, 2.0, 2.75],
        [middle + peak, middle, temple + 0.06, -0.58, -0.3, 0.15 + side, 0.1 + side, 0.3 + side, 0.95, 1.05],
    )


def standing_off(head: Head) -> np.ndarray:
    """(ROWS, COLUMNS) factor by which hair or hat pushes the mesh away from the origin."""
    face, rows = head.face, head.rows[:, None]
    lift = smoothstep(hairline(head) - rows, 0.0, 0.3)
    volume = 0.03 if face.bald else 0.05 + 0.11 * face.hair_volume + _EXTRA_THICKNESS[face.person.hair_texture]
    if face.hat:
        rim = np.interp(np.abs(_ANGLES), [0, 1.4, 2.75], [-0.65, -0.4, -0.35])
        lift = np.maximum(lift * 0.05, smoothstep(rim - rows, -0.05, 0.1))
        volume = 0.16
    return 1 + volume * lift


def paint_hair(
    canvas: Canvas, head: Head, colours: Palette, *, texels: int, unit: float, rng: np.random.Generator
) -> None:
    """Paint on the head's texture, `texels` to a mesh cell and `unit` to a head unit."""
    face, (height, width) = head.face, canvas.classes.shape
    uneven = 0.0 if face.bald else _EDGE_ROUGHNESS[face.person.hair_texture]
    line = hairline(head) + uneven * rng.standard_normal(COLUMNS)
    canvas.fill(_above(head, line, texels), colours.hair, HAIR, alpha=0.97, soft=0.02 * unit)
    rows, cols, contrast = _STRANDS[face.person.hair_texture]
    coarse = rng.standard_normal((rows, cols)).astype(np.float32)
    # Hair covers the upper rows of the texture; nothing below the lowest hairy row needs strands.
    hairy = canvas.classes == HAIR
    lowest = int(np.flatnonzero(hairy.any(axis=1)).max(initial=-1)) + 1
    strands = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[:lowest]
    strands *= hairy[:lowest]
    canvas.planes[:, :lowest] *= 1 + contrast * strands
    if face.hat:
        rim = -0.62 if face.hat == "beanie" else BRIM_ROW
        edge = np.interp(np.abs(_ANGLES), [0, 1.4, 2.75], [rim, rim + 0.25, rim + 0.3])
        area = _above(head, edge, texels)
        canvas.fill(area, hat_colour(face), HAT)
        canvas.fill(area[:COLUMNS] - [0, 1.2 * texels], hat_colour(face) * 0.6, line=0.05 * unit, alpha=0.8)


def _above(head: Head, line: np.ndarray, texels: int) -> np.ndarray:
    """Polygon in texels of everything above a row per column; its first COLUMNS points are the line itself."""
    curve = head.texel(np.stack([_ANGLES, line], axis=1)) * texels
    return np.concatenate([curve, [[(COLUMNS - 1) * texels + 1, -2], [0, -2]]])
