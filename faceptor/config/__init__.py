"""params.yaml as typed, validated values (`faceptor.config.params`), and the presets."""

from importlib import import_module

_NAMES = (
    *("Crop", "Dataset", "TaskSettings", "Sampling", "Optimiser", "Params", "Rate", "Stage", "Synthesis", "rates"),
    *("load_params", "load_preset", "parse", "preset_names", "preset_path", "preset_text", "model_config"),
    *("EncoderConfig", "FaceXFormerConfig", "FaceptorConfig", "Inputs", "ModelConfig", "NaiveConfig"),
)


def __getattr__(name: str):
    if name not in _NAMES:
        raise AttributeError(f"module 'faceptor.config' has no attribute {name!r}")
    return getattr(import_module("faceptor.config.params"), name)
