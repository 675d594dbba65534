"""The data stages: generate a data set's faces, prepare a data set."""

from pathlib import Path

from faceptor.config.sections import spelled
from faceptor.datasets.reader import MARKER
from faceptor.errors import ConfigError
from faceptor.io.files import RESULTS, write_json
from faceptor.io.writing import written_to
from faceptor.pipeline.experiment import Experiment
from faceptor.prepared.prepare import prepare
from faceptor.synthesis import complete, synthesize

GENERATED = Path("data/generated")  # where DVC looks at nothing but the markers, see .dvcignore


def synthesize_set(experiment: Experiment, name: str, *, workers: int = 0, sheet: bool = True) -> dict:
    """Faces of one data set, in its published layout, below data.root; a contact sheet under results/."""
    params = experiment.params
    settings = params.synthesis[name].model_dump(exclude_none=True)
    folder = params.data.root / params.datasets[name].path
    with written_to(folder):
        return synthesize(
            name,
            folder,
            seed=params.data.seed,
            workers=workers,
            sheet=sheet_of(name) if sheet else None,
            **settings,
        )


def sheet_of(name: str) -> Path:
    """The contact sheet of a generated data set."""
    return RESULTS / "synthesis" / f"{spelled(name)}.webp"


def preprocess_set(experiment: Experiment, name: str) -> dict:
    """Prepared shards of one data set and its dataset card, which also goes to results/preprocess/.

    Generated faces that are missing, or are not those of their marker, are drawn first: DVC keeps the marker alone.
    """
    params = experiment.params
    block, key = params.datasets[name], spelled(name)
    faces = params.data.root / block.path
    photographs = faces.is_dir() and any(faces.iterdir()) and not (faces / MARKER).is_file()
    if photographs and faces.absolute().is_relative_to(GENERATED.absolute()):
        raise ConfigError(
            f"datasets.{key}: {faces} holds files that were not drawn here, and changes to them would not be noticed "
            f"below data/generated; move them to data/raw and set data.root, or datasets.{key}.path"
        )
    if name in params.synthesis and not photographs and not complete(faces):
        print(f"{name}: drawing its faces first, {faces} lacks them", flush=True)
        synthesize_set(experiment, name, sheet=False)
    card = prepare_set(experiment, name)
    write_json(RESULTS / "preprocess" / f"{key}.json", card)
    return card


def prepare_set(experiment: Experiment, name: str) -> dict:
    """Prepared shards of the files of one data set, and nothing else; returns the dataset card."""
    params = experiment.params
    block = params.datasets[name]
    with written_to(params.prepared(name)):
        return prepare(
            name,
            params.data.root / block.path,
            params.prepared(name),
            validation=params.data.validation if block.validation is None else block.validation,
            seed=params.data.seed,
            max_rejects=params.max_rejects(name),
            follow_links=params.data.follow_links,
            reader=block.reader,
            options=block.options | ({"verification": list(block.verification)} if block.verification else {}),
        )
