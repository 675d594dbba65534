"""Many photographs, or frames of a video: answered in their order, with decoding, detecting, cutting and computing side
by side and a bounded number of pictures in memory.

>>> for answer in answer_photos(model, sorted(Path("album").glob("*.jpg"))):
...     print(answer.name, answer.error or [face.box for face in answer.faces])
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceptor.predict.crops import Cuts
from faceptor.predict.detector import Detection
from faceptor.predict.photographs import Photo
from faceptor.predict.predictor import (
    Face,
    GeneratedFacesWarning,
    NoFaceError,
    Work,
    checked_image,
    open_photo,
)
from faceptor.prepared.ahead import computed_ahead

AHEAD = 4  # photographs that are decoded before they are asked for, beyond one for each thread
GROUPS_AHEAD = 1  # passes of the network, likewise
HELD_PIXELS = 1 << 28  # of the photographs that wait for one pass of the network: 768 MB
HELD_PHOTOS = 4  # of these for each face that a pass has room for: where few faces are found, nobody waits for more

Pictures = str | Path | np.ndarray | Photo


@dataclass(frozen=True, eq=False)
class Question:
    """A photograph to be answered.

    photo  a file, an (H, W, 3) uint8 RGB array, a decoded `Photo`, or a function that gives one of these when its turn
           comes; it is called in another thread, and may answer None: nothing is looked for then
    name   stands for it in errors; "": the file's name
    boxes  its faces, (x1, y1, x2, y2) in its own pixels; None: as `answer_photos` says
    tag    comes back in the answer
    """

    photo: Pictures | Callable[[], Pictures | None]
    name: str = ""
    boxes: Sequence[Sequence[float]] | None = None
    tag: Any = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What was said of one photograph.

    photo   its pixels; None where they could not be read
    sha256  of its bytes in hexadecimal, where it was read from a file here
    faces   in the pixels that were decoded (`Face.magnified` takes them to the photograph's own), largest first
    error   why there are no faces; NoFaceError where the detector sees none
    """

    question: Question
    photo: Photo | None = None
    sha256: str | None = None
    faces: list[Face] = field(default_factory=list)
    error: Exception | None = None

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def tag(self) -> Any:
        return self.question.tag

    @property
    def faceless(self) -> bool:
        """Whether the photograph is in order and the detector sees no face in it."""
        return isinstance(self.error, NoFaceError)


def answer_photos(
    model: Any,
    photos: Iterable[Pictures | Question],
    *,
    detector: Any = None,
    boxes: Sequence[Sequence[float]] | None = None,
    tasks: Sequence[str] | None = None,
    crops: str = "own",
    min_score: float | None = None,
    threads: int | None = None,
) -> Iterator[Answer]:
    """An answer for every photograph, in their order; what fails with one is its `error`, and the others go on.

    model: a model or an `Engine` of one; boxes, tasks, crops, detector and min_score are as of `faceptor.predict`,
    boxes for all photographs that have none of their own. Faces of several photographs go through the network together,
    so that numbers may differ from those of one photograph alone in the last digits. `photos` is read a few more ahead
    than there are threads (None: one for each core). ConfigError at once for a task or `crops` that do not exist.
    """
    work = Work.of(model, tasks, crops=crops, detector=detector, min_score=min_score)
    if work.warning:
        warnings.warn(work.warning, GeneratedFacesWarning, stacklevel=2)
    return _answers(work, (_question(each, boxes) for each in photos), threads or os.cpu_count() or 1)


def _question(photo: Pictures | Question, boxes: Sequence[Sequence[float]] | None) -> Question:
    asked = photo if isinstance(photo, Question) else Question(photo)
    name = asked.name or (str(asked.photo) if isinstance(asked.photo, str | Path) else "image")
    return replace(asked, name=name, boxes=boxes if asked.boxes is None else asked.boxes)


def _answers(work: Work, questions: Iterable[Question], threads: int) -> Iterator[Answer]:
    """Three stages, each a few items ahead of the next: pictures in threads, the network in one, answers in threads."""
    with (
        ThreadPoolExecutor(threads, "photographs") as pool,
        ThreadPoolExecutor(1, "network") as network,
    ):
        seen = computed_ahead(pool, partial(_see, work), questions, threads + AHEAD)
        groups = _grouped(seen, work.engine.faces_per_pass)
        computed = computed_ahead(network, partial(_compute, work), groups, GROUPS_AHEAD)
        yield from computed_ahead(pool, partial(_tell, work), chain.from_iterable(computed), threads)


# --- the stages ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Seen:
    """A photograph on its way: cut, then with the network's numbers. No cuts: there is nothing to answer, or a crowd,
    which is cut a few faces at a time."""

    answer: Answer
    places: Sequence[Detection] = ()
    cuts: Cuts | None = None
    raw: dict[str, Tensor] | None = None

    @property
    def pixels(self) -> int:
        return self.answer.photo.pixels[..., 0].size if self.answer.photo else 0


def _see(work: Work, asked: Question) -> _Seen:
    """Read a photograph, find its faces and cut them."""
    answer = Answer(asked)
    try:
        answer = _read(asked)
        if answer.photo is None:
            return _Seen(answer)
        places = work.find(answer.photo, asked.boxes, name=asked.name)
        crowd = len(places) > work.engine.faces_per_pass
        return _Seen(answer, places, None if crowd else work.cut(answer.photo.pixels, places))
    except Exception as error:
        return _Seen(replace(answer, error=error))


def _read(asked: Question) -> Answer:
    picture = asked.photo() if callable(asked.photo) else asked.photo
    if isinstance(picture, str | Path):
        photo, sha256 = open_photo(picture)
        return Answer(asked, photo, sha256)
    if isinstance(picture, np.ndarray):
        picture = Photo(checked_image(picture), picture.shape[:2])
    return Answer(asked, picture)


def _grouped(seen: Iterable[_Seen], most: int) -> Iterator[list[_Seen]]:
    """Photographs that go through the network together: up to `most` faces, or more of one photograph."""
    group: list[_Seen] = []
    for one in seen:
        full = sum(len(each.places) for each in (*group, one)) > most or len(group) >= HELD_PHOTOS * most
        if group and (full or sum(each.pixels for each in (*group, one)) > HELD_PIXELS):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _compute(work: Work, group: Sequence[_Seen]) -> list[_Seen]:
    """The network's numbers of a few photographs; where it fails, of each alone, so that one does not cost the others.
    Their crops are let go."""
    try:
        raw = iter(_raw(work, [one for one in group if one.cuts]))
        return [
            replace(one, cuts=replace(one.cuts, images={}), raw=next(raw)) if one.cuts else _crowd(work, one)
            for one in group
        ]
    except Exception as error:
        if len(group) == 1:
            return [_Seen(replace(group[0].answer, error=error))]
        return [alone for one in group for alone in _compute(work, [one])]


def _crowd(work: Work, one: _Seen) -> _Seen:
    """A photograph that was not cut, because it shows more faces than go through the network at once, answered."""
    answer = one.answer
    if one.places and answer.photo:
        given = answer.question.boxes is not None
        answer = replace(answer, faces=work.faces(answer.photo.pixels, one.places, given=given))
    return _Seen(answer)


def _raw(work: Work, asked: Sequence[_Seen]) -> list[dict[str, Tensor]]:
    """The numbers of each photograph's faces, by task."""
    cuts = [one.cuts for one in asked if one.cuts]
    if not cuts:
        return []
    raw = work.raw({tasks: torch.cat([each.images[tasks] for each in cuts]) for tasks in work.plan})
    parts = {task: values.split([each.faces for each in cuts]) for task, values in raw.items()}
    return [{task: part[index] for task, part in parts.items()} for index in range(len(cuts))]


def _tell(work: Work, one: _Seen) -> Answer:
    """The answers in the photograph's pixels."""
    if one.cuts is None or one.raw is None:
        return one.answer
    try:
        given = one.answer.question.boxes is not None
        return replace(one.answer, faces=work.told(one.places, one.cuts, one.raw, given=given))
    except Exception as error:
        return replace(one.answer, error=error)
