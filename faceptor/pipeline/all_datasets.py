"""The configuration with every data set that has a reader, small where params.yaml does not name it."""

from pathlib import Path

from faceptor.config import Dataset, Params, Synthesis, load_params
from faceptor.config.sections import spelled
from faceptor.datasets import READERS
from faceptor.pipeline.experiment import Experiment, resolve

# Faces that are enough to see a data set from its layout to its prepared shards: about a minute for all on two cores.
SMALL: dict[str, dict[str, int]] = {
    "300w": {"train": 60, "test": 20},
    "wflw": {"train": 60, "test": 24},
    "cofw": {"train": 50, "test": 20},
    "aflw19": {"train": 60, "test": 20},
    "300vw": {"test": 48},
    "celebamaskhq": {"train": 40, "test": 12},
    "lapa": {"train": 40, "test": 12},
    "morph2": {"train": 80, "test": 20},
    "utkface": {"train": 80, "test": 20},
    "affectnet": {"train": 70, "test": 21},
    "rafdb": {"train": 70, "test": 21},
    "ferplus": {"train": 90, "test": 24},
    "celeba": {"train": 60, "test": 20},
    "lfw73": {"train": 50, "test": 30},
    "lfwa": {"train": 50, "test": 30},
    "fairface": {"train": 80, "test": 20},
    "ffhqaging": {"test": 40},
    "300wlp": {"train": 60},
    "aflw2000": {"test": 30},
    "biwi": {"test": 48},
    "ms1mv3": {"train": 120, "identities": 24, "pairs": 10},
    "facesynthetics": {"train": 40, "test": 12},
    "digiface": {"train": 60, "test": 20},
}


def load(path: Path) -> Experiment:
    """The experiment of a parameter file, with a line for each data set that it lacks."""
    params = with_every_data_set(load_params(path))
    return resolve(params, origin=str(path))


def with_every_data_set(params: Params) -> Params:
    """`params` with a line for each data set it lacks: below data.root under its name, prepared beside the transfers.

    A set whose line says `path` elsewhere is not generated.
    """
    datasets = {name: Dataset(path=Path(name), role="transfer") for name in READERS} | params.datasets
    own = {
        name
        for name in SMALL
        if str(datasets[name].path) in (name, spelled(name)) and datasets[name].reader in (None, name)
    }
    synthesis = {name: Synthesis(**counts) for name, counts in SMALL.items() if name in own} | params.synthesis
    return params.model_copy(update={"datasets": datasets, "synthesis": synthesis})
