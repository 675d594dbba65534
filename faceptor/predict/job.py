"""Many photographs and videos through one network: files for each, or one results file that grows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faceptor.errors import ConfigError
from faceptor.predict import files, results, stream, table
from faceptor.predict.detector import detector_of, detector_version
from faceptor.predict.folder import sources
from faceptor.predict.names import Names, real
from faceptor.predict.predictor import Face, answer_image
from faceptor.predict.sheet import Sheets
from faceptor.predict.video import Every
from faceptor.tasks import kind_of

BLANK = 96  # pixels, sides of an empty picture whose answers say which columns there are


@dataclass(frozen=True, eq=False)
class Job:
    """What is asked.

    given     photographs, folders, videos; patterns: of files in folders; every: which frames of a video
    out       an existing folder; form: "json", files for each photograph, or one of `results.FORMATS`
    model     facts of the model, which stand beside the answers; precision: of the engine that it runs in
    detector  a name of `faceptor.predict.detector.detector_of`
    boxes, tasks, min_score, crops  of `faceptor.predict.many.answer_photos`
    picture   ending of overlays and sheets; None: no overlays; sheet: contact sheets
    """

    given: Sequence[Path]
    out: Path
    form: str
    model: dict[str, Any]
    boxes: Sequence[Sequence[float]] | None = None
    tasks: Sequence[str] | None = None
    patterns: Sequence[str] = ()
    every: Every = field(default_factory=Every)
    detector: str | None = None
    min_score: float | None = None
    crops: str = "own"
    precision: str = "fp32"
    columns: str = table.SHORT
    picture: str | None = "png"
    sheet: bool = False
    again: bool = False

    def settings(self, network: Any) -> dict[str, Any]:
        """What the answers depend on, beside the photograph itself."""
        return {
            "model": self.model["hash"], "tasks": network.choose_tasks(self.tasks), "boxes": self.boxes,
            "detector": self.detector or detector_version(), "min_score": self.min_score, "crops": self.crops,
            "precision": self.precision, "every": str(self.every), "columns": self.columns,
        }  # fmt: skip


def run(network: Any, job: Job) -> Iterator[dict[str, Any]]:
    """Answer and write; yields a report of each photograph and frame: what is written about it, its `error`, or that it
    was `answered` by an earlier run."""
    if any(os.path.isdir(path) and real(path) == real(job.out) for path in job.given):
        raise ConfigError(f"--out {job.out}: is looked at, and would be filled meanwhile; name another folder")
    sheets = Sheets(job.out, job.picture or "png") if job.sheet else None
    yield from (_each(network, job, sheets) if job.form == "json" else _growing(network, job, sheets))
    if sheets:
        sheets.flush()


def _each(network: Any, job: Job, sheets: Sheets | None) -> Iterator[dict[str, Any]]:
    """A JSON file, overlay and class maps for each."""
    names = Names(job.out, network.tasks, job.given, job.picture or "png")
    for item, faces in _answers(network, job, (), required=True):
        if not item.error:
            try:
                stem = names.stem(item.path, item.frame)
                report = files.write_answer(item, faces, job.out, stem, picture=job.picture, model=job.model)
                if sheets:
                    sheets.add(item.photo.pixels, faces, _title(item))
                yield report | {"json": str(job.out / f"{stem}.json"), "words": words(faces)}
                continue
            except Exception as error:
                item.error = stream.reason_of(error, item.name)
        yield {"photo": str(item.path), "error": item.error}


def _growing(network: Any, job: Job, sheets: Sheets | None) -> Iterator[dict[str, Any]]:
    """A record for each, those of an earlier run left as they are."""
    settings = job.settings(network)
    kept = results.open_results(job.out, job.form, settings, lambda: columns(network, job), again=job.again)
    whole = False
    try:
        for item, faces in _answers(network, job, kept.answered, required=False):
            told = stream.record(item, faces) if not item.answered else {"answered": True}
            if not item.answered and item.key not in kept.answered:
                kept.write(told)
                if sheets and faces:
                    sheets.add(item.photo.pixels, faces, _title(item))
            yield told
        whole = True
    finally:
        kept.close(whole=whole)


def _answers(network: Any, job: Job, answered, *, required: bool) -> Iterator[stream.Answered]:
    asked = stream.questions(sources(job.given, job.patterns, but=job.out), job.every, answered)
    options = {"boxes": job.boxes, "tasks": job.tasks, "min_score": job.min_score, "crops": job.crops}
    return stream.answers(network, asked, required=required, detector=detector_of(job.detector), **options)


def _title(item: stream.Item) -> str:
    name = stream.shown(item.path)
    return name if item.seconds is None else f"{name}, {item.seconds:.2f} s"


def columns(network: Any, job: Job) -> list[table.Column]:
    """Columns of the answers, read off those about an empty picture."""
    inner = (BLANK // 4, BLANK // 4, 3 * BLANK // 4, 3 * BLANK // 4)
    (face,) = answer_image(network, np.zeros((BLANK, BLANK, 3), np.uint8), boxes=[inner], tasks=job.tasks)
    return table.chosen(table.columns_of(stream.face_record(face)["tasks"]), job.columns)


def words(faces: Sequence[Face]) -> list[dict[str, list[str]]]:
    """The answers of each face in words, task -> lines."""
    return [{n: kind_of(f.specs[n]).describe(f.specs[n], a) for n, a in f.results.items()} for f in faces]
