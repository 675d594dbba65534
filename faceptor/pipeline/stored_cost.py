"""What weights stored in fewer bits cost each task: its headline metric on validation samples, before and after."""

from collections.abc import Sequence
from pathlib import Path

from faceptor.datasets.subset import Spread
from faceptor.deploy.stored import with_stored_weights
from faceptor.errors import ConfigError
from faceptor.evaluation.measure import measure
from faceptor.evaluation.samples import open_samples
from faceptor.pipeline.evaluation import rounded
from faceptor.pipeline.experiment import Experiment
from faceptor.prepared.reading import content_hashes
from faceptor.tasks import kind_of
from faceptor.transforms.framing import own_crop
from faceptor.weights.folder import load_model


def cost_of_precision(
    experiment: Experiment, folder: Path | str, tasks: Sequence[str], precision: str
) -> dict[str, dict]:
    """Task -> {"metric", "samples", "fp32", "stored"}: its headline metric with weights as they are and as stored, on
    the same validation samples, at most `evaluate.samples` of them.

    A task whose data set is not under `datasets`, not prepared or without validation samples is left out; ConfigError
    where none is left.
    """
    model = load_model(folder)
    stored = with_stored_weights(model, precision)
    found = {}
    for task in tasks:
        if (samples := _validation(experiment, model, task)) is None:
            continue
        spec, batch = model.tasks[task], experiment.params.evaluate.batch
        before, after = (measure(each, spec, samples, own_crop(model, task), batch=batch) for each in (model, stored))
        values = {name: rounded(each.metrics[each.headline]) for name, each in (("fp32", before), ("stored", after))}
        found[task] = {"metric": before.headline, "samples": before.samples} | values
    if not found:
        raise ConfigError(
            f"--measure: none of {', '.join(tasks)} has prepared validation samples; run `faceptor preprocess`"
        )
    return found


def _validation(experiment: Experiment, model, task: str) -> Spread | None:
    spec, params = model.tasks[task], experiment.params
    if spec.dataset not in params.datasets or "val" not in content_hashes(experiment.prepared(spec.dataset)):
        return None
    samples = open_samples(spec, experiment.prepared(spec.dataset), "val")
    return Spread(samples, params.evaluate.samples, run=kind_of(spec).run_length)
