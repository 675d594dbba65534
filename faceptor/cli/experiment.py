"""`faceptor experiment`: the variants of params.yaml over several seeds."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Device, Json, ParamsFile, as_json

experiment_app = typer.Typer(
    no_args_is_help=True,
    help="Run variants of `params.yaml` (its section `experiments`) over several seeds.\n\n"
    "Example: `faceptor experiment all`, `faceptor experiment run naive --seed 2`",
)
Names = Annotated[list[str] | None, typer.Argument(help="Variants, patterns such as 'la_*' too; none = all.")]
SeedOption = Annotated[int | None, typer.Option(help="One seed; none = every one of experiments.seeds.")]


@experiment_app.command("run")
def experiment_run(
    names: Annotated[list[str], typer.Argument(help="Variants, patterns such as 'la_*' too.")],
    seed: SeedOption = None,
    device: Device = "auto",
    params: ParamsFile = PARAMS,
):
    """Train and judge variants, one after the other; a run that was stopped goes on where it was.

    Writes results/experiments/runs/<name>-<seed>.json. `faceptor experiment all` runs only what is missing or changed.

    Example: `faceptor experiment run naive --seed 2`
    """
    from faceptor.pipeline.experiments import run_variant
    from faceptor.pipeline.variants import Variants, result_of

    variants = Variants.of(params)
    for name in variants.names(names):
        for each in variants.section.seeds if seed is None else [seed]:
            run_variant(variants, name, each, device=device)
            print(f"written: {result_of(name, each)}", flush=True)


@experiment_app.command("start")
def experiment_start(
    seed: Annotated[int, typer.Option(help="The seed.")], device: Device = "auto", params: ParamsFile = PARAMS
):
    """Train what variants with `start: stage1` start from, for one seed, into models/experiments/stage1-<seed>.

    Example: `faceptor experiment start --seed 2`
    """
    from faceptor.pipeline.experiments import train_start
    from faceptor.pipeline.variants import Variants

    train_start(Variants.of(params), seed, device=device)


@experiment_app.command("verdicts")
def experiment_verdicts(params: ParamsFile = PARAMS):
    """Judge the papers' claims (experiments/claims.yaml) by the runs that are there.

    Writes results/experiments/claims.json: holds, does not hold, undecided or not run, with differences over seeds.

    Example: `faceptor experiment verdicts`
    """
    from faceptor.analysis.verdicts import WRITTEN
    from faceptor.config import load_params
    from faceptor.pipeline.claims import write_verdicts

    found = write_verdicts(load_params(params))
    print(f"{WRITTEN}: " + ", ".join(f"{count} {name}" for name, count in found.items()))


@experiment_app.command("settings")
def experiment_settings(params: ParamsFile = PARAMS):
    """Check every variant, and write for each one a small file that changes where what shapes its runs does.

    Example: `faceptor experiment settings`
    """
    from faceptor.pipeline.run_settings import write_settings
    from faceptor.pipeline.variants import Variants

    variants = Variants.of(params)
    write_settings(variants)
    print(f"experiments: {len(variants.section.variants)} variants, {len(variants.section.seeds)} seeds")


@experiment_app.command("all")
def experiment_all(
    names: Names = None,
    seed: SeedOption = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0 = one a GPU, without GPU one a core.")] = 0,
):
    """Run what is missing or changed, side by side; a run that fails stops no other. Ctrl-C stops all, and the same
    command goes on.

    Example: `faceptor experiment all --jobs 4`, `faceptor experiment all 'la_*' --seed 1`
    """
    from faceptor.pipeline.experiment_queue import run_all
    from faceptor.pipeline.variants import Variants

    variants = Variants.of(PARAMS)
    variants.check()
    ran = run_all(variants, variants.names(names or []), variants.section.seeds if seed is None else [seed], jobs=jobs)
    print(f"experiments: {len(ran)} runs" if ran else "experiments: nothing changed")


@experiment_app.command("list")
def experiment_list(json: Json = False):
    """List the variants, and which of their runs are done, stale (what shapes them changed) or missing.

    Example: `faceptor experiment list`
    """
    from faceptor.pipeline.experiment_queue import states
    from faceptor.pipeline.variants import Variants

    variants = Variants.of(PARAMS)
    found = states(variants)
    if json:
        rows = [{"variant": name, "seed": each, "state": state} for (name, each), state in found.items()]
        print(as_json(rows))
        return
    width = max(map(len, variants.section.variants), default=0)
    for name, variant in variants.section.variants.items():
        runs = "  ".join(f"{each} {found[name, each]:7}" for each in variants.section.seeds)
        print(f"{name:{width}}  {runs}  {variant.about}")
    counted = Counter(found.values())
    print(", ".join(f"{counted[state]} {state}" for state in ("done", "stale", "missing")))
