"""SCRFD and RetinaFace from files that the user gives: networks with anchors, run by OpenCV.

Neither file comes with the package: their published weights are for non-commercial research. The layouts below are
those of the files that insightface (SCRFD, Guo et al. 2021, arXiv:2105.04714) and the common PyTorch version of
RetinaFace (Deng et al. 2020, arXiv:1905.00641) export. The picture lies in the upper left corner of a square of SIDE
pixels, enlarged or reduced to fill it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.predict.detectors.base import Detection, Sight, as_rgb, distinct, resized
from faceptor.predict.detectors.heads import detections_of
from faceptor.predict.detectors.network import Network, blob_of

SIDE = 640  # pixels of the network's input
STRIDES = (8, 16, 32)
MIN_SCORE = 0.5


@dataclass(frozen=True)
class OnnxDetector:
    """A detector from an ONNX file that takes one picture of SIDE x SIDE pixels."""

    path: Path
    min_score: float = MIN_SCORE
    name: ClassVar[str]
    remedy: ClassVar[str]

    @cached_property
    def _network(self) -> Network:
        return Network(self.path, what=self.name, remedy=self.remedy)

    def detect(self, image: np.ndarray, min_score: float | None = None) -> list[Detection]:
        """See `faceptor.predict.detectors.base.Detector`."""
        rgb, least = as_rgb(image), self.min_score if min_score is None else min_score
        height, width = rgb.shape[:2]
        scale = SIDE / max(height, width)
        small = resized(rgb, max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        answers = self._network(self.prepared(canvas))
        try:
            seen = self.decoded(answers)
        except (ValueError, KeyError, IndexError) as error:
            found = ", ".join(f"{name} {value.shape}" for name, value in answers.items())
            raise self._network.refusal(f"its outputs do not fit ({found})") from error
        seen = distinct(seen.rows(seen.scores >= least), min_score=least)
        return detections_of(seen.scaled(width / small.shape[1], height / small.shape[0]))

    @staticmethod
    def prepared(canvas: np.ndarray) -> np.ndarray:
        """(SIDE, SIDE, 3) uint8 RGB -> (1, 3, SIDE, SIDE) float32 as the network wants it."""
        raise NotImplementedError

    @staticmethod
    def decoded(answers: Mapping[str, np.ndarray]) -> Sight:
        """What the network sees in every anchor; ValueError where the arrays are not those of such a network."""
        raise NotImplementedError


class Scrfd(OnnxDetector):
    """SCRFD with five points: `scrfd_*_bnkps.onnx`, or `det_10g.onnx` of insightface's model packs.

    For each stride three arrays, in any order and with or without a leading 1: scores (n, 1), distances (n, 4) from the
    anchor to the left, top, right and bottom in strides, and points (n, 10) x, y likewise. Anchors stand two by two on
    the upper left pixels of the cells.
    """

    name = "scrfd"
    remedy = "give an SCRFD file with five points, e.g. scrfd_10g_bnkps.onnx or det_10g.onnx"

    @staticmethod
    def prepared(canvas: np.ndarray) -> np.ndarray:
        return (blob_of(canvas) - 127.5) / 128

    @staticmethod
    def decoded(answers: Mapping[str, np.ndarray]) -> Sight:
        boxes, scores, points = [], [], []
        arrays = _by_shape(answers)
        for stride in STRIDES:
            anchors = np.repeat(_cells(stride) * stride, 2, axis=0).astype(np.float64)
            score, distance, shift = (arrays[len(anchors), width] for width in (1, 4, 10))
            distance, shift = distance * stride, shift.reshape(-1, 5, 2) * stride
            boxes.append(np.concatenate([anchors - distance[:, :2], anchors + distance[:, 2:]], axis=1))
            scores.append(score[:, 0])
            points.append(anchors[:, None] + shift)
        return Sight(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points))


class RetinaFace(OnnxDetector):
    """RetinaFace as the PyTorch version exports it, with a MobileNet of quarter width or a ResNet-50.

    Three arrays (1, n, 4), (1, n, 2) and (1, n, 10), in any order: shifts of box centre (a tenth of the anchor's side)
    and logarithms of size (a fifth), probabilities of background and face, shifts of points (a tenth). Anchors are
    squares about the middles of the cells, two sizes a stride.
    """

    name = "retinaface"
    remedy = f"export RetinaFace to ONNX for one picture of {SIDE} x {SIDE} pixels, with boxes, scores and points"
    means: ClassVar = (123, 117, 104)  # R, G, B; the network takes B, G, R
    anchor_sides: ClassVar = ((16, 32), (64, 128), (256, 512))
    centre_step, size_step = 0.1, 0.2

    @staticmethod
    def prepared(canvas: np.ndarray) -> np.ndarray:
        return blob_of(canvas.astype(np.float32) - RetinaFace.means)[:, ::-1]

    @staticmethod
    def decoded(answers: Mapping[str, np.ndarray]) -> Sight:
        arrays = _by_shape(answers)
        centres, sides = _square_anchors(RetinaFace.anchor_sides)
        shift, score, points = (arrays[len(sides), width] for width in (4, 2, 10))
        step, sides = RetinaFace.centre_step, sides[:, None]
        middle = centres + shift[:, :2] * step * sides
        half = sides * np.exp(np.clip(shift[:, 2:] * RetinaFace.size_step, None, 10)) / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1) - 0.5
        places = centres[:, None] + points.reshape(-1, 5, 2) * step * sides[:, :, None] - 0.5
        return Sight(boxes, _face_probability(score), places)


# --- arrays ----------------------------------------------------------------------------------------------------------


def _by_shape(answers: Mapping[str, np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """(1, n, k) or (n, k) arrays as (n, k) float64, by n and k."""
    rows = [value.reshape(-1, value.shape[-1]) for value in answers.values()]
    return {each.shape: each.astype(np.float64) for each in rows}


def _cells(stride: int) -> np.ndarray:
    """(n, 2) x, y of the cells of a stride, row by row."""
    side = SIDE // stride
    rows, columns = np.mgrid[:side, :side]
    return np.stack([columns, rows], axis=-1).reshape(-1, 2)


def _square_anchors(sides: tuple[tuple[int, int], ...]) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2), pixel edges at integers, and sides (n,)."""
    cells = [_cells(stride) for stride in STRIDES]
    centres = [np.repeat((c + 0.5) * s, len(two), axis=0) for c, s, two in zip(cells, STRIDES, sides, strict=True)]
    return np.concatenate(centres), np.concatenate([np.tile(two, len(c)) for c, two in zip(cells, sides, strict=True)])


def _face_probability(score: np.ndarray) -> np.ndarray:
    """(n,) from (n, 2) probabilities of background and face, or from their logits."""
    if np.allclose(score.sum(1), 1, atol=1e-3):
        return score[:, 1]
    return 1 / (1 + np.exp(np.clip(score[:, 0] - score[:, 1], -60, 60)))
