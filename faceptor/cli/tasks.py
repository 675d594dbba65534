"""`faceptor tasks`: tasks of a model as small files, listed, written, installed, removed."""

from pathlib import Path
from typing import Annotated

import typer

from faceptor.cli.options import Json, as_json

Model = Annotated[Path, typer.Argument(help="A model folder, e.g. models/stage1.", show_default=False)]
Task = Annotated[str, typer.Argument(help="A task of the model.", show_default=False)]
Folder = Annotated[Path, typer.Option("--out", help="The new model folder.")]

tasks_app = typer.Typer(
    no_args_is_help=True,
    help="Tasks as small files: what a model has, one task as a pack, packs into a model, a task out of it.\n\n"
    "A pack fits the model that its task was taught on, whatever other tasks that has.\n\n"
    "Example: `faceptor tasks list models/stage1`",
)


@tasks_app.command("list")
def list_tasks(
    source: Annotated[Path, typer.Argument(help="A model folder or a task pack.", show_default=False)],
    json: Json = False,
):
    """List the tasks of a model folder or of a pack: kind, labels, own numbers, crop, what taught it, base.

    Example: `faceptor tasks list models/transfer/lapa-prompt`
    """
    from faceptor.deploy.packs import is_pack, read_pack, tasks_of_model
    from faceptor.weights.folder import load_model

    rows = [read_pack(source).facts()] if is_pack(source) else tasks_of_model(load_model(source))
    if json:
        print(as_json(rows))
        return
    width = max(len(row["task"]) for row in rows)
    for row in rows:
        size, shared = row["crop"].get("size"), row["shared_numbers"]
        told = [f"{row['labels']} labels", f"{row['numbers']:,} own numbers ({row['bytes']:,} bytes)"]
        told += [f"crop {row['crop'].get('kind')} {size} px"] if size else []
        told += [f"and {shared:,} shared numbers that its transfer changed"] if shared else []
        told += ["taught by generated faces"] if row["generated"] else []
        print(f"{row['task']:<{width}}  {', '.join(told)}")
    print(f"base {rows[0]['base']}")


@tasks_app.command("export")
def export_task(
    model: Model,
    task: Task,
    out: Annotated[Path, typer.Option("--out", help="The pack, a .safetensors file.")],
    base: Annotated[
        Path | None,
        typer.Option("--base", help="Model folder it is to be installed on, where a transfer changed shared weights."),
    ] = None,
):
    """Write one task of a model as a pack.

    The queries of a task, its labels, its crop and the hash of its base. With --base also the shared weights in which
    the model differs from that one, as after the transfer modes decoder, full and lora; such a pack is used alone.

    Example: `faceptor tasks export models/transfer/lapa-prompt parsing_lapa --out lapa.safetensors`
    """
    from faceptor.deploy.packs import size_of, take_out, write_pack
    from faceptor.weights.folder import load_model

    pack = take_out(load_model(model), task, base=load_model(base) if base else None)
    write_pack(pack, out)
    changed = f", with {len(pack.shared)} shared tensors" if pack.shared else ""
    print(f"{out}: {task}, {size_of(out)}{changed}; for base {pack.base[:12]}")


@tasks_app.command("add")
def add_tasks(
    model: Model,
    packs: Annotated[list[Path], typer.Argument(help="Task packs.", show_default=False)],
    out: Folder,
    alone: Annotated[
        bool, typer.Option("--alone", help="Leave the model's own tasks out, for a pack with shared weights.")
    ] = False,
):
    """Write a model that has the tasks of these packs, too; all of them answer in one pass.

    Each answers as the model that its pack was taken from, to the bit. A pack for another base is refused.

    Example: `faceptor tasks add models/stage1 lapa.safetensors --out models/stage1-lapa`
    """
    from faceptor.deploy.packs import install, read_pack
    from faceptor.weights.folder import load_model, save_model

    grown = install(load_model(model), {str(path): read_pack(path) for path in packs}, alone=alone)
    save_model(grown, out, grown.provenance)
    print(f"{out}: {len(grown.tasks)} tasks: {', '.join(grown.tasks)}")


@tasks_app.command("remove")
def remove_task(model: Model, task: Task, out: Folder):
    """Write a model without one of its tasks; the others answer as before.

    Example: `faceptor tasks remove models/stage1 age_morph2 --out models/stage1-without`
    """
    from faceptor.deploy.packs import without
    from faceptor.weights.folder import load_model, save_model

    rest = without(load_model(model), task)
    save_model(rest, out, rest.provenance)
    print(f"{out}: {len(rest.tasks)} tasks: {', '.join(rest.tasks)}")
