"""The evaluate stage: one model folder against the test splits, numbers to JSON, figures to PNG."""

import math
from pathlib import Path

from faceptor.config import Params
from faceptor.data.subset import Spread
from faceptor.errors import ConfigError
from faceptor.evaluate import Measured, headline_of, measure
from faceptor.framing import own_crop
from faceptor.models.folder import load_model, model_hash
from faceptor.stages.common import data_facts, pick_device, trivial_guesses
from faceptor.stages.files import MODELS, RESULTS, write_json
from faceptor.tasks import KINDS, task
from faceptor.writing import whole_file


def evaluate_model(params: Params, name: str, *, device: str = "auto") -> dict:
    """Write results/evaluate/<name>.json and a figure per task; return what was written."""
    folder = MODELS / name
    model = load_model(folder).to(pick_device(device))
    numbers, figures, notes = evaluate_tasks(params, model, judged(params, model, name), device=device)
    report = {
        "about": {
            "model": name,
            "model_hash": model_hash(folder),
            "parameters": sum(p.numel() for p in model.parameters()),
            "seed": params.seed,
            "data": {t: data_facts(test_folder(params, t)) for t in numbers},
            "notes": notes,
        },
        **numbers,
    }
    for task_name, figure in figures.items():
        save_figure(figure, RESULTS / "evaluate" / "figures" / name / f"{task_name}.png")
    write_json(RESULTS / "evaluate" / f"{name}.json", report)
    return report


def judged(params: Params, model, name: str) -> list[str]:
    """The model's tasks whose data sets are under `datasets`; says which are not."""
    tasks = [t for t in model.tasks if task(t).dataset in params.datasets]
    if missing := [t for t in model.tasks if t not in tasks]:
        print(f"{name}: not evaluated, for want of their data sets under `datasets`: {', '.join(missing)}", flush=True)
    if not tasks:
        raise ConfigError(f"models/{name}: nothing to evaluate; add the data set of a task to `datasets`")
    return tasks


def evaluate_tasks(params: Params, model, names, *, device: str, figures: bool = True) -> tuple[dict, dict, dict]:
    """{task: {metric: value}} on the test splits, a figure per task, and notes on what was left out."""
    specs = {name: model.own_spec(task(name)) for name in names}
    guesses = trivial_guesses(params, specs, {name: own_crop(model, name) for name in names})
    numbers, drawn, notes = {}, {}, {}
    for name, spec in specs.items():
        result = measure_test(params, model, name, device=device, trivial=guesses[name])
        numbers[name] = {k: round(v, 4) for k, v in result.metrics.items() if math.isfinite(v)}
        numbers[name] |= {"samples": result.samples, "skill": round(result.skill, 4)}
        headline = headline_of(spec)
        trivial = result.metrics[f"trivial_{headline}"]
        print(f"{name}: {headline} {result.metrics[headline]:.3f} (trivial {trivial:.3f})", flush=True)
        if result.notes:
            notes[name] = result.notes
        if figures:
            drawn[name] = KINDS[spec.kind].figure(spec, result.metric)
    return numbers, drawn, notes


def measure_test(params: Params, model, name: str, *, device: str, trivial=None) -> Measured:
    """A task on its test split. Faces are cropped as the model folder says, so that numbers belong to the model and not
    to today's params.yaml."""
    spec = model.own_spec(task(name))
    samples = KINDS[spec.kind].samples(spec, test_folder(params, name), "test")
    return measure(
        model, spec, Spread(samples, params.evaluate.samples, run=KINDS[spec.kind].together), own_crop(model, name),
        batch=params.evaluate.batch, device=pick_device(device), trivial=trivial,
    )  # fmt: skip


def test_folder(params: Params, name: str) -> Path:
    """Prepared data whose test split judges a task: its own data set's, unless `evaluate.test_sets` names another."""
    return params.prepared(params.evaluate.test_sets.get(name, task(name).dataset))


def save_figure(figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # no date, no version: the same numbers give the same file
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
