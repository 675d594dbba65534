"""Names that a parameter file, the command line and Python have in common."""

from typing import Literal

EnginePrecision = Literal["fp32", "bf16", "fp16"]
"""What the matrix products of predictions, tests and validations are computed in."""

CropSharing = Literal["own", "shared"]
"""Whether each task sees a photograph's face as its training images were cut, or one crop serves all of a sort."""
