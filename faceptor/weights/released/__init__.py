"""Weights published by the papers' authors, checked tensor by tensor and turned into models of this package.

Known are FaRL's pre-training files, Faceptor (stage 1, Base or Full; stage 2, one or several files), Naive Faceptor and
FaceXFormer. One file here per kind; `release` recognises them. Nothing is skipped silently: a tensor without a
counterpart is an error, and what a model does not need is reported.
"""

from faceptor._compat import ensure_torchvision

ensure_torchvision()  # timm imports torchvision, whose compiled part may not match this torch

from faceptor.weights.released.checkpoint import read_checkpoint  # noqa: E402
from faceptor.weights.released.farl import load_farl  # noqa: E402
from faceptor.weights.released.release import (  # noqa: E402
    Dropped,
    Release,
    import_weights,
    load_released,
    read_release,
)

__all__ = ["Dropped", "Release", "import_weights", "load_farl", "load_released", "read_checkpoint", "read_release"]
