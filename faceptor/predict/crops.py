"""Faces of a photograph cut for the network, and its raw numbers as answers in the photograph's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from faceptor.config.choices import CropSharing
from faceptor.errors import ConfigError, WeightsError
from faceptor.predict.detector import Detection
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction
from faceptor.transforms.crop import CropSpec, PlacedCrop
from faceptor.transforms.framing import Framing, crop_of, place_face
from faceptor.transforms.tensors import to_tensor

WAYS = get_args(CropSharing)

Plan = Mapping[tuple[str, ...], tuple[CropSpec, Framing]]
"""Tasks that see the same crop -> the crop, and how a face lies in it."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """Faces of one photograph, cut. By the tasks that see the same crop: where the crops lie, a crop for each face, and
    their pixels, (faces, 3, S, S) float32 in [0, 1]."""

    placed: Mapping[tuple[str, ...], Sequence[PlacedCrop]]
    images: Mapping[tuple[str, ...], Tensor]

    @property
    def faces(self) -> int:
        return len(next(iter(self.placed.values())))


def plan_of(model: Any, tasks: Sequence[str], crops: str = "own") -> Plan:
    """How faces are cut for some tasks. "own": every task sees the face as its training pictures showed it, and costs
    an encoder input. "shared": the tasks of an input group see one crop (`shared_crop`). ConfigError for another."""
    if crops not in WAYS:
        raise ConfigError(f"crops: expected one of {', '.join(WAYS)}, found {crops!r}")
    if crops == "own":
        return {(task,): crop_of(model, task) for task in tasks}
    groups: dict[str, list[str]] = {}
    for task in tasks:
        groups.setdefault(model.group[task], []).append(task)
    return {tuple(members): shared_crop(model, group) for group, members in groups.items()}


def shared_crop(model: Any, group: str) -> tuple[CropSpec, Framing]:
    """The one crop of all tasks of an input group: the mean of their framings, at the size of the group.

    The mean is over all of the model's tasks of the group, so that an answer does not depend on which others are asked
    for. A tanh warp is kept where all have it, because a task that was never warped cannot read a warped face.
    """
    own = [crop_of(model, task) for task in model.tasks if model.group[task] == group]
    edges = np.mean([framing.to_list() for _, framing in own], axis=0)
    warps = {float(crop.warp) for crop, _ in own}
    spec = CropSpec(kind="box", size=model.inputs[group].size, warp=warps.pop() if len(warps) == 1 else 0.0)
    return spec, Framing(*edges.tolist())


def cut_faces(plan: Plan, rgb: np.ndarray, faces: Sequence[Detection]) -> Cuts:
    """(H, W, 3) uint8 -> the crops of its faces."""
    placed = {
        tasks: [place_face(crop, framing, image_size=rgb.shape[:2], box=face.box, roll=face.roll) for face in faces]
        for tasks, (crop, framing) in plan.items()
    }
    images = {tasks: torch.stack([to_tensor(one.image(rgb)) for one in crops]) for tasks, crops in placed.items()}
    return Cuts(placed, images)


def answers_of(model: Any, cuts: Cuts, raw: Mapping[str, Tensor], tasks: Sequence[str]) -> list[dict[str, Prediction]]:
    """Raw numbers of the faces that were cut (on the CPU, as `Engine.answer` gives them) -> task -> answer, face by
    face. WeightsError where they are no numbers."""
    for task in tasks:
        if not torch.isfinite(raw[task]).all():
            raise WeightsError(f"{task}: the network answers NaN or infinity; restore its weights or train again")
    crops = {task: placed for sharing, placed in cuts.placed.items() for task in sharing}
    specs = {task: model.tasks[task] for task in tasks}
    return [
        {task: kind_of(spec).decode(spec, raw[task][face], crops[task][face]) for task, spec in specs.items()}
        for face in range(cuts.faces)
    ]
