"""The page of controls: which face, which model, task and query, how the crop is moved; and what follows from it.

>>> Explorer(root=ROOT, model="stage2")
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

import faceptor
from faceptor.errors import FaceptorError
from faceptor.explorer import faces, pictures, words
from faceptor.explorer.looking import STILL, Looker, Move, Wanted, label_of, names_of_queries
from faceptor.explorer.work import Latest
from faceptor.io.files import MODELS
from faceptor.models.base import FaceModel
from faceptor.weights.folder import DESCRIPTION, load_model

SHIPPED, NONE = "shipped", "none"  # the model that comes with the package; no second model
COLUMN = 396  # pixels, of an answer; two of them fit beside each other
CONTROL = widgets.Layout(width="272px")
PICTURES = "image/jpeg,image/png,image/webp,image/tiff,image/bmp,image/gif"


def model_names(root: Path) -> list[str]:
    """The model that ships with the package, and the model folders below models/."""
    found = sorted(path.parent.relative_to(root / MODELS).as_posix() for path in (root / MODELS).rglob(DESCRIPTION))
    return [*found, SHIPPED]


@dataclass(frozen=True, eq=False)
class Upload:
    """A file from the visitor's browser; equal to itself alone."""

    name: str
    data: bytes


OPENED = {
    "drawn": faces.drawn_picture,
    "uploaded": lambda upload: faces.uploaded_picture(upload.data, upload.name),
    "file": faces.picture_at,
}


class Slot:
    """The place of one model on the page: its answer `above`, where it looks `below`."""

    def __init__(self) -> None:
        self.warning = ""
        self.heading, self.table, self.title = (widgets.HTML() for _ in range(3))
        self.face, self.maps = _picture(), _picture()
        place = widgets.Layout(width=f"{COLUMN + 8}px", margin="0 10px 0 0")  # 8: margins of what stands in it
        self.above = widgets.VBox([self.heading, self.face, self.table], layout=place)
        self.below = widgets.VBox([self.title, self.maps])

    def answer(self, heading: str, picture: Image.Image | None, table: str) -> None:
        """HTML above and below a picture, which may be missing."""
        self.heading.value, self.table.value = heading, table
        _put(self.face, picture)

    def look(self, title: str, picture: Image.Image | None) -> None:
        """HTML above a picture, which may be missing."""
        self.title.value = title
        _put(self.maps, picture)

    def say(self, html: str) -> None:
        """Words in place of everything."""
        self.warning = ""
        self.answer(html, None, "")
        self.look("", None)


def _picture() -> widgets.Image:
    return widgets.Image(format="png", layout=widgets.Layout(max_width="100%", height="auto", display="none"))


def _put(image: widgets.Image, picture: Image.Image | None) -> None:
    """Into a widget that stays, so that a page that is used for long does not grow."""
    if picture is None:
        image.layout.display = "none"
        return
    image.value = pictures.png(picture)
    image.layout.width, image.layout.display = f"{picture.width}px", ""


class Explorer(widgets.VBox):
    """Everything that is shown follows from the controls; work is done beside them, the latest wish first.

    model, beside: names of `model_names`, beside "none" for one model alone; where `model` is missing, the shipped one.
    """

    def __init__(self, root: Path, model: str = SHIPPED, beside: str = NONE, task: str | None = None, face: int = 0):
        self.root = root
        self.looker = Looker(self._open_model, lambda source: OPENED[source[0]](source[1]), self._say)
        self.source: tuple[str, Any] = ("drawn", face)
        self.good = self.source  # the last that was a picture
        self.asked = ("", 0)  # the task that the controls are about, and the number of its queries
        self.own = threading.local()  # `quiet` where this thread changes controls by itself
        self.work = Latest(self.show)
        self._make_controls(model_names(root), model, beside, task, face)
        self.status, self.about, self.warning = (widgets.HTML() for _ in range(3))
        self.slots = [Slot(), Slot()]
        answers = widgets.HBox([slot.above for slot in self.slots], layout=widgets.Layout(flex_flow="row wrap"))
        below = [slot.below for slot in self.slots]
        super().__init__([self.controls, self.status, self.about, self.warning, answers, *below])
        self._ask()

    # --- controls ---------------------------------------------------------------------------------------------------

    def _make_controls(self, names: list[str], model: str, beside: str, task: str | None, face: int) -> None:
        named = {"layout": CONTROL, "style": {"description_width": "76px"}}
        self.number = widgets.IntSlider(face, 0, faces.PEOPLE - 1, description="drawn face", **named)
        self.upload = widgets.FileUpload(accept=PICTURES, description="upload a photograph", layout=CONTROL)
        self.path = widgets.Text(description="or its path", placeholder="on this machine", **named)
        self.path.continuous_update = False
        self.face = widgets.Dropdown(options=[("1", 0)], description="face", **named)
        first = model if model in names else SHIPPED
        self.model = widgets.Dropdown(options=names, value=first, description="model", **named)
        second = beside if beside in names else NONE
        self.beside = widgets.Dropdown(options=[NONE, *names], value=second, description="beside it", **named)
        self.task = widgets.Dropdown(options=[task] if task else [], description="task", **named)
        self.query = widgets.Dropdown(options=[("-", 0)], description="query", **named)
        self.moves = {
            "right": widgets.FloatSlider(0, min=-0.3, max=0.3, step=0.01, description="right", **named),
            "down": widgets.FloatSlider(0, min=-0.3, max=0.3, step=0.01, description="down", **named),
            "margin": widgets.FloatSlider(1, min=0.6, max=1.8, step=0.02, description="margin", **named),
            "turn": widgets.FloatSlider(
                0, min=-45, max=45, step=1, description="turn, °", readout_format=".0f", **named
            ),
        }
        self.reset = widgets.Button(description="crop as trained", layout=CONTROL)
        columns = {
            "Face": [self.number, self.upload, self.path, self.face],
            "Model": [self.model, self.beside, self.task, self.query],
            "Crop": [*self.moves.values(), self.reset],
        }
        boxes = [widgets.VBox([widgets.HTML(f"<b>{name}</b>"), *parts]) for name, parts in columns.items()]
        self.controls = widgets.HBox(boxes, layout=widgets.Layout(flex_flow="row wrap"))
        self.number.observe(lambda change: self._choose(("drawn", change.new)), "value")
        self.upload.observe(self._uploaded, "value")
        self.path.observe(lambda change: change.new.strip() and self._choose(("file", change.new.strip())), "value")
        self.reset.on_click(lambda button: self._as_trained())
        for control in (self.face, self.model, self.beside, self.task, self.query, *self.moves.values()):
            control.observe(lambda change: self._ask(), "value")

    def _uploaded(self, change) -> None:
        """One file at a time; the bytes leave the control, which would keep them."""
        if not change.new:
            return
        file = change.new[0]
        self._choose(("uploaded", Upload(file["name"], bytes(file["content"]))))
        self.upload.value = ()

    def _choose(self, source: tuple[str, Any]) -> None:
        self.source = source
        with self._quietly():
            self.face.value = 0
        self._ask()

    def _as_trained(self) -> None:
        with self._quietly():
            for name, control in self.moves.items():
                control.value = getattr(STILL, name)
        self._ask()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Controls that this thread sets do not ask for anything."""
        self.own.quiet = True
        try:
            yield
        finally:
            self.own.quiet = False

    def _ask(self) -> None:
        if not getattr(self.own, "quiet", False):
            self.work.ask(self.wanted())

    def wanted(self) -> Wanted:
        """What the controls say."""
        move = Move(**{name: round(control.value, 3) for name, control in self.moves.items()})
        other = "" if self.beside.value == NONE else self.beside.value
        task, query = self.task.value or "", self.query.value
        return Wanted(self.source, self.face.value, self.model.value, other, task, query, move)

    # --- work, in a thread beside the page --------------------------------------------------------------------------

    def _open_model(self, name: str) -> FaceModel:
        return faceptor.load() if name == SHIPPED else load_model(self.root / MODELS / name)

    def show(self, wanted: Wanted) -> None:
        """Show what is wanted, or in one line why it cannot be."""
        began = time.perf_counter()
        try:
            self._show(wanted)
            self.good = wanted.source
            self._say("" if self.work.waiting else f"answered in {time.perf_counter() - began:.1f} s", busy=False)
        except FaceptorError as error:
            self._fail(wanted, str(error))
        except Exception as error:  # of any kind: a page that stays silent helps nobody
            logging.getLogger(__name__).exception("explorer")
            self._fail(wanted, f"{type(error).__name__}: {error}")

    def _show(self, wanted: Wanted) -> None:
        picture = self.looker.picture(wanted.source)
        wanted = self._settled(wanted, self.looker.model(wanted.model), len(picture.faces))
        names = list(dict.fromkeys(name for name in (wanted.model, wanted.other) if name))
        for slot, name in zip_longest(self.slots, names):
            slot.say("") if name is None else self._fill(slot, name, wanted, picture)
        self.about.value = words.note(picture.about)
        self.warning.value = "".join(dict.fromkeys(slot.warning for slot in self.slots))

    def _settled(self, wanted: Wanted, model: FaceModel, count: int) -> Wanted:
        """What is wanted where this model and picture have it; else the first of what they have, and the controls say
        so."""
        task = wanted.task if wanted.task in model.tasks else next(iter(model.tasks))
        queries = names_of_queries(model, task) or ("-",)
        # of another task's queries the middle one: the first age or point is the least telling
        query = min(wanted.query, len(queries) - 1) if self.asked == (task, len(queries)) else len(queries) // 2
        self.asked, face = (task, len(queries)), min(wanted.face, count - 1)
        with self._quietly():
            _offer(self.task, [(name, name) for name in model.tasks], task)
            _offer(self.query, _numbered(queries), query)
            _offer(self.face, [(str(number + 1), number) for number in range(count)], face)
            self.query.disabled, self.face.disabled = len(queries) == 1, count == 1
        return replace(wanted, task=task, query=query, face=face)

    def _fill(self, slot: Slot, name: str, wanted: Wanted, picture: faces.Picture) -> None:
        """What one model says; that it does not know the task is said in its place."""
        if wanted.task not in self.looker.model(name).tasks:
            slot.say(words.heading(name, None) + words.note(f"does not have the task {wanted.task}"))
            return
        trained = self.looker.look(name, wanted, STILL)
        moved = trained if wanted.move == STILL else self.looker.look(name, wanted, wanted.move)
        label = label_of(moved, wanted.query)
        face = picture.faces[wanted.face]
        rows = words.changes(trained, moved, label, float(face.box[2] - face.box[0]))
        slot.answer(
            words.heading(name, moved),
            pictures.answer_picture(picture, trained, moved, label, COLUMN),
            words.table(rows, moved is not trained),
        )
        looked = pictures.attention_picture(moved, wanted.query, pictures.WIDTH) if moved.attention else None
        slot.look(words.attention_heading(name, moved, wanted.query), looked)
        slot.warning = words.note(moved.warning, "warning")

    def _say(self, text: str, busy: bool = True) -> None:
        if text:
            self.status.value = words.note(text, "busy" if busy else "status")

    def _fail(self, wanted: Wanted, text: str) -> None:
        """Back to the last picture that was one."""
        if self.source == wanted.source:
            self.source = self.good
        self.status.value = words.note(text, "error")


def _numbered(names: tuple[str, ...]) -> list[tuple[str, int]]:
    """Names as people write them; those that occur twice, with their number."""
    spelt = [words.spelt_out(name) for name in names]
    told = [f"{name} ({number})" if spelt.count(name) > 1 else name for number, name in enumerate(spelt, start=1)]
    return list(zip(told, range(len(told)), strict=True))


def _offer(control: widgets.Dropdown, options: list[tuple[str, Any]], value: Any) -> None:
    """Set a control's options and value where they differ, and tell the browser both at once: options alone would go
    back to the first, and the browser would say so."""
    if (list(control.options), control.value) != (options, value):
        with control.hold_sync():
            control.options, control.value = options, value
