"""`faceptor import-weights`: published weights become a folder that every other verb and `faceptor.load` reads."""

from pathlib import Path
from typing import Annotated, Any

import typer

from faceptor.cli.options import Json, as_json

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Published weights as downloaded (.pth, .pt, .safetensors), or `imagenet` with --backbone.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; one with a model in it is refused.")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="Stage-2 files of Faceptor only: the task a file was trained for, e.g. age_morph2. Repeat, one per file "
        "and in their order. Left out for a single file: its Layer-Attention serves every task with queries.",
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The weights are those of this timm model: what model.backbone.name says."),
]


def import_command(files: Files, out: Out, task: Tasks = None, backbone: Backbone = None, json: Json = False) -> None:
    """Turn weights published by the papers' authors into a model folder.

    The file says by its tensors what it is:

    [bold]Faceptor, stage 1[/bold] (Base: 7 tasks, Full: 13) gives a model folder. The
    classifier of recognition, which only training uses, is left out.

    [bold]Faceptor, stage 2[/bold] gives the same with Layer-Attention. There is one
    file per task and it does not say which task: name it with --task. Several
    files of one model merge into one folder.

    [bold]Naive Faceptor[/bold] and [bold]FaceXFormer[/bold] give a model folder.

    [bold]FaRL pre-training[/bold] (16 or 64 epochs) gives encoder.safetensors, which
    training starts from: set model.encoder.pretrained to it. It has no tasks.

    [bold]imagenet --backbone NAME[/bold] downloads the weights that the timm library
    publishes for a backbone and gives backbone.safetensors, which FaceXFormer
    starts from: set model.backbone.pretrained to it. No other command goes
    online. With a FILE in place of `imagenet` that file is taken.

    Every tensor must fit, and what is left out is reported. Nothing in a file is
    executed. The folder needs the file no more: it holds the weights, the sizes,
    the tasks, how pictures are cropped and normalised, and the licence of the
    weights as far as their authors state one.

    Example: `faceptor import-weights stage1_full.pth --out models/released`

    Example: `faceptor import-weights imagenet --backbone
    swin_base_patch4_window7_224.ms_in1k --out data/pretrained/swin-b`

    Example: `faceptor import-weights age.pth rafdb.pth --task age_morph2
    --task expression_rafdb --out models/released2`
    """
    from faceptor.weights.released import import_weights

    report = summary(import_weights(files, out, tasks=task, backbone=backbone), out)
    print(as_json(report) if json else "\n".join(lines(report)))


def summary(release, out: Path) -> dict[str, Any]:
    """What was imported, as plain data."""
    facts = release.provenance() | {"folder": str(out)}
    del facts["stage"]
    if release.model is None:
        sizes = [tensor.numel() for tensor in release.encoder.values()]
        return facts | {"encoder": str(out / release.file), "tasks": [], "parameters": sum(sizes)}
    return facts | {
        "tasks": list(release.model.tasks),
        "structure": release.model.structure(),
        "parameters": sum(parameter.numel() for parameter in release.model.parameters()),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The summary to read."""
    told = [f"{report['title']}: {report['parameters']:,} parameters, written to {report['folder']}"]
    if report["tasks"]:
        told.append(f"tasks: {', '.join(report['tasks'])}")
    for entry in report.get("structure", {}).get("layer_attention", ()):
        told.append(f"Layer-Attention of its own: {', '.join(entry['tasks'])}")
    for part in report["dropped"]:
        told.append(f"left out: {part['what']} ({part['tensors']} tensors, {part['numbers']:,} numbers), {part['why']}")
    licence = report["licence"]
    told.append(f"licence: weights {licence['weights']}, code {licence['code']}. {licence['remark']}")
    if "encoder" in report:
        key = f"model.{Path(report['encoder']).stem}.pretrained"  # the file is called after the part
        told.append(f"next: set {key} to {report['encoder']} and model.init to released in params.yaml, then train")
    else:
        told.append(f"next: faceptor predict photo.jpg --model {report['folder']} --out answers")
    return told
