"""Import torchvision even where its compiled operators do not match torch.

The CPU wheel of torch beside the index's torchvision (built for CUDA) fails at import with
"operator torchvision::nms does not exist": torchvision registers fake kernels for operators that its
binary part could not load. Declaring the two operators first lets the Python part import; nothing here
calls them. With a matching pair the declaration would abort the process, so the plain import is always
tried first and repaired only on that one error.
"""

import importlib
import sys

import torch

_KEEP_ALIVE: list[torch.library.Library] = []


def ensure_torchvision() -> str:
    """Import torchvision; return "native" if it just works, "repaired" if the operators had to be declared."""
    try:
        importlib.import_module("torchvision")
        return "native"
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEEP_ALIVE.append(library)
    importlib.import_module("torchvision")
    return "repaired"
