"""One photograph or frame after another: read, answered, told as a record. Nothing of one is kept for the next."""

from __future__ import annotations

import hashlib
import sys
import traceback
import warnings
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from faceptor.errors import FaceptorError
from faceptor.io.regular import read_regular, sha256_of
from faceptor.io.writing import describe
from faceptor.predict.folder import Source
from faceptor.predict.many import Question, answer_photos
from faceptor.predict.photographs import FORMATS, LARGEST_PHOTO_FILE, Photo
from faceptor.predict.predictor import Face, GeneratedFacesWarning, photo_of
from faceptor.predict.video import LARGEST_VIDEO, Every, Frame, frames
from faceptor.tasks import kind_of

Answered = tuple["Item", list[Face]]
LONG_LISTS = ("runs",)  # of a class map: what a picture of its own holds


@dataclass(eq=False)
class Item:
    """A photograph, or a frame of a video, on its way.

    path    the file; sha256: of its bytes, None where it could not be read
    photo   its pixels, None where there are none: an `error`, or `answered` in an earlier run
    frame, seconds  of a video, else None
    """

    path: Path
    sha256: str | None = None
    frame: int | None = None
    seconds: float | None = None
    photo: Photo | None = None
    error: str = ""
    answered: bool = False

    @property
    def name(self) -> str:
        return f"{self.path}" if self.frame is None else f"{self.path}, frame {self.frame}"

    @property
    def key(self) -> bytes:
        return key_of_answer(shown(self.path), self.frame, self.sha256 or self.error)


def shown(path: Path) -> str:
    """A path as text that every file format takes; bytes that are no UTF-8 as \\xNN."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def key_of_answer(path: str, frame: int | None, content: str) -> bytes:
    """Eight bytes that stand for a photograph or frame among those answered. content: its SHA-256, or its error."""
    return hashlib.blake2b(f"{path}\0{frame}\0{content}".encode("utf-8", "replace"), digest_size=8).digest()


def reason_of(error: Exception, name: object) -> str:
    """Why one photograph got no answer, on one line; a fault of this program is shown on stderr, and is none of the
    others'."""
    if isinstance(error, FaceptorError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{name}: this machine has not enough memory for it; scale it down"
    if isinstance(error, OSError) and error.errno is not None:
        return describe(error, error.filename or name)
    traceback.print_exception(error, file=sys.stderr)
    return f"{name}: {type(error).__name__} in this program (see above); please report it"


# --- reading ---------------------------------------------------------------------------------------------------------


def questions(found: Iterable[Source], every: Every, answered: Container[bytes] = ()) -> Iterator[Question]:
    """Photographs and frames one by one, each with its `Item` as the tag; those whose key is among `answered` give no
    pixels."""
    for source in found:
        if source.trouble:
            yield _question(Item(source.path, error=source.trouble))
        elif source.video:
            yield from _frames(source.path, every, answered)
        else:
            item = Item(source.path)
            yield _question(item, partial(_photograph, item, answered))


def _question(item: Item, pixels: Callable[[], Photo | None] = lambda: None) -> Question:
    return Question(pixels, name=item.name, tag=item)


def _photograph(item: Item, answered: Container[bytes]) -> Photo | None:
    data = read_regular(item.path, largest=LARGEST_PHOTO_FILE, remedy=f"give a photograph as {FORMATS}")
    item.sha256 = hashlib.sha256(data).hexdigest()
    item.answered = item.key in answered
    return None if item.answered else photo_of(data, item.path)


def _frames(path: Path, every: Every, answered: Container[bytes]) -> Iterator[Question]:
    """Frames of a video; what is wrong with it comes last."""
    sha256 = None
    try:
        sha256 = sha256_of(path, largest=LARGEST_VIDEO, remedy="give a video file")
        for frame in frames(path, every):
            item = Item(path, sha256, frame.number, frame.seconds)
            item.answered = item.key in answered
            yield _question(item) if item.answered else _question(item, partial(_frame, frame))
    except Exception as error:
        yield _question(Item(path, sha256, error=reason_of(error, path)))


def _frame(frame: Frame) -> Photo:
    pixels = frame.pixels()
    return Photo(pixels, pixels.shape[:2])


# --- answers ---------------------------------------------------------------------------------------------------------


def answers(network: Any, asked: Iterable[Question], *, required: bool, **settings: Any) -> Iterator[Answered]:
    """Each item with its faces, in order; no faces where none was found, or there is an `error`.

    required: an item without a face is an error. settings: of `faceptor.predict.many.answer_photos`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeneratedFacesWarning)  # each record says it
        answered = answer_photos(network, asked, **settings)
    for answer in answered:
        item = answer.tag
        item.photo = answer.photo
        if answer.error and (required or not answer.faceless):
            item.error = reason_of(answer.error, item.name)
        yield item, answer.faces


# --- records ---------------------------------------------------------------------------------------------------------


def record(item: Item, faces: list[Face]) -> dict[str, Any]:
    """What is told of an item, as plain data: of a class map the shares alone."""
    told: dict[str, Any] = {"photo" if item.frame is None else "video": shown(item.path)}
    told |= {} if item.sha256 is None else {"sha256": item.sha256}
    told |= {} if item.frame is None else {"frame": item.frame, "seconds": item.seconds}
    if item.error:
        return told | {"error": item.error}
    return told | facts(item, faces) | {"faces": [face_record(face, item.photo.reduction) for face in faces]}


def facts(item: Item, faces: list[Face]) -> dict[str, Any]:
    """Size of a photograph in its own pixels, and what its answers are worth."""
    photo = item.photo
    told: dict[str, Any] = {"width": photo.size[1], "height": photo.size[0]}
    if photo.reduction > 1:
        told["reduced"] = photo.reduction  # class maps are that much smaller
    if faces and faces[0].generated:
        told |= {"generated": True, "warning": faces[0].warning}
    return told


def face_record(face: Face, reduction: int = 1) -> dict[str, Any]:
    """A face in pixels of the photograph itself, class maps as shares."""
    entry = face.magnified(reduction).to_json()
    for name in entry["tasks"]:
        if kind_of(face.specs[name]).class_map:
            entry["tasks"][name] = {key: told for key, told in entry["tasks"][name].items() if key not in LONG_LISTS}
    return entry


def key_of_record(told: dict[str, Any]) -> bytes:
    """The key of the item that a record tells of."""
    name = told["video"] if "video" in told else told["photo"]
    return key_of_answer(name, told.get("frame"), told.get("sha256") or told.get("error") or "")
