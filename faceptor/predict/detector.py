"""Where the faces of a photograph are. Boxes are face boxes, (x1, y1, x2, y2), as `faceptor.transforms.framing` has
them.

CenterFace comes with the package; others are named with the file that they are read from: `yunet:/path/to/file.onnx`.
What was measured of each is in `docs/detector.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from faceptor.errors import ConfigError
from faceptor.predict.detectors import anchors, base, centerface, heads, network, yunet
from faceptor.predict.detectors.base import Detection, Detector, overlap

__all__ = ["Detection", "Detector", "detect_faces", "detector_of", "detector_version", "overlap"]

DEFAULT = "centerface"
MIN_SCORE = centerface.MIN_SCORE
WITH_FILE: dict[str, Callable[[Path], Detector]] = {
    "yunet": yunet.YuNet,
    "scrfd": anchors.Scrfd,
    "retinaface": anchors.RetinaFace,
}


def detector_of(name: str | None = None) -> Detector:
    """A detector by name: "centerface" (None), or one of a file, as "yunet:/path/to/file.onnx".

    Raises ConfigError for another name, or one without the file that it needs. The file itself is read when a picture
    is first looked at, which raises WeightsError where it is not what it should be.
    """
    return _detector(name or DEFAULT)


@cache
def _detector(name: str) -> Detector:
    kind, _, path = name.partition(":")
    if kind == DEFAULT and not path:
        return centerface.CenterFace()
    if kind in WITH_FILE and path:
        return WITH_FILE[kind](Path(path).expanduser())
    known = ", ".join([DEFAULT, *(f"{each}:FILE.onnx" for each in WITH_FILE)])
    if kind == DEFAULT:
        raise ConfigError(f"detector {name!r}: {DEFAULT} comes with the package and takes no file; expected {known}")
    if kind in WITH_FILE:
        raise ConfigError(f"detector {name!r}: does not come with the package; name its file: {kind}:FILE.onnx")
    raise ConfigError(f"detector {name!r}: unknown; expected one of {known}")


def detect_faces(image: np.ndarray, *, min_score: float | None = None) -> list[Detection]:
    """Faces of an (H, W, 3) or (H, W) uint8 image, largest first; an empty list if there is none."""
    return detector_of().detect(image, min_score)


@cache
def detector_version() -> str:
    """Of the default detector: a hash of its code and its file, 16 hexadecimal digits."""
    code = [Path(module.__file__ or "").read_bytes() for module in (base, centerface, heads, network)]
    return hashlib.sha256(b"\0".join([*code, centerface.SHA256.encode()])).hexdigest()[:16]
