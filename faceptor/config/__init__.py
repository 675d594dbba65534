"""params.yaml as typed, validated values, and the presets. It knows nothing of data, tasks or models."""

from faceptor.config.crop import Crop
from faceptor.config.model import (
    EncoderConfig,
    FaceptorConfig,
    FaceXFormerConfig,
    Inputs,
    ModelConfig,
    NaiveConfig,
    model_config,
)
from faceptor.config.optimiser import Optimiser, Rate, rates
from faceptor.config.params import (
    Augment,
    Data,
    Dataset,
    Params,
    Sampling,
    Stage,
    Synthesis,
    TaskSettings,
    load_params,
    load_preset,
    parse,
)
from faceptor.config.preset_files import preset_names, preset_path, preset_text

__all__ = [
    "Augment", "Crop", "Data", "Dataset", "EncoderConfig", "FaceXFormerConfig", "FaceptorConfig", "Inputs",
    "ModelConfig", "NaiveConfig", "Optimiser", "Params", "Rate", "Sampling", "Stage", "Synthesis", "TaskSettings",
    "load_params", "load_preset", "model_config", "parse", "preset_names", "preset_path", "preset_text", "rates",
]  # fmt: skip
