"""The model that comes with the package: a trained one in half precision, small enough for Git, with its card."""

import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path

from faceptor.errors import ConfigError, FaceptorError
from faceptor.io.files import MODELS, RESULTS, read_json
from faceptor.io.paths import replace_folder
from faceptor.io.writing import write_whole
from faceptor.models.base import FaceModel
from faceptor.pipeline.experiment import Experiment
from faceptor.pipeline.readme import LINE, table, with_arrow, with_interval
from faceptor.weights.folder import WEIGHTS, load_model, model_hash, save_model

SHIPPED = Path("faceptor/shipped")  # in the checkout in which the stage runs
LARGEST_SHIPPED_BYTES = 5_000_000
CARD = "README.md"


def ship(experiment: Experiment) -> Path:
    """Write the model of `shipped` below faceptor/shipped: weights in half precision, description and card.

    What only training uses (the classifier of recognition) is not in a model folder. Raises ConfigError where nothing
    is to be shipped or photographs taught the model, whose terms may not allow it, and FaceptorError where it was not
    evaluated as it is, or is too large for Git.
    """
    if not experiment.params.shipped:
        raise ConfigError("shipped: empty in params.yaml; name the model to ship, e.g. {embedded: stage2}")
    ((name, source),) = experiment.params.shipped.items()
    folder, out = MODELS / source, SHIPPED / name
    model, origin = load_model(folder), model_hash(folder)
    _check_taught_by_generated(source, model.provenance.get("data", {}))
    details = RESULTS / "evaluate" / "details" / f"{source}.json"
    judged = read_json(details)
    if judged["about"]["model_hash"] != origin:
        raise FaceptorError(f"{details}: judges another model than {folder}; run `faceptor evaluate {source}`")
    partial = out.with_name(f".{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        save_model(model, partial, model.provenance | {"shipped_from": origin}, half=True)
        _check_size(partial)
        write_whole(partial / CARD, card(name, source, model, judged, origin=origin))
        replace_folder(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _check_taught_by_generated(source: str, data: Mapping[str, dict]) -> None:
    real = [task for task, facts in data.items() if not facts["generated"]]
    if real or not data:
        taught = f"photographs taught {', '.join(real)}" if real else "it is not known what taught it"
        raise ConfigError(f"shipped: models/{source}: {taught}; only models of generated faces are shipped")


def _check_size(folder: Path) -> None:
    size = (folder / WEIGHTS).stat().st_size
    if size > LARGEST_SHIPPED_BYTES:
        raise FaceptorError(
            f"shipped: {size:,} bytes in half precision, expected at most {LARGEST_SHIPPED_BYTES:,}, as it goes into "
            "Git; ship a smaller model, or say shipped: {}"
        )


def card(name: str, source: str, model: FaceModel, judged: Mapping, *, origin: str) -> str:
    """The card in Markdown: what the model is, what taught it, its numbers, what it is not for, its terms."""
    tasks, seed = judged["tasks"], judged["about"]["seed"]
    rows = [
        [f"`{test}`", str(row["samples"]), with_arrow(test, row["headline"])]
        + [with_interval(row, metric) for metric in (f"constant_{row['headline']}", row["headline"])]
        for test, row in tasks.items()
    ]
    sets = sorted({facts["dataset"] for facts in model.provenance["data"].values()})
    listed = ", ".join(f"`{task}`" for task in model.tasks)
    parts = [
        f"# {name}: a small model that comes with the package",
        "Written by `faceptor train ship`, a stage of the pipeline; do not edit.",
        f"A {model.config['name'].capitalize()} of {sum(p.numel() for p in model.parameters()):,} parameters in half "
        f"precision, {len(model.tasks)} tasks: {listed}. `faceptor.load()` loads it, widened to float32.",
        "## What it was trained on",
        f"**Generated faces only**, drawn by this project in the layouts of the data sets {', '.join(sets)}: seed "
        f"{seed}, one run, the stages of `params.yaml` (preset `embedded`). It has seen no photograph, and nothing of "
        "the published data sets but their file layouts.",
        "## What its numbers are",
        table(["test", "samples", "metric", "constant baseline", "this model"], rows),
        f"On generated test faces that it has not seen, from `results/evaluate/details/{source}.json` (the short form "
        f"is `results/evaluate/{source}.json`), measured on the model in float32 from which this one was made. "
        f"Intervals: {judged['about']['intervals']}. The constant baseline is the best constant answer from the "
        "training labels.",
        "## What it is for, and what not",
        "For a first look right after the clone: that a photograph goes through detector, crops and network, how "
        "answers look, what the notebooks show. Its numbers are a smoke alarm for the machinery.",
        "It is not for statements about people. On a photograph its answers are no measurements, and `faceptor "
        "predict` says so each time; it must not be used to identify, sort or judge anybody. Its age, expression and "
        "attributes are those of drawn faces.",
        "## What it was made from",
        f"`models/{source}`, model hash `{origin}`.",
        "## Licence",
        "MIT, as the code: no licensed picture, label or weight is in it.",
    ]
    return "\n\n".join(part if part.startswith("|") else _filled(part) for part in parts) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(text, LINE, break_long_words=False, break_on_hyphens=False)
