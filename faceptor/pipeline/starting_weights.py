"""What every training of params.yaml starts from, and which files of it are missing."""

from pathlib import Path

from faceptor.config import ModelConfig, Params
from faceptor.errors import WeightsError
from faceptor.io.files import write_json
from faceptor.weights.starting import check_starting_file, starting_weights

STARTS = Path("models/starts")  # a file for every training, which says what it starts from


def model_sections(params: Params) -> dict[str, tuple[str, ModelConfig]]:
    """Name of a training -> what its model section is called in params.yaml, and that section."""
    own = {name: (f"baselines.{name}.model", baseline.model) for name, baseline in params.baselines.items()}
    return {"stage1": ("model", params.model)} | own


def starting_weights_of(params: Params, name: str) -> dict[str, str] | None:
    """`starting_weights` of the training of that name: stage1, or one of `baselines`."""
    where, model = model_sections(params)[name]
    return starting_weights(model, where=where)


def record_starting_weights(params: Params, folder: Path) -> dict[str, dict[str, str] | None]:
    """Write <folder>/<training>.json for every training: `starting_weights`, or null; what a stage of DVC depends on.

    Raises as `starting_weights`, for the first training whose file is not there.
    """
    found = {name: starting_weights_of(params, name) for name in model_sections(params)}
    for name, weights in found.items():
        write_json(folder / f"{name}.json", weights)
    return found


def missing_weights(params: Params) -> list[str]:
    """What is wrong with files that trainings of these parameters start from, a line each.

    Raises ConfigError where `init` and `pretrained` do not agree: no file can mend that.
    """
    lines = []
    for where, model in model_sections(params).values():
        try:
            check_starting_file(model, where=where)
        except WeightsError as error:
            lines.append(str(error))
    return lines
