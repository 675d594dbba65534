"""`faceptor predict`: for every photograph a picture of what was found and a JSON file, in one folder."""

from __future__ import annotations

import hashlib
import io
import json as jsonlib
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from faceptor.cli.options import Device, Json
from faceptor.errors import ConfigError, DataError, FaceptorError
from faceptor.io.writing import describe, write_whole

LARGEST_JSON = 64 << 20  # bytes of a model.json or of an earlier answer
LARGEST_HASHED = 1 << 30  # bytes of a photograph that is compared with an earlier answer's

Photos = Annotated[list[Path], typer.Argument(help="Photographs: JPEG, PNG, WebP, TIFF, ...", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Folder for the pictures and JSON files.")]
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


def predict_command(
    photos: Photos,
    out: Out,
    model: ModelFolder = None,
    box: Boxes = None,
    task: Tasks = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Find the faces of photographs and answer all tasks about them; write a picture and a JSON file per photograph.

    A photograph that cannot be answered is reported and the others go on; the exit code is then 1. Photographs have any
    name and up to 89 megapixels, JPEGs any number (larger ones are looked at reduced).

    Example: `faceptor predict party.jpg --out answers`
    """
    boxes = [parse_box(text) for text in box] if box else None
    model = model or at_hand()
    check_names(model, task)
    from faceptor.pipeline.device import pick_device
    from faceptor.weights.folder import load_model, model_hash

    network = load_model(model, device=pick_device(device))
    network.choose_tasks(task)  # a wrong name is one error, not one per photograph
    facts = {"folder": str(model), "hash": model_hash(model)}
    _make_folder(out)
    reports = []
    for photo, stem in zip(photos, file_names(photos, out, network.tasks), strict=True):
        report = _report(network, photo, out, stem, boxes=boxes, tasks=task, facts=facts)
        reports.append(report)
        if "warning" in report:
            print(f"warning: {photo}: {report['warning']}", file=sys.stderr)
        if not json and "error" not in report:
            print("\n".join(_summary(report)))
    failed = [report for report in reports if "error" in report]
    if json:
        print(json_text({"model": facts, "photos": [_plain(report) for report in reports]}))
    elif failed and len(reports) > 1:
        listed = "\n".join(f"  {report['photo']}" for report in failed)
        print(f"{len(failed)} of {len(reports)} photographs were not answered:\n{listed}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


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


def _report(network, photo: Path, out: Path, stem: str, **settings) -> dict[str, Any]:
    """What is known about one photograph, its error included, so that the others go on."""
    try:
        return _answer(network, photo, out, stem, **settings)
    except FaceptorError as error:
        reason = str(error)
    except MemoryError:
        reason = f"{photo}: this machine has not enough memory for it; scale it down"
    except OSError as error:
        reason = describe(error, error.filename or photo)
    except Exception as error:  # a fault of this program, which is shown; the other photographs do not pay for it
        traceback.print_exc()
        reason = f"{photo}: {type(error).__name__} in this program (see above); please report it"
    print(f"error: {reason}", file=sys.stderr)
    return {"photo": str(photo), "error": reason}


def _answer(network, photo: Path, out: Path, stem: str, *, boxes, tasks, facts: dict) -> dict[str, Any]:
    """Predict one photograph and write its files; returns what the JSON file holds, and the faces in words."""
    from faceptor.predict.overlay import draw_faces
    from faceptor.predict.predictor import answer_photo, generated_warning, open_photo
    from faceptor.tasks import kind_of

    opened, sha256 = open_photo(photo)
    faces = answer_photo(network, opened, boxes, tasks, name=str(photo))
    entries, files = [], {}
    for number, face in enumerate(faces, start=1):
        entry = face.magnified(opened.reduction).to_json()
        for name, answer in face.results.items():
            if kind_of(face.specs[name]).class_map:  # written to a file of its own, which the JSON names
                file = f"{stem}-{name}.png" if len(faces) == 1 else f"{stem}-{name}-{number}.png"
                files[file] = _class_map(face.specs[name], answer)
                told = entry["tasks"][name]
                entry["tasks"][name] = {key: value for key, value in told.items() if key != "runs"} | {"map": file}
        entries.append(entry)
    overlay = io.BytesIO()
    draw_faces(opened.pixels, faces).save(overlay, "PNG")
    files[f"{stem}.png"] = overlay.getvalue()
    report = {"photo": str(photo), "sha256": sha256, "width": opened.size[1], "height": opened.size[0], "model": facts}
    if opened.reduction > 1:
        report["reduced"] = opened.reduction  # class maps are that much smaller
    if faces[0].generated:
        report |= {"generated": True, "warning": generated_warning(faces[0].generated, of=len(faces[0].results))}
    report |= {"overlay": f"{stem}.png", "faces": entries}
    _write_all(out, files | {f"{stem}.json": f"{json_text(report)}\n".encode()})
    words = [{n: kind_of(f.specs[n]).describe(f.specs[n], a) for n, a in f.results.items()} for f in faces]
    return report | {"json": str(out / f"{stem}.json"), "words": words}


def _write_all(folder: Path, files: dict[str, bytes]) -> None:
    """The files of one photograph; where one cannot be written, those that were not there before go again."""
    new = [folder / name for name in files if not (folder / name).exists()]
    try:
        for name, data in files.items():
            write_whole(folder / name, data)
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def _class_map(spec, prediction) -> bytes:
    """A class map as a PNG whose pixel values are class numbers and whose palette shows them in colour."""
    import numpy as np
    from PIL import Image

    from faceptor.figures.drawing import class_colours

    picture = Image.fromarray(prediction.classes)
    picture.putpalette(np.ascontiguousarray(class_colours(spec.queries)).tobytes())
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def _summary(report: dict[str, Any], most: int = 4) -> Iterable[str]:
    """Lines for people: how many faces, then each face's answers."""
    count = len(report["faces"])
    yield f"{report['photo']}: {count} face{'s' if count != 1 else ''} -> {report['json']}"
    for number, (face, words) in enumerate(zip(report["faces"], report["words"], strict=True), start=1):
        x1, y1, x2, y2 = face["box"]
        yield f"  face {number} at {x1:.0f},{y1:.0f},{x2:.0f},{y2:.0f}"
        for name, said in words.items():
            more = f", and {len(said) - most} more" if len(said) > most else ""
            yield f"    {name}: {', '.join(said[:most])}{more}"


def _plain(report: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in ("words", "model")}


def parse_box(text: str) -> tuple[float, float, float, float]:
    """ "x1,y1,x2,y2" -> four numbers."""
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"--box {text!r}: expected four numbers x1,y1,x2,y2 in pixels, e.g. 175,65,275,180") from None
    return x1, y1, x2, y2


# --- files -----------------------------------------------------------------------------------------------------------


def file_names(photos: Sequence[Path], out: Path, tasks: Iterable[str]) -> list[str]:
    """A stem in `out` for each photograph, such that no file of one replaces a file of another, or a photograph.

    A photograph keeps its stem; "_2", "_3", ... is added where another one, of this run or an earlier, has it. (Not
    "-2": so end the maps of a second face.) Stems too long for the files' names are cut and end in a hash of the whole.
    """
    tasks = list(tasks)
    room = _longest_name(out) - max(len(os.fsencode(f"_99999-{task}-9999.json")) for task in ("", *tasks))
    originals = {_real(photo) for photo in photos}
    taken: list[tuple[str, Path]] = []

    def clash(stem: str, photo: Path) -> bool:
        files = [out / f"{name}.png" for name in (stem, *(f"{stem}-{task}" for task in tasks))]
        files.append(out / f"{stem}.json")
        if any(_real(file) in originals for file in files):
            return True
        if any(photo != other and _meet(stem, name, tasks) for name, other in taken):
            return True
        return any(file.exists() for file in files) and not _about(files[-1], photo)

    stems = []
    for photo in photos:
        base = shortened(photo.stem, room) or "photo"
        number, stem = 1, base
        while clash(stem, _real(photo)):
            number += 1
            stem = f"{base}_{number}"
        taken.append((stem, _real(photo)))
        stems.append(stem)
    return stems


def shortened(stem: str, room: int) -> str:
    """A stem of at most `room` bytes; what is cut has a mark of its own for each whole stem."""
    whole = os.fsencode(stem)
    if len(whole) <= room:
        return stem
    mark = "~" + hashlib.sha256(whole).hexdigest()[:12]
    return whole[: max(room - len(mark), 0)].decode(errors="ignore") + mark


def _longest_name(folder: Path) -> int:
    """Bytes that a file name may have there."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, AttributeError, ValueError):
        return 255


def _meet(one: str, other: str, tasks: Sequence[str]) -> bool:
    """Whether two stems could name the same file; case does not tell files apart everywhere."""
    maps = "|".join(re.escape(task) for task in tasks)

    def reaches(a: str, b: str) -> bool:
        return re.fullmatch(rf"{re.escape(a)}(-({maps})(-\d+)?)?", b, re.IGNORECASE) is not None

    return reaches(one, other) or reaches(other, one)


def _about(file: Path, photo: Path) -> bool:
    """Whether a JSON file in the output folder is an earlier answer about the same photograph."""
    from faceptor.io.regular import read_regular, sha256_of

    try:
        report = jsonlib.loads(read_regular(file, largest=LARGEST_JSON))
        if _real(Path(report["photo"])) == photo:
            return True
        return report["sha256"] == sha256_of(photo, largest=LARGEST_HASHED)
    except (FaceptorError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return False  # not ours: leave it alone


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {folder}: cannot be made a folder ({error.strerror}); choose another") from None


def json_text(value: Any, pad: str = "\n") -> str:
    """Indented JSON that keeps lists of numbers and words on one line."""
    inner = pad + "  "
    if isinstance(value, dict) and value:
        items = [f"{jsonlib.dumps(key)}: {json_text(item, inner)}" for key, item in value.items()]
        return "{" + ",".join(inner + item for item in items) + pad + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + ",".join(inner + json_text(item, inner) for item in value) + pad + "]"
    return jsonlib.dumps(value, allow_nan=False)
