"""A photograph's way: detect, frame, crop, predict, draw.

The package may be called, because `faceptor.predict` is both this room and the function of that name in `predictor`.
"""

import sys
from importlib import import_module
from types import ModuleType


class _Callable(ModuleType):
    def __call__(self, model, image, boxes=None, tasks=None, **settings):
        """See `faceptor.predict.predictor.predict`."""
        # Named late: who imports the room for its detector (training does) runs nothing of this, and loads no torch.
        predictor = import_module(f"{__name__}.predictor")
        return predictor.predict(model, image, boxes=boxes, tasks=tasks, **settings)


sys.modules[__name__].__class__ = _Callable
