"""YuNet (Wu et al. 2023) from a file that the user gives, run by OpenCV's own `FaceDetectorYN`.

The file is `face_detection_yunet_2023mar.onnx` of OpenCV's model zoo, or a newer one of that kind.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from faceptor.predict.detectors.base import Detection, Sight, as_rgb, resized
from faceptor.predict.detectors.heads import detections_of
from faceptor.predict.detectors.network import Network

SIDE = 640  # longer side of the picture that is searched, pixels
MIN_SCORE = 0.6
MAX_SHARED, MAX_BOXES = 0.3, 5000  # intersection over union of boxes of one face; boxes before they are merged
REMEDY = "give face_detection_yunet_2023mar.onnx of OpenCV's model zoo, or a newer one"
OUTPUTS = tuple(f"{what}_{stride}" for what in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32))


@dataclass(frozen=True)
class YuNet:
    """Boxes and points of `cv2.FaceDetectorYN`."""

    path: Path
    min_score: float = MIN_SCORE
    name: str = "yunet"
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False, compare=False)

    @cached_property
    def _network(self) -> Network:
        return Network(self.path, what="YuNet", remedy=REMEDY, outputs=OUTPUTS)

    @property
    def _engine(self) -> cv2.FaceDetectorYN:
        """This thread's: it holds the size of the picture that it looks at."""
        if not hasattr(self._own, "engine"):
            path = str(self._network.path)  # checked
            self._own.engine = cv2.FaceDetectorYN.create(path, "", (SIDE, SIDE), MIN_SCORE, MAX_SHARED, MAX_BOXES)
        return self._own.engine

    def detect(self, image: np.ndarray, min_score: float | None = None) -> list[Detection]:
        """See `faceptor.predict.detectors.base.Detector`."""
        rgb, least = as_rgb(image), self.min_score if min_score is None else min_score
        height, width = rgb.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        small = resized(rgb, max(1, round(width * scale)), max(1, round(height * scale)))
        network = self._network
        try:
            engine = self._engine
            engine.setInputSize((small.shape[1], small.shape[0]))
            engine.setScoreThreshold(least)
            _, rows = engine.detect(np.ascontiguousarray(small[..., ::-1]))
        except cv2.error as error:
            raise network.refusal("OpenCV cannot run it") from error
        seen = sight_of_rows(np.zeros((0, 15)) if rows is None else rows)
        return detections_of(seen.scaled(width / small.shape[1], height / small.shape[0]))


def sight_of_rows(rows: np.ndarray) -> Sight:
    """Of (n, 15): left, top, width, height, x and y of five points (the eye that is left in the picture first), score.

    Pixel edges at integers.
    """
    rows = np.asarray(rows, np.float64)
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1) - 0.5
    return Sight(boxes, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2) - 0.5)
