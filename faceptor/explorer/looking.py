"""What a model says of one face, and where its queries look, for a crop that may be moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from faceptor.analysis.attention import attended_layers, query_attention, query_names
from faceptor.errors import FaceptorError, WeightsError
from faceptor.explorer.faces import Picture
from faceptor.models.base import FaceModel
from faceptor.predict.detector import Detection
from faceptor.predict.predictor import generated_warning, taught_by_generated
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.crop import PlacedCrop
from faceptor.transforms.framing import crop_of, place_face
from faceptor.transforms.geometry import centre_matrix
from faceptor.transforms.tensors import to_tensor


@dataclass(frozen=True)
class Move:
    """How a crop is displaced from where the model expects it: right and down in shares of its side, `margin` times as
    wide (above 1: more is seen), turned clockwise by degrees about its own centre."""

    right: float = 0.0
    down: float = 0.0
    margin: float = 1.0
    turn: float = 0.0

    def of(self, crop: PlacedCrop) -> PlacedCrop:
        """The crop, moved."""
        away = np.eye(3)
        away[:2, 2] = -crop.size * np.array([self.right, self.down])
        moved = centre_matrix(crop.size, 1 / self.margin, -np.deg2rad(self.turn)) @ away @ crop.matrix
        return replace(crop, matrix=moved)


STILL = Move()


@dataclass(frozen=True, eq=False)
class Attention:
    """weights: (decoder layers, queries, encoder layers, h, w), sums to 1 over the last three; names of the encoder
    layers and of the queries."""

    weights: np.ndarray
    layers: tuple[str, ...]
    queries: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Look:
    """One look of a model at a face.

    image       (S, S, 3) float32 RGB in [0, 1], what the network sees
    attention   None where the task has no queries; `silent` then says why
    warning     what must be said where the answer is about a photograph
    """

    spec: TaskSpec
    crop: PlacedCrop
    image: np.ndarray
    answer: Prediction
    attention: Attention | None
    silent: str
    warning: str


@torch.inference_mode()
def look(model: FaceModel, task: str, picture: Picture, face: Detection, move: Move = STILL) -> Look:
    """The answer of one task about one face and the attention behind it: two passes of the network."""
    spec = model.require_task(task)
    crop, framing = crop_of(model, task)
    placed = move.of(place_face(crop, framing, image_size=picture.pixels.shape[:2], box=face.box, roll=face.roll))
    image = placed.image(picture.pixels)
    device = next(model.parameters()).device
    pixels = to_tensor(image)[None].to(device)
    mirrored = kind_of(spec).mirror
    batch = torch.cat([pixels, pixels.flip(-1)]) if mirrored else pixels
    raw = model.forward_tasks({task: batch})[task].float().cpu()
    if not torch.isfinite(raw).all():
        raise WeightsError(f"{task}: the network answers NaN or infinity; restore its weights or train again")
    answer = kind_of(spec).decode(spec, raw if mirrored else raw[0], placed)
    attention, silent = _attention(model, pixels, task)
    return Look(spec, placed, image, answer, attention, silent, _warning(model, task, picture))


def _attention(model: FaceModel, pixels: torch.Tensor, task: str) -> tuple[Attention | None, str]:
    try:
        weights = query_attention(model, pixels, task)
        return Attention(weights, attended_layers(model, task), query_names(model, task)), ""
    except FaceptorError as error:  # a model or a task without queries
        return None, str(error)


def _warning(model: FaceModel, task: str, picture: Picture) -> str:
    taught = taught_by_generated(model.provenance, [task])
    if picture.drawn or not taught:
        return ""
    return f"A photograph, and {task} {generated_warning(taught, of=1)}."


def names_of_queries(model: FaceModel, task: str) -> tuple[str, ...]:
    """Of a task's queries; of a model without any, of its labels."""
    try:
        return query_names(model, task)
    except FaceptorError:
        return model.require_task(task).labels


def label_of(look: Look, query: int) -> int | None:
    """The label of a query; None where a query stands for all labels together."""
    count = len(look.attention.queries) if look.attention else len(look.spec.labels)
    return query if count == len(look.spec.labels) > query else None


@dataclass(frozen=True)
class Wanted:
    """What is to be shown. source: makes the picture and tells it from others; other: a second model, or ""."""

    source: tuple[str, Any]
    face: int
    model: str
    other: str
    task: str
    query: int
    move: Move


class Looker:
    """Models by name, pictures by source and looks, each made once and kept for a while.

    open_model: name -> model; open_picture: the source of a `Wanted` -> picture. `say` is told, in a few words, what is
    under way before anything that takes long.
    """

    def __init__(
        self,
        open_model: Callable[[str], FaceModel],
        open_picture: Callable[[tuple[str, Any]], Picture],
        say: Callable[[str], None] = lambda words: None,
    ):
        self.open_model, self.open_picture, self.say = open_model, open_picture, say
        self.model = lru_cache(4)(self._model)
        self.picture = lru_cache(8)(self._picture)
        self._kept_look = lru_cache(16)(self._look)

    def look(self, name: str, wanted: Wanted, move: Move) -> Look:
        """A model's look at the wanted face; FaceptorError where it does not know the task."""
        return self._kept_look(name, wanted.source, wanted.face, wanted.task, move)

    def _look(self, name: str, source: tuple[str, Any], face: int, task: str, move: Move) -> Look:
        picture = self.picture(source)
        return look(self.model(name), task, picture, picture.faces[min(face, len(picture.faces) - 1)], move)

    def _model(self, name: str) -> FaceModel:
        self.say(f"loading the model {name} …")
        return self.open_model(name)

    def _picture(self, source: tuple[str, Any]) -> Picture:
        self.say("looking for faces in the photograph …" if source[0] != "drawn" else "drawing …")
        return self.open_picture(source)
