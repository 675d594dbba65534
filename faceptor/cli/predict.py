"""`faceptor predict`: the faces of photographs, folders and videos, as pictures and JSON files or as one table."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from faceptor.cli.options import Device, Json
from faceptor.cli.progress import watched
from faceptor.cli.reports import sum_up, tell
from faceptor.config.choices import CropSharing, EnginePrecision
from faceptor.errors import ConfigError, DataError, FaceptorError

LARGEST_JSON = 64 << 20  # bytes of a model.json
EACH, TABLES, PICTURES = "json", ("jsonl", "csv", "parquet"), ("png", "jpg", "webp")

Photos = Annotated[
    list[Path], typer.Argument(help="Photographs, folders (all below them), videos.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", help="Folder for what is written.")]
TRAINED = Path("models/stage2")
ModelFolder = Annotated[
    Path | None,
    typer.Option("--model", help=f"A model folder; none: {TRAINED} if there, else the one that ships with faceptor."),
]
Boxes = Annotated[
    list[str] | None,
    typer.Option("--box", metavar="X1,Y1,X2,Y2", help="A face, from brows to chin, in pixels; repeat for more faces."),
]
Tasks = Annotated[list[str] | None, typer.Option("--task", metavar="NAME", help="A task; repeat for more; none = all.")]
Patterns = Annotated[
    list[str] | None, typer.Option("--pattern", help="Of folders take the files that fit, as '*.jpg'; repeat for more.")
]
EveryFrame = Annotated[
    str, typer.Option("--every", help="Of a video each n-th frame (10), or one each so long (0.5s).")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="json: a picture and a JSON file each. jsonl, csv, parquet: one file that grows, and goes on where a run "
        "was stopped. None: json for photographs, jsonl for folders and videos.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(help="Of csv and parquet: short (no points or embeddings; what csv has), all, or age*,*.Smiling."),
]
Detector = Annotated[
    str | None, typer.Option(metavar="NAME", help="What finds faces: centerface (none = this), or as yunet:FILE.onnx.")
]
MinScore = Annotated[
    float | None, typer.Option(min=0, max=1, help="How sure the detector must be of a face; none = its own.")
]
Overlay = Annotated[
    str, typer.Option(help="Pictures of --format json, and sheets, as png, jpg or webp; none = no overlays.")
]
Crops = Annotated[
    CropSharing,
    typer.Option(help="own: each task sees the face as in training; shared: one crop for all of a sort, faster."),
]
Precision = Annotated[EnginePrecision, typer.Option(help="What matrix products are computed in.")]
Batch = Annotated[int | None, typer.Option(min=1, help="At most so many faces together; fewer take less memory.")]
Sheet = Annotated[bool, typer.Option("--sheet", help="Contact sheets, too: a tile for each face, 24 on a page.")]
Again = Annotated[bool, typer.Option("--again", help="Answer everything again, and replace the results file.")]


def predict_command(
    photos: Photos,
    out: Out,
    model: ModelFolder = None,
    box: Boxes = None,
    task: Tasks = None,
    format: Format = None,
    columns: Columns = None,
    pattern: Patterns = None,
    every: EveryFrame = "1",
    detector: Detector = None,
    min_score: MinScore = None,
    overlay: Overlay = "png",
    sheet: Sheet = False,
    again: Again = False,
    crops: Crops = "own",
    precision: Precision = "fp32",
    batch: Batch = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find faces and answer all tasks about them: a picture and a JSON file per photograph, or a table of many.

    A photograph that cannot be answered is reported and the others go on; the exit code is then 1. Photographs have any
    name and up to 89 megapixels, JPEGs any number (larger ones are looked at reduced).

    Example: `faceptor predict party.jpg --out answers`, `faceptor predict holiday/ --out answers --format csv`,
    `faceptor predict talk.mp4 --every 0.5s --sheet --out answers`
    """
    boxes = [parse_box(text) for text in box] if box else None
    model = model or at_hand()
    check_names(model, task)
    form = check_options(photos, format, columns, overlay, every)
    if detector:
        from faceptor.predict.detector import detector_of

        detector_of(detector)  # a wrong name is said now
    if missing := all_missing(photos):
        tell(missing, json, {})
    network, facts = load(model, device, precision, batch)
    network.choose_tasks(task)  # a wrong name is one error, not one per photograph
    _make_folder(out)
    from faceptor.predict.job import Job, run
    from faceptor.predict.video import parse_every

    job = Job(
        photos, out, form, facts, boxes=boxes, tasks=task, patterns=pattern or (), every=parse_every(every),
        detector=detector, min_score=min_score, crops=crops, precision=precision,
        columns=columns or ("short" if form == "csv" else "all"), picture=None if overlay == "none" else overlay,
        sheet=sheet, again=again,
    )  # fmt: skip
    reports = watched(run(network, job), total=_total(job), what="photographs and frames")
    if form == EACH:
        tell(reports, json, facts)
    else:
        sum_up(reports, job, json)


def check_options(photos: Sequence[Path], form: str | None, columns: str | None, overlay: str, every: str) -> str:
    """The format that is meant; ConfigError for an option that cannot be, before anything is loaded."""
    from faceptor.predict.folder import is_video
    from faceptor.predict.video import parse_every, require_av

    parse_every(every)
    if any(is_video(photo) for photo in photos):
        require_av()
    known = EACH, *TABLES
    form = form or ("jsonl" if all(os.path.isdir(photo) or is_video(photo) for photo in photos) else EACH)
    if form not in known:
        raise ConfigError(f"--format {form!r}: expected one of {', '.join(known)}")
    if overlay not in (*PICTURES, "none"):
        raise ConfigError(f"--overlay {overlay!r}: expected one of {', '.join(PICTURES)}, none")
    if columns and form not in ("csv", "parquet"):
        raise ConfigError(f"--columns {columns}: {form} has no columns; add --format csv or --format parquet")
    if form == "parquet":
        import pyarrow  # noqa: F401 (said now where it is missing)
    return form


def load(model: Path, device: str, precision: str = "fp32", batch: int | None = None) -> tuple[Any, dict[str, Any]]:
    """The engine of a model folder, and what is said of it beside every answer."""
    from faceptor.pipeline.device import pick_device
    from faceptor.predict.engine import BATCH_SIZES, Engine
    from faceptor.weights.folder import load_model, model_hash

    sizes = [*(size for size in BATCH_SIZES if size < batch), batch] if batch else BATCH_SIZES
    engine = Engine(load_model(model, device=pick_device(device)), precision, batch_sizes=sizes)
    return engine, {"folder": str(model), "hash": model_hash(model)}


def at_hand() -> Path:
    """The model folder where none is named: the one trained here, else the one that comes with the package."""
    from faceptor.io.files import SHIPPED

    trained = (TRAINED / "model.json").is_file()
    chosen = TRAINED if trained else SHIPPED
    print(f"model: {TRAINED}" if trained else f"model: {SHIPPED}, which ships with faceptor", file=sys.stderr)
    return chosen


def check_names(model: Path, tasks: Sequence[str] | None) -> None:
    """ConfigError for a task that model.json does not name, before the libraries that a network needs are loaded.

    Says nothing about a folder that holds no model: loading it does.
    """
    from faceptor.io.regular import read_regular

    try:
        entries = jsonlib.loads(read_regular(model / "model.json", largest=LARGEST_JSON))["tasks"]
        known = [entry["name"] for entry in entries]
    except (FaceptorError, ValueError, LookupError, TypeError, RecursionError):
        return
    for name in tasks or ():
        if name not in known:
            close = get_close_matches(name, [str(one) for one in known], n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(f"--task {name!r}: not in this model; {hint}{model} has {', '.join(map(str, known))}")


def all_missing(photos: Sequence[Path]) -> list[dict[str, Any]]:
    """A report of each path, where not one can be read: known before a network is loaded for nothing."""
    from faceptor.io.regular import open_regular
    from faceptor.predict.photographs import FORMATS

    reports = []
    for photo in photos:
        if os.path.exists(photo):
            return []
        try:
            open_regular(photo, largest=0, remedy=f"give a photograph as {FORMATS}").close()
        except FaceptorError as error:
            reports.append({"photo": str(photo), "error": str(error)})
    return reports


def _total(job: Any) -> int | None:
    """How many photographs and frames there are, about; None where a video does not say."""
    from faceptor.predict.folder import sources
    from faceptor.predict.video import count_frames

    total = 0
    for source in sources(job.given, job.patterns, but=job.out):
        count = count_frames(source.path, job.every) if source.video else 1
        if count is None:
            return None
        total += count
    return total


def parse_box(text: str) -> tuple[float, float, float, float]:
    """ "x1,y1,x2,y2" -> four numbers."""
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"--box {text!r}: expected four numbers x1,y1,x2,y2 in pixels, e.g. 175,65,275,180") from None
    return x1, y1, x2, y2


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {folder}: cannot be made a folder ({error.strerror}); choose another") from None
