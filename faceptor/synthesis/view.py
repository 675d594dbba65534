"""From the head to the pixels of one picture."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from faceptor.synthesis.face import Face
from faceptor.synthesis.head import Head


@dataclass(frozen=True, kw_only=True)
class View:
    """A placed head. The canvas is drawn `fine` times larger than the picture and averaged down."""

    head: Head
    matrix: np.ndarray  # (2, 3) image plane in head units -> xy pixels of the picture
    fine: int

    @property
    def face(self) -> Face:
        return self.head.face

    @cached_property
    def scale(self) -> float:
        """Pixels of the picture to a head unit."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    @property
    def unit(self) -> float:
        """Pixels of the canvas to a head unit."""
        return self.scale * self.fine

    def pixels(self, plane: np.ndarray) -> np.ndarray:
        """(..., 2) points of the image plane -> (..., 2) xy pixels of the picture."""
        return plane @ self.matrix[:, :2].T + self.matrix[:, 2]

    def fine_pixels(self, plane: np.ndarray) -> np.ndarray:
        """The same in pixels of the canvas."""
        return self.pixels(plane) * self.fine + (self.fine - 1) / 2

    def at(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points in head axes -> (..., 2) xy pixels of the canvas."""
        return self.fine_pixels(self.head.project(np.asarray(points, float))[..., :2])
