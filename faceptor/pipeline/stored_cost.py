"""What weights stored in fewer bits cost each task: its headline metric on validation samples, before and after."""

from collections.abc import Sequence
from pathlib import Path

from faceptor.deploy.stored import with_stored_weights
from faceptor.errors import ConfigError
from faceptor.evaluation.measure import measure
from faceptor.pipeline.evaluation import rounded
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.samples import held_out
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
    params, model = experiment.params, load_model(folder)
    stored = with_stored_weights(model, precision)
    found = {}
    for task in tasks:
        spec = model.tasks[task]
        samples = held_out(experiment, spec, limit=params.evaluate.samples) if spec.dataset in params.datasets else None
        if samples is None:
            continue
        crop, batch = own_crop(model, task), params.evaluate.batch
        before, after = (measure(each, spec, samples, crop, batch=batch) for each in (model, stored))
        values = {name: rounded(each.metrics[each.headline]) for name, each in (("fp32", before), ("stored", after))}
        found[task] = {"metric": before.headline, "samples": before.samples} | values
    if not found:
        raise ConfigError(
            f"--measure: none of {', '.join(tasks)} has prepared validation samples; run `faceptor preprocess`"
        )
    return found
