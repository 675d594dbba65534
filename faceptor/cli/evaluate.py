"""`faceptor evaluate`: measure a model on the test splits."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Device, Json, ParamsFile, as_json, load


def evaluate(
    model: Annotated[str, typer.Argument(help="A folder below models/, e.g. stage2.")],
    device: Device = "auto",
    params: ParamsFile = PARAMS,
    json: Json = False,
):
    """Measure a model on the test splits by the papers' protocols; write results/evaluate/<model>.json and figures.

    A task that cannot be judged is listed and costs no other task; the exit code is then 2.

    Example: `faceptor evaluate stage2`
    """
    from faceptor.pipeline.evaluation import evaluate_model

    report = evaluate_model(load(params), model, device=device)
    if json:
        print(as_json(report))
