"""Whether a second stage is worth keeping: judged on validation samples that did not choose its step."""

import math
from collections.abc import Sequence

from faceptor.datasets.subset import Chosen, halves
from faceptor.errors import DataError
from faceptor.evaluation.measure import Measured, gain, headline_of, measure
from faceptor.pipeline.answering import answering
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.samples import constant_baseline


def choosing_and_judging(samples) -> tuple[Chosen, Chosen]:
    """Validation samples that choose the step, and those that judge the outcome."""
    rows = [samples.samples.sample(row, labels=(), image=False) for row in samples.rows]
    choosing, judging = halves([row["group"] or row["key"] for row in rows])
    if not judging:
        raise DataError(
            f"{samples.samples.folder}: expected at least 2 validation samples, one to choose a step, one to judge it, "
            f"found {len(rows)}; hold out more (data.validation, stage2.validate_samples)"
        )
    return Chosen(samples, choosing), Chosen(samples, judging)


def judge(
    experiment: Experiment, model, name: str, samples: Sequence, *, device, before: Measured | None = None
) -> Measured:
    """A model's task on validation samples, cropped as for testing; DataError where they give no number. before: of
    another model on the same samples, whose constant baseline is the same."""
    spec = model.own_spec(experiment.spec(name))
    crop = experiment.crop(name, "test")
    constant = before.constant if before else constant_baseline(experiment, spec, crop)
    settings = experiment.params.evaluate
    found = measure(
        answering(model.to(device), settings), spec, samples, crop, batch=settings.batch, device=device,
        baseline=constant, workers=experiment.params.data.workers,
    )  # fmt: skip
    if not math.isfinite(found.skill):
        raise DataError(
            f"stage 2 of {name}: {headline_of(spec)} is not defined on the {len(samples)} validation samples that "
            "judge it; check their labels, or hold out more (data.validation, stage2.validate_samples)"
        )
    return found


def verdict(before: Measured | None, after: Measured | None, *, seed: int) -> dict:
    """`kept` only if the 95 % interval of the gain in skill, from a paired bootstrap over samples, lies above 0.

    Without validation samples there is no verdict: what was trained is kept, and `judged` says that nobody looked.
    """
    if before is None or after is None:
        return {"judged": False, "kept": True, "reason": "no validation samples"}
    found = gain(after, before, seed=seed)
    return {
        "judged": True,
        "kept": bool(found.low > 0),
        "skill_stage1": before.skill,
        "skill_stage2": after.skill,
        "gain": found.skill,
        "interval": [end if math.isfinite(end) else None for end in (found.low, found.high)],
        "samples": after.samples,
        "bootstrap_seed": seed,
    }
