"""`faceptor export`: a model as ONNX or torch.export."""

from pathlib import Path
from typing import Annotated

import typer

from faceptor.cli.options import PARAMS, Json, ParamsFile, as_json, load


def export(
    model: Annotated[Path, typer.Argument(help="A model folder, e.g. models/stage2.")],
    to: Annotated[str, typer.Option(help="onnx or torch.")] = "onnx",
    task: Annotated[
        list[str] | None, typer.Option("--task", metavar="NAME", help="A task; repeat for more; none = all.")
    ] = None,
    precision: Annotated[str, typer.Option(help="How weights are stored: fp32, bf16 or int8.")] = "fp32",
    out: Annotated[Path | None, typer.Option("--out", help="The file; none: the folder's name, here.")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="What the weights' precision costs each task, on validation samples.")
    ] = False,
    params: ParamsFile = PARAMS,
    json: Json = False,
):
    """Write a model as one file for another runtime, check it there, and describe it in a JSON file beside it.

    The graph has an input for each input group (a free number of images, RGB in [0, 1]) and an output for each task.
    The JSON file has labels, crops, hash, licence and what taught the model.

    Example: `faceptor export models/stage2 --to onnx --precision bf16 --out stage2.onnx`
    """
    from faceptor.deploy.export import beside, export_model, write_contract
    from faceptor.deploy.formats import SUFFIXES

    out = out or Path(model.resolve().name + SUFFIXES.get(to, ""))
    contract = export_model(model, out, to=to, tasks=task, precision=precision)
    if measure:
        from faceptor.pipeline.stored_cost import cost_of_precision

        contract["cost"] = cost_of_precision(load(params), model, list(contract["tasks"]), precision)
        write_contract(out, contract)
    print(as_json(contract) if json else "\n".join(_lines(contract, out, beside(out))))


def _lines(contract: dict, out: Path, description: Path):
    file, parity = contract["file"], contract["parity"]
    yield f"{out}: {file['bytes']:,} bytes, weights {file['weights']}; {description} says what it takes and gives"
    for name, given in contract["inputs"].items():
        yield f"  {name}: {' x '.join(map(str, given['shape']))}, {given['takes']}"
    batches = " and ".join(map(str, parity["batches"]))
    yield f"largest difference from the model at batch {batches}:"
    for task, difference in parity["largest_difference"].items():
        yield f"  {task}: {difference:.2g}"
    if "cost" in contract:
        yield f"on validation samples, fp32 -> {file['weights']}:"
        for task, row in contract["cost"].items():
            yield f"  {task}: {row['metric']} {row['fp32']:.3f} -> {row['stored']:.3f} ({row['samples']} samples)"
    if warning := contract["model"].get("warning"):
        yield warning
