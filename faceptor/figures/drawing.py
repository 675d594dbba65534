"""Overlays on photographs: landmarks by group, class maps as colours. cv2 is imported only when something is drawn."""

from __future__ import annotations

import colorsys
from itertools import pairwise

import numpy as np

from faceptor.datasets.labels import LandmarkScheme
from faceptor.figures.plots import PALETTE

_FRACTION_BITS = 4  # of cv2's coordinates: points are drawn between pixels


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def class_colours(count: int) -> np.ndarray:
    """(count, 3) uint8 RGB, class 0 black. The first eight are Okabe-Ito; later ones walk the hue circle by the
    golden angle in alternating lightness, because colour-blind readers tell lightness apart where hue fails. They begin
    where nineteen classes are farthest apart."""
    fixed = [_rgb(colour) for colour in PALETTE]
    more = [
        tuple(round(255 * c) for c in colorsys.hls_to_rgb((0.8 + i * 0.618034) % 1, (0.5, 0.75, 0.3)[i % 3], 0.75))
        for i in range(max(count - 1 - len(fixed), 0))
    ]
    return np.asarray([(0, 0, 0), *fixed, *more][:count], np.uint8)


def blend_classes(
    canvas: np.ndarray, classes: np.ndarray, count: int, *, opacity: float = 0.5, background: int = 0
) -> np.ndarray:
    """(H, W, 3) uint8 RGB with the (H, W) class map laid over it; the background, and what is no class, stay as they
    are."""
    classes = np.where(classes < count, classes, background)
    colours = class_colours(count)[classes].astype(np.float32)
    weight = np.where(classes == background, 0.0, opacity)[..., None].astype(np.float32)
    return np.rint(canvas * (1 - weight) + colours * weight).astype(np.uint8)


def draw_points(canvas: np.ndarray, points: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    """Dots, and lines along each named group (closed for eyes and lips), on a copy of the canvas."""
    import cv2

    canvas = np.ascontiguousarray(canvas).copy()
    extent = float(np.ptp(points, axis=0).max())
    thickness, radius = max(1, round(extent / 250)), max(1.0, extent / 120)
    fixed = np.rint(points * 2**_FRACTION_BITS).astype(np.int32)
    colours = dict.fromkeys(range(len(points)), _rgb(PALETTE[2]))
    for index, (name, (first, last)) in enumerate(scheme.groups.items()):
        members, colour = list(range(first, last + 1)), _rgb(PALETTE[index % len(PALETTE)])
        colours.update(dict.fromkeys(members, colour))
        closing = [(last, first)] if name.endswith(("eye", "lip")) else []
        for start, end in [*pairwise(members), *closing]:
            cv2.line(canvas, fixed[start].tolist(), fixed[end].tolist(), colour, thickness, cv2.LINE_AA, _FRACTION_BITS)
    for index, point in enumerate(fixed.tolist()):
        cv2.circle(canvas, point, round(radius * 2**_FRACTION_BITS), colours[index], -1, cv2.LINE_AA, _FRACTION_BITS)
    return canvas


AXIS_COLOURS = (PALETTE[1], PALETTE[2], PALETTE[0])  # the head's x, its down, where its nose points


def draw_axes(canvas: np.ndarray, origin: np.ndarray, axes: np.ndarray, length: float) -> np.ndarray:
    """Three axes seen along z, on a copy of the canvas. What points at the viewer is drawn last.

    origin: (2,) xy pixels; axes: (3, 3), rows are directions with x to the right, y down, z towards the viewer; length:
    pixels.
    """
    import cv2

    canvas = np.ascontiguousarray(canvas).copy()
    thickness = max(1, round(length / 25))
    start = np.rint(origin * 2**_FRACTION_BITS).astype(int).tolist()
    for index in np.argsort(axes[:, 2], kind="stable"):
        end = np.rint((origin + length * axes[index, :2]) * 2**_FRACTION_BITS).astype(int).tolist()
        for width, colour in ((thickness + 2, (255, 255, 255)), (thickness, _rgb(AXIS_COLOURS[index]))):
            cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, _FRACTION_BITS)
    return canvas
