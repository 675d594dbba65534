"""Samples of prepared data sets: what names them, those that validate a task, and its constant baseline."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from faceptor.datasets.subset import Spread
from faceptor.evaluation.samples import open_samples
from faceptor.pipeline.experiment import Experiment
from faceptor.prepared.reading import content_hashes, open_split, read_card
from faceptor.tasks import KINDS, TaskSpec
from faceptor.transforms.crop import CropSpec


def data_facts(folder: Path) -> dict:
    """What names the faces of a prepared data set: whether they were generated, and a hash of every split."""
    card = read_card(folder)
    return {key: card[key] for key in ("dataset", "generated", "split_hashes") if key in card}


def label_names(folder: Path) -> dict[str, list[str]]:
    """Names of the classes of every label column of a prepared data set."""
    return read_card(folder).get("label_names", {})


def validation_samples(experiment: Experiment, names: Iterable[str], *, limit: int | None) -> dict[str, Spread]:
    """What each task is validated on: at most `limit` samples spread over the split. A task whose data set has
    `validation: 0` is left out."""
    found = {}
    for name, spec in experiment.specs_of(names).items():
        folder = experiment.prepared(spec.dataset)
        if "val" in content_hashes(folder):
            found[name] = Spread(open_samples(spec, folder, "val"), limit, run=KINDS[spec.kind].run_length)
    return found


def constant_baselines(
    experiment: Experiment, specs: Mapping[str, TaskSpec], crops: Mapping[str, CropSpec]
) -> dict[str, Callable]:
    """The constant baseline of each task, from its training labels."""
    trains = {name: open_split(experiment.prepared(spec.dataset), "train") for name, spec in specs.items()}
    return {n: KINDS[spec.kind].constant_baseline(spec, trains[n], crops[n].place_sample) for n, spec in specs.items()}
