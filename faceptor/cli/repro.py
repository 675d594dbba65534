"""`faceptor repro`: run what changed in the whole pipeline."""

from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, load


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

    if PARAMS.exists():
        check_patterns(load(PARAMS))
    ran = reproduce(stages or (), jobs=jobs, pull=pull, allow_missing=allow_missing)
    print(f"repro: {len(ran)} stages ran" if ran else "repro: nothing changed")
