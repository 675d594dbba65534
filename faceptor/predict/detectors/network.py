"""ONNX files that OpenCV runs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from faceptor.errors import WeightsError
from faceptor.io.regular import read_regular

LARGEST_MODEL_BYTES = 512 << 20
# OpenCV 4 computes nonsense, without a word, where the size of the picture changes between two calls.
NETWORK_PER_SIZE = int(cv2.__version__.partition(".")[0]) < 5
SIZES_KEPT = 8  # networks of a thread with OpenCV 4


class Network:
    """An ONNX file as a function from one picture to named arrays.

    path: the file; what: whose it is expected to be, for errors; sha256: in hexadecimal, None: any; outputs: names that
    it must have. Every thread that asks has its own copy of the network. Raises WeightsError for what is missing,
    damaged, another file, or no ONNX.
    """

    def __init__(self, path: Path, *, what: str, remedy: str, sha256: str | None = None, outputs: Sequence[str] = ()):
        data = read_regular(path, largest=LARGEST_MODEL_BYTES, error=WeightsError, remedy=remedy)
        self.path, self.what, self.remedy = path, what, remedy
        if sha256 and (found := hashlib.sha256(data).hexdigest()) != sha256:
            raise self.refusal(f"expected SHA-256 {sha256[:12]}…, found {found[:12]}…")
        self._data, self._own = np.frombuffer(data, np.uint8), threading.local()
        try:
            self.outputs = tuple(self._net((1, 3, 0, 0)).getUnconnectedOutLayersNames())
        except (cv2.error, MemoryError) as error:
            raise self.refusal("OpenCV cannot read it as an ONNX file") from error
        if missing := sorted(set(outputs) - set(self.outputs)):
            raise self.refusal(f"expected outputs {', '.join(outputs)}, found no {', '.join(missing)}")

    def _net(self, shape: tuple[int, ...]) -> cv2.dnn.Net:
        """This thread's, for a blob of a shape: a network of OpenCV holds its input and what it computes."""
        nets = self._own.__dict__.setdefault("nets", {})
        key = shape if NETWORK_PER_SIZE else None
        if key not in nets:
            if len(nets) == SIZES_KEPT:
                del nets[next(iter(nets))]
            nets[key] = cv2.dnn.readNetFromONNX(self._data)
        return nets[key]

    def __call__(self, blob: np.ndarray) -> dict[str, np.ndarray]:
        """blob: (1, 3, H, W) float32, as the network wants it."""
        try:
            net = self._net(blob.shape)
            net.setInput(np.ascontiguousarray(blob, np.float32))
            answers = net.forward(self.outputs)
        except cv2.error as error:
            size = f"{blob.shape[3]} x {blob.shape[2]}"
            raise self.refusal(f"does not take one picture of {size} pixels ({_reason(error)})") from error
        return dict(zip(self.outputs, answers, strict=True))

    def refusal(self, why: str) -> WeightsError:
        """An error that says which file is not what it should be, and why."""
        return WeightsError(f"{self.path}: is no {self.what}: {why}; {self.remedy}")


def blob_of(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (1, 3, H, W) float32."""
    return rgb.transpose(2, 0, 1)[None].astype(np.float32)


def _reason(error: cv2.error) -> str:
    return str(error).split("error:")[-1].strip().splitlines()[0][:80]
