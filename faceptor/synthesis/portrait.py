"""The result of a drawing: the picture and every label that the geometry gives."""

from dataclasses import dataclass, field

import numpy as np

from faceptor.synthesis.face import Face


@dataclass(kw_only=True)
class Portrait:
    """A drawn face. Points and boxes are xy pixels, 0-based, pixel centres at integers, in `image`'s frame.

    `landmarks` and `visible` are keyed by the number of points ("68", "98", "29", "19", "106"); `parts` by
    CelebAMask-HQ file suffix, present parts only; `attributes` by "celeba:<name>" and "lfw:<name>" with None where the
    drawing cannot show the attribute. `parts`, `classes19` and `classes11` are empty when the maps were not asked for.
    """

    image: np.ndarray  # (H, W, 3) uint8 RGB
    landmarks: dict[str, np.ndarray]  # (K, 2) float32
    visible: dict[str, np.ndarray]  # (K,) bool: in the picture and seen, not behind hair, hat, hand or the nose
    points5: np.ndarray  # (5, 2) float32: image-left eye, right eye, nose tip, mouth corners
    box: np.ndarray  # (4,) float32 x1 y1 x2 y2
    age: float
    expression: int
    attributes: dict[str, bool | None]
    identity: int
    pose: tuple[float, float, float]  # yaw, pitch, roll in degrees, signs of 300W-LP
    face: Face
    solid: np.ndarray  # (68, 3) float32: the 68 points of the head in 3D, pixels; larger z = nearer
    centre: np.ndarray  # (2,) float32: the middle of the head, between the ears
    unit: float  # pixels to half the width of an average head (70 mm)
    parts: dict[str, np.ndarray] = field(default_factory=dict)  # (H, W) bool
    classes19: np.ndarray | None = None  # (H, W) uint8
    classes11: np.ndarray | None = None  # (H, W) uint8
