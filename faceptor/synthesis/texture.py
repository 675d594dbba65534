"""The head's skin as a flat picture over its mesh: `texels` pixels to a mesh cell in both directions."""

import cv2
import numpy as np

from faceptor.synthesis.canvas import SKIN, Canvas, Stroke, reach
from faceptor.synthesis.features import Features
from faceptor.synthesis.hair import paint_hair
from faceptor.synthesis.head import COLUMNS, ROWS, Head
from faceptor.synthesis.palette import Palette
from faceptor.synthesis.skin import skin_strokes

_CELLS_PER_UNIT = 9.5
"""Mesh cells to a head unit around nose and eyes, where cells are nearly square."""


def paint_head(head: Head, features: Features, colours: Palette, *, texels: int, rng: np.random.Generator) -> Canvas:
    """Unlit colour and class of the head's texture; mesh point (i, j) is the centre of pixel (i, j) * texels."""
    size = (COLUMNS - 1) * texels + 1, (ROWS - 1) * texels + 1
    grain = cv2.resize(rng.standard_normal((24, 24)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    grain = 1 + 0.015 * (1 + head.aged) * grain
    canvas = Canvas(np.multiply.outer(colours.skin.astype(np.float32), grain))
    canvas.classes[:] = SKIN
    unit = texels * _CELLS_PER_UNIT
    _paint(canvas, skin_strokes(head, features, colours, rng), head, texels=texels, unit=unit)
    paint_hair(canvas, head, colours, texels=texels, unit=unit, rng=rng)
    return canvas


def _paint(canvas: Canvas, strokes: list[Stroke], head: Head, *, texels: int, unit: float) -> None:
    """Paint strokes in order. All their points are located at once: small calls would cost more than the painting."""
    located = head.locate(np.concatenate([stroke.points for stroke in strokes]))
    uv, first = [], 0
    for stroke in strokes:
        uv += [stroke.around, located[first : first + len(stroke.points)]]
        first += len(stroke.points)
    places = head.texel(np.concatenate(uv)) * texels
    counts = [len(stroke.around) + len(stroke.points) for stroke in strokes]
    reaches = [reach(stroke.line * unit, stroke.soft * unit) for stroke in strokes]
    window, first = None, 0
    for stroke, outline, count in zip(strokes, canvas.outlines(places, counts, reaches), counts, strict=True):
        first += count
        if stroke.cls is not None:
            window = places[first - count : first]
        canvas.fill(
            outline,
            stroke.colour,
            stroke.cls,
            alpha=stroke.alpha,
            soft=stroke.soft * unit,
            line=stroke.line * unit,
            within=window if stroke.within else None,
        )
