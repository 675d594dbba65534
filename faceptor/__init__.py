"""Face generalist models (Faceptor, Naive Faceptor, FaceXFormer): train, evaluate, transfer, predict.

>>> import faceptor
>>> model = faceptor.load()  # the small one that comes with the package, or a folder: faceptor.load("models/stage2")
>>> faces = faceptor.predict(model, image)
"""

from importlib import import_module

__version__ = "0.1.0"
__all__ = ["__version__", "load", "load_released", "predict"]

_LAZY = {
    "load": ("faceptor.weights.shared", "load"),
    "load_released": ("faceptor.weights.released", "load_released"),
}


def __getattr__(name: str):
    # Lazy, so that data workers and `--help` do not pay for importing torch.
    if name == "predict":
        return import_module("faceptor.predict")  # a room that may be called
    if name not in _LAZY:
        raise AttributeError(f"module 'faceptor' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
