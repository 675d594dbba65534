"""Samples of prepared data sets: what names them, those that validate a task, and its constant baseline."""

from collections.abc import Iterable
from pathlib import Path

from faceptor.datasets.subset import Spread
from faceptor.evaluation.measure import Baseline
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
    """What each task is validated on; a task whose data set has `validation: 0` is left out."""
    found = {name: held_out(experiment, spec, limit=limit) for name, spec in experiment.specs_of(names).items()}
    return {name: samples for name, samples in found.items() if samples is not None}


def held_out(experiment: Experiment, spec: TaskSpec, *, limit: int | None) -> Spread | None:
    """At most `limit` samples spread over the validation split of a task's data set; None where there is no split."""
    folder = experiment.prepared(spec.dataset)
    if "val" not in content_hashes(folder):
        return None
    return Spread(open_samples(spec, folder, "val"), limit, run=KINDS[spec.kind].run_length)


def constant_baseline(experiment: Experiment, spec: TaskSpec, crop: CropSpec) -> Baseline:
    """The constant baseline of a task, from its training labels."""
    train = open_split(experiment.prepared(spec.dataset), "train")
    return KINDS[spec.kind].constant_baseline(spec, train, crop.place_sample)
