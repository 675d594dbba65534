"""`faceptor notebook`: execute a notebook as a stage."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, ParamsFile, load


def notebook(
    name: Annotated[str, typer.Argument(help="A notebook below notebooks/, without .ipynb.")],
    params: ParamsFile = PARAMS,
):
    """Execute a notebook with its section of params.yaml; write reports/<name>.ipynb and .html.

    Example: `faceptor notebook layer_attention`
    """
    from faceptor.pipeline.notebooks import execute

    print(execute(load(params), name))
