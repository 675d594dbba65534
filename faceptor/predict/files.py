"""What is written about one photograph: a JSON file, a picture of its faces, its class maps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceptor.figures.drawing import class_colours
from faceptor.io.writing import write_whole
from faceptor.predict import overlay
from faceptor.predict.names import SHEET, json_text
from faceptor.predict.predictor import Face
from faceptor.predict.stream import Item, face_record, facts
from faceptor.tasks import kind_of
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.parsing import ParsingPrediction

# How Pillow writes them. Type 3 of zlib looks for runs alone: a PNG takes 0.2 s for 0.5, and as many bytes.
PICTURES = {
    "png": {"format": "PNG", "compress_level": 1, "compress_type": 3},
    "jpg": {"format": "JPEG", "quality": 92},
    "webp": {"format": "WEBP", "quality": 90, "method": 2},
}


def write_answer(
    item: Item, faces: Sequence[Face], out: Path, stem: str, *, picture: str | None, model: dict[str, Any]
) -> dict[str, Any]:
    """Write the files of one photograph or frame; returns what the JSON file holds.

    picture: how the overlay is written, "png", "jpg" or "webp"; None: not at all.
    """
    files: dict[str, bytes] = {}
    entries = [face_record(face, item.photo.reduction) for face in faces]
    for number, (face, entry) in enumerate(zip(faces, entries, strict=True), start=1):
        for name in entry["tasks"]:
            if not kind_of(face.specs[name]).class_map:
                continue
            file = f"{stem}-{name}.png" if len(faces) == 1 else f"{stem}-{name}-{number}.png"
            files[file] = class_map(face.specs[name], face.results[name])
            entry["tasks"][name] |= {"map": file}
    pictures = []
    if picture:
        for number, page in enumerate(overlay.draw_pages(item.photo.pixels, faces), start=1):
            pictures.append(f"{stem}.{picture}" if number == 1 else f"{stem}-{SHEET}-{number}.{picture}")
            files[pictures[-1]] = encoded(page, picture)
    about = {"photo": str(item.path), "sha256": item.sha256}
    about |= {} if item.frame is None else {"frame": item.frame, "seconds": item.seconds}
    told = facts(item, faces)
    report = about | {"width": told.pop("width"), "height": told.pop("height"), "model": model} | told
    report |= {"overlay": pictures[0]} if pictures else {}
    report |= {"sheets": pictures[1:]} if pictures[1:] else {}
    report |= {"faces": entries}
    write_all(out, files | {f"{stem}.json": f"{json_text(report)}\n".encode()})
    return report


def encoded(picture: Image.Image, form: str) -> bytes:
    """A Pillow picture as a file: PNG fast rather than small."""
    data = io.BytesIO()
    picture.save(data, **PICTURES[form])
    return data.getvalue()


def write_all(folder: Path, files: dict[str, bytes]) -> None:
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


def class_map(spec: TaskSpec, prediction: ParsingPrediction) -> bytes:
    """A class map as a PNG whose pixel values are class numbers and whose palette shows them in colour."""
    picture = Image.fromarray(prediction.classes)
    picture.putpalette(np.ascontiguousarray(class_colours(spec.queries)).tobytes())
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()
