"""`faceptor <verb>`: parses, calls the library, prints; nothing else. Libraries load when a verb needs them."""

import json as jsonlib
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from faceptor.cli.budget import budget_command
from faceptor.cli.doctor import doctor_app
from faceptor.cli.import_weights import import_command
from faceptor.cli.params import params_app
from faceptor.cli.predict import predict_command
from faceptor.cli.trouble import after_a_failed_experiment, flushed, guarded, speakable
from faceptor.config.sections import unspelled
from faceptor.errors import FaceptorError
from faceptor.io.processes import end_with_parent


class Verbs(TyperGroup):
    """All verbs, with what `faceptor.cli.trouble` says when one fails."""

    def invoke(self, context):
        return guarded(lambda: super(Verbs, self).invoke(context))


app = typer.Typer(
    name="faceptor",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Face generalist models: generate data, prepare, train, evaluate, transfer, predict.\n\n"
    "Every number that shapes a run is in `params.yaml`; `make repro` (or `dvc repro`) runs the whole pipeline, "
    "and each of its stages is one of the verbs below.\n\n"
    "Example: `faceptor predict photo.jpg --out answers`, `faceptor doctor`, `faceptor train --help`",
)
app.add_typer(params_app, name="params")
app.add_typer(doctor_app, name="doctor")
app.command("budget")(budget_command)
app.command("predict")(predict_command)
app.command("import-weights")(import_command)

ParamsFile = Annotated[Path, typer.Option("--params", help="The parameter file.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
DEFAULT = Path("params.yaml")


def main() -> None:
    """Entry point: what lies outside the program is one line and an exit code (see `trouble`), a fault a traceback."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if "DVC_STAGE" in os.environ:  # run by DVC: stop, with a checkpoint where there is one, when DVC is killed
        end_with_parent(signal.SIGTERM)
    speakable()
    try:
        app()
    except SystemExit as end:
        if end.code:
            after_a_failed_experiment()
        sys.exit(flushed(end.code))
    except BaseException:
        after_a_failed_experiment()
        raise


@app.command()
def synthesize(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none = all under `synthesis`.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 = all cores.")] = 0,
    every: Annotated[bool, typer.Option("--all", help="Every data set, a few faces where no line says more.")] = False,
    params: ParamsFile = DEFAULT,
):
    """Generate faces in the published layout of a data set, below `data.root`.

    Example: `faceptor synthesize 300w`
    """
    from faceptor.pipeline.data import synthesize_set

    found = _load(params, every=every)
    for name in _chosen(names, found.params.synthesis, "synthesis"):
        counts = synthesize_set(found, name, workers=workers)
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in counts.items()))


@app.command()
def preprocess(
    names: Annotated[list[str] | None, typer.Argument(help="Data sets; none = all under `datasets`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every data set that lies below `data.root` too.")] = False,
    params: ParamsFile = DEFAULT,
):
    """Read a data set in its owner's layout, check it, write prepared shards and a dataset card.

    Example: `faceptor preprocess 300w celeba`
    """
    from faceptor.pipeline.data import preprocess_set

    listed = _load(params).params.datasets
    found = _load(params, every=every)
    for name in _chosen(names, found.params.datasets, "datasets"):
        folder = found.params.data.root / found.params.datasets[name].path
        if not names and name not in listed and not folder.is_dir():
            print(f"{name}: not there ({folder}), left out")
            continue
        card = preprocess_set(found, name)
        counts = ", ".join(f"{split} {count}" for split, count in card["counts"].items())
        print(f"{name}: {counts}; rejected {card['rejects']['count']}")


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="start, stage1, stage2, merge (stage 2 in one folder), baseline.")],
    task: Annotated[str | None, typer.Option(help="The task of stage 2, e.g. age_morph2.")] = None,
    device: Device = "auto",
    params: ParamsFile = DEFAULT,
):
    """Train a stage; a run that was stopped goes on where it was.

    `start` trains nothing: it records in models/starts the weights that trainings begin with, by content (DVC's stage
    starting_weights).

    Example: `faceptor train stage2 --task age_morph2`, or `faceptor train naive` (see `baselines` in params.yaml)
    """
    experiment = _load(params)
    config = experiment.params
    joint = ("stage1", *config.baselines)
    if stage == "start":
        from faceptor.pipeline.starting_weights import STARTS, record_starting_weights

        for name, weights in record_starting_weights(config, STARTS).items():
            print(f"{name}: starts from {weights['path'] if weights else 'scratch'}")
        return
    if stage not in (known := (*joint, "stage2", "merge", "start")):
        raise FaceptorError(f"train {stage!r}: expected one of {', '.join(known)}")
    if stage == "stage2" and task not in config.stage2.tasks:
        found = f"found {task!r}; " if task else ""
        raise FaceptorError(f"train stage2: {found}name a task with --task, one of {', '.join(config.stage2.tasks)}")
    from faceptor.pipeline import training
    from faceptor.pipeline.patterns import check_joint, check_stage2

    if stage in joint:
        check_joint(experiment, stage)
    elif stage == "stage2":
        check_stage2(experiment, [task])
    verbs = {
        **{name: lambda name=name: training.train_joint(experiment, name, device=device) for name in joint},
        "stage2": lambda: training.train_stage2(experiment, task, device=device),
        "merge": lambda: training.merge_stage2(experiment),
    }
    result = verbs[stage]()
    print(result if isinstance(result, dict) else f"{stage}: weights of step {result.best_step} ({result.selected})")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A folder below models/, e.g. stage2.")],
    device: Device = "auto",
    params: ParamsFile = DEFAULT,
    json: Json = False,
):
    """Measure a model on the test splits by the papers' protocols; write results/evaluate/<model>.json and figures.

    A task that cannot be judged is listed and costs no other task; the exit code is then 2.

    Example: `faceptor evaluate stage2`
    """
    from faceptor.pipeline.evaluation import evaluate_model

    report = evaluate_model(_load(params), model, device=device)
    if json:
        print(jsonlib.dumps(report, indent=2))


@app.command()
def transfer(
    dataset: Annotated[str, typer.Argument(help="A data set of transfer.tasks, e.g. aflw19.")],
    mode: Annotated[str, typer.Argument(help="prompt, decoder or full (transfer.modes).")],
    device: Device = "auto",
    params: ParamsFile = DEFAULT,
    json: Json = False,
):
    """Teach a trained model an unseen data set in one of three ways, and measure what the old tasks lost by it.

    `prompt` trains the new task's queries, `decoder` also the decoders and output modules, `full` everything (Faceptor,
    section 4.6). Writes results/transfer/<dataset>-<mode>.json and models/transfer/<dataset>-<mode>.

    Example: `faceptor transfer lapa prompt`
    """
    from faceptor.io.files import RESULTS, read_json
    from faceptor.pipeline.patterns import check_transfer
    from faceptor.pipeline.transfer import task_of
    from faceptor.pipeline.transfer import transfer as run

    experiment = _load(params)
    check_transfer(experiment, [task_of(experiment, unspelled(dataset))])
    start = experiment.params.transfer.start
    read_json(RESULTS / "evaluate" / "details" / f"{start}.json")  # forgetting is told against it
    report = run(experiment, dataset, mode, device=device)
    if json:
        print(jsonlib.dumps(report, indent=2))


@app.command()
def notebook(
    name: Annotated[str, typer.Argument(help="A notebook below notebooks/, without .ipynb.")],
    params: ParamsFile = DEFAULT,
):
    """Execute a notebook with its section of params.yaml; write reports/<name>.ipynb and .html.

    Example: `faceptor notebook layer_attention`
    """
    from faceptor.pipeline.notebooks import execute

    print(execute(_load(params), name))


@app.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages, with all they need; none = everything.")] = None,
    jobs: Annotated[int, typer.Option(help="Stages at a time; 0 = two on several cores without a GPU, else one.")] = 0,
    pull: Annotated[bool | None, typer.Option(help="Fetch what is missing from the DVC remote.")] = None,
    allow_missing: Annotated[bool | None, typer.Option(help="Make no output only because it is nowhere.")] = None,
):
    """Run what changed in the whole pipeline, with independent stages side by side.

    Where a DVC remote is set, as `dvc repro --pull --allow-missing` does: what is there is fetched and not made again.
    Without one, as `dvc repro` does. Ctrl-C stops all stages, and the same command goes on.

    Example: `faceptor repro --jobs 4`
    """
    from faceptor.pipeline.patterns import check_patterns
    from faceptor.pipeline.repro import reproduce

    if DEFAULT.exists():
        check_patterns(_load(DEFAULT))
    ran = reproduce(stages or (), jobs=jobs, pull=pull, allow_missing=allow_missing)
    print(f"repro: {len(ran)} stages ran" if ran else "repro: nothing changed")


@app.command()
def readme(params: ParamsFile = DEFAULT):
    """Write the results in README.md and docs/results.md from results/.

    Example: `faceptor readme`
    """
    from faceptor.pipeline.readme import PAGE, README, rewrite

    changed = rewrite(_load(params))
    for path in (README, PAGE):
        print(f"{path}: " + ("results rewritten" if path in changed else "results already up to date"))


def _load(path: Path, *, every: bool = False):
    from faceptor.pipeline import experiment

    if not every:
        return experiment.load(path)
    from faceptor.config import load_params
    from faceptor.pipeline.all_datasets import with_every_data_set

    return experiment.resolve(with_every_data_set(load_params(path)), origin=str(path))


def _chosen(names: list[str] | None, known, section: str) -> list[str]:
    names = [unspelled(name) for name in names or []]
    strangers = [name for name in names if name not in known]
    if strangers:
        raise FaceptorError(f"{section} in params.yaml has no {strangers[0]!r}; expected one of {', '.join(known)}")
    return list(names or known)
