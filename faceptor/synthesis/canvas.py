"""A picture and its class map, painted together, so that a label can never disagree with what is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import cv2
import numpy as np

from faceptor.datasets.labels import CELEBAMASK_19

(
    BACKGROUND, NECK, SKIN, CLOTH, EAR_L, EAR_R, BROW_L, BROW_R, EYE_L, EYE_R, NOSE, MOUTH, LOWER_LIP, UPPER_LIP,
    HAIR, GLASSES, HAT, EARRING, NECKLACE,
) = range(len(CELEBAMASK_19))  # fmt: skip
"""CelebAMask-HQ classes in the order of `CELEBAMASK_19`; L is the image-left side."""
EYES_AND_BROWS = (BROW_L, BROW_R, EYE_L, EYE_R)

NO_POINTS = np.empty((0, 2))
Colour = Sequence[float] | np.ndarray
_COARSE_SIGMA_PIXELS = 3.0  # standard deviation in pixels from which blurred masks are painted coarsely
_SUBPIXEL_BITS = 4  # bits of sub-pixel position handed to OpenCV


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """One thing painted on the skin. Lengths are head units; `line` > 0 makes the points a line of that width."""

    points: np.ndarray  # (N, 2) x, y in the frontal plane of the head
    around: np.ndarray = field(default_factory=lambda: NO_POINTS)  # (M, 2) u, v on the head, before `points`
    colour: Colour = (0.0, 0.0, 0.0)
    alpha: float = 1.0  # 0 paints the class alone
    cls: int | None = None
    line: float = 0.0
    soft: float = 0.0  # standard deviation of the edge
    within: bool = False  # only inside the last stroke that painted a class


class Outline(NamedTuple):
    """Points on a canvas: the pixel box x0, y0, x1, y1 that filling them may change, and where in it they lie."""

    box: list[int]  # empty outside of the picture
    points: np.ndarray  # (N, 2) xy from the corner of the box
    fixed: np.ndarray  # the same as OpenCV takes them


class Canvas:
    """Float RGB picture as three planes (3, H, W) and its classes (H, W) uint8."""

    def __init__(self, planes: np.ndarray) -> None:
        self.planes = planes
        self.classes = np.zeros(planes.shape[1:], np.uint8)

    def fill(
        self,
        points: np.ndarray | Outline,
        colour: Colour = (0, 0, 0),
        cls: int | None = None,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        line: float = 0.0,
        shade: tuple[float, float] | None = None,
        within: np.ndarray | None = None,
    ) -> None:
        """Blend a polygon (a polyline where `line` is a width) of xy pixel points, clipped to the polygon `within`.

        `soft` blurs the edge of the colour, not of the class; `shade` scales the colour from top to bottom.
        """
        if not isinstance(points, Outline):
            (points,) = self.outlines(np.asarray(points, float), [len(points)], [reach(line, soft)])
        x0, y0, x1, y1 = points.box
        if x1 <= x0 or y1 <= y0 or (alpha == 0 and cls is None):
            return
        if cls is None and soft > _COARSE_SIGMA_PIXELS and within is None:
            mask = _soft_mask(points.points, y1 - y0, x1 - x0, line, soft)
        else:
            mask = _mask(points.fixed, y1 - y0, x1 - x0, line)
            if within is not None:
                mask &= _mask(_fixed(within - (x0, y0)), y1 - y0, x1 - x0)
            if cls is not None:
                self.classes[y0:y1, x0:x1][mask > 127] = cls
            if soft > 0.4:
                mask = cv2.GaussianBlur(mask, (0, 0), soft)
        if alpha == 0:
            return
        weight = mask * np.float32(alpha / 255)
        planes = self.planes[:, y0:y1, x0:x1]
        colour = np.asarray(colour, np.float32)[:, None, None]
        if shade is not None:
            colour = colour * np.linspace(*shade, y1 - y0, dtype=np.float32)[:, None]
        change = colour - planes
        change *= weight
        planes += change

    def outlines(self, points: np.ndarray, counts: Sequence[int], reaches: Sequence[float]) -> list[Outline]:
        """What to `fill`, for the first of `counts` points, the next and so on, each with its `reach`; all at once."""
        ends = list(accumulate(counts))
        starts, pad = [0, *ends[:-1]], np.array(reaches)[:, None]
        low = np.maximum((np.minimum.reduceat(points, starts) - pad).astype(int), 0)
        high = np.minimum((np.maximum.reduceat(points, starts) + pad).astype(int) + 2, self.classes.shape[::-1])
        points = points - np.repeat(low, counts, axis=0)
        fixed, boxes = _fixed(points), np.concatenate([low, high], axis=1).tolist()
        return [
            Outline(box, points[first:last], fixed[first:last])
            for box, first, last in zip(boxes, starts, ends, strict=True)
        ]


def reach(line: float, soft: float) -> float:
    """How far around its points a polygon or a line of that width, so blurred, may leave colour, pixels."""
    return 2 + line + 3 * soft


def _soft_mask(points: np.ndarray, height: int, width: int, line: float, soft: float) -> np.ndarray:
    """A blurred `_mask`, painted on a coarser grid: a wide blur leaves nothing that needs every pixel."""
    step = int(soft / _COARSE_SIGMA_PIXELS * 2)
    across, down = -(-width // step), -(-height // step)
    places = (points + 0.5) / step - 0.5
    mask = cv2.GaussianBlur(_mask(_fixed(places), down, across, line / step), (0, 0), soft / step)
    return cv2.resize(mask, (across * step, down * step), interpolation=cv2.INTER_LINEAR)[:height, :width]


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points as OpenCV takes them: whole numbers with `_SUBPIXEL_BITS` behind the point."""
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _mask(fixed: np.ndarray, height: int, width: int, line: float = 0.0) -> np.ndarray:
    """Antialiased cover (0..255) of a polygon or line."""
    mask = np.zeros((height, width), np.uint8)
    if line:
        cv2.polylines(mask, [fixed], False, 255, max(1, round(line)), cv2.LINE_AA, _SUBPIXEL_BITS)
    else:
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask
