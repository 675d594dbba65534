"""`faceptor <verb>`: the verbs, one file each, as one command. Libraries load when a verb needs them."""

import gc
import os
import signal
import sys

import typer
from typer.core import TyperGroup

from faceptor.cli.bench import bench
from faceptor.cli.budget import budget_command
from faceptor.cli.demo import demo
from faceptor.cli.doctor import doctor_app
from faceptor.cli.evaluate import evaluate
from faceptor.cli.experiment import experiment_app
from faceptor.cli.export import export
from faceptor.cli.import_weights import import_command
from faceptor.cli.notebook import notebook
from faceptor.cli.params import params_app
from faceptor.cli.predict import predict_command
from faceptor.cli.preprocess import preprocess
from faceptor.cli.readme import readme
from faceptor.cli.report import report
from faceptor.cli.repro import repro
from faceptor.cli.synthesize import synthesize
from faceptor.cli.tasks import tasks_app
from faceptor.cli.train import train
from faceptor.cli.transfer import transfer
from faceptor.cli.trouble import after_a_failed_experiment, flushed, guarded, speakable
from faceptor.io.processes import ERRORS_FOLDER, end_with_parent

OBJECTS_BEFORE_COLLECTION = 50_000  # with Python's 700, a tenth of a start is spent on looking for garbage


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
app.add_typer(experiment_app, name="experiment")
app.add_typer(tasks_app, name="tasks")
app.command("budget")(budget_command)
app.command("predict")(predict_command)
app.command("import-weights")(import_command)
VERBS = (synthesize, preprocess, train, evaluate, transfer, export, demo, bench, notebook, repro, readme, report)
for verb in VERBS:
    app.command()(verb)


def main() -> None:
    """Entry point: what lies outside the program is one line and an exit code (see `trouble`), a fault a traceback."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if os.environ.keys() & {"DVC_STAGE", ERRORS_FOLDER}:  # stop, with a checkpoint, when DVC or the launcher is killed
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
