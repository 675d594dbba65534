"""A preset at toy size: its own tasks, policies, losses, crops, data sets and evaluation, small models and few steps.

Only sizes, counts and steps shrink; what a preset chooses stays as it is written. Pictures in the published layouts lie
where the preset expects the data sets; a preset that draws its faces itself draws the first of every data set.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from faceptor.config import Params, load_preset, preset_names
from faceptor.models.build import build_model
from faceptor.pipeline.all_datasets import SMALL
from faceptor.pipeline.starting_weights import model_sections
from faceptor.synthesis import synthesize
from faceptor.synthesis.draw import render
from faceptor.synthesis.face import Face, sample_face
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers import layout as layouts
from faceptor.tasks import task
from faceptor.weights.released.farl import RENAMING, VISUAL
from faceptor.weights.starting import part_of, starting_file
from tests.synthesis.fake import fake_render

PIXELS = 256  # a side of the face that is drawn
STEPS = 2
SAMPLES = 2  # of a task in a step
SIDES = {"dense": 64, "face": 32}  # pixels; dense inputs are larger than face inputs in every preset
WIDTHS = {"width": 16, "hidden": 32, "heads": 2, "embedding": 16}
DECODER_LAYERS = 2
TINY_BACKBONES = {  # family of timm -> options that make it tiny
    "swin": {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2},
    "resnet": {"channels": [8, 8, 16, 16], "stem_width": 8},
}
FACES = {  # of every data set, fewer than `faceptor synthesize --all` draws
    name: {key: count if name == "ms1mv3" else -(-count * 3 // 5) for key, count in counts.items()}
    for name, counts in SMALL.items()
}
VALIDATING = {"ms1mv3": 0.4, "digiface": 0.4}  # share of the people: a few of them make too few pairs


def paths_of_presets() -> dict[str, Path]:
    """Data set -> where the presets for real data expect it below data.root."""
    real = [params for params in map(load_preset, preset_names()) if not params.synthesis]
    return {name: block.path for params in real for name, block in params.datasets.items()}


def write_set(name: str, folder: Path) -> None:
    """A few pictures in the layout of one data set. Drawing each would take longer than all that is done with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "render", tinted)
        synthesize(name, folder, seed=1, workers=1, **({"train": 0} | FACES[name]))


def tinted(face: Face, *, size: tuple[int, int], **options: Any) -> Portrait:
    """The labels of a face with the picture of another, in colours of its own, and with points near that one's."""
    portrait, drawn = fake_render(face, size=size, **options), drawn_once()
    rng, scale = np.random.default_rng((face.identity, face.sample)), np.float32([size[1], size[0]]) / PIXELS

    def near(points: np.ndarray) -> np.ndarray:
        return ((points + rng.normal(0, 0.01 * PIXELS, points.shape)) * scale).astype(np.float32)

    picture = cv2.resize(drawn.image, size[::-1], interpolation=cv2.INTER_AREA)
    points = {scheme: near(each) for scheme, each in drawn.landmarks.items()}
    return replace(
        portrait,
        image=cv2.addWeighted(picture, 0.75, portrait.image, 0.25, 0),
        landmarks=points,
        points5=near(drawn.points5),
        box=(drawn.box.reshape(2, 2) * scale).ravel(),
        solid=np.column_stack([points["68"], drawn.solid[:, 2] * scale.mean()]).astype(np.float32),
    )


def first_drawn(faces: int = 2) -> Callable[..., Portrait]:
    """Draws the first faces that it is asked for; the others are tinted."""
    asked = count()
    return lambda face, **options: (render if next(asked) < faces else tinted)(face, **options)


@cache
def drawn_once() -> Portrait:
    return render(sample_face(1, identity=1), size=(PIXELS, PIXELS), frame="wild")


def write_starting_weights(params: Params) -> None:
    """Files in the published layouts, of toy sizes, where trainings of these parameters expect theirs."""
    for name, (where, config) in model_sections(params).items():
        if (path := starting_file(config, where=where)) is None:
            continue
        torch.manual_seed(0)
        model = build_model(config, [task(each) for each in params.variant(name).stage1.tasks])
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(PUBLISHED[part_of(config)](model), path)


def published_encoder(model) -> dict[str, torch.Tensor]:
    """The tensors of an encoder as FaRL's file names and shapes them."""
    tensors = {VISUAL + RENAMING.theirs(name): value for name, value in model.encoder.state_dict().items()}
    for name, dims in {"class_embedding": 1, "positional_embedding": 2}.items():
        tensors[VISUAL + name] = tensors[VISUAL + name].flatten(0, -dims)
    return {name: value.contiguous() for name, value in tensors.items()}


def published_backbone(model) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in model.backbone.net.state_dict().items()}


PUBLISHED = {"encoder": published_encoder, "backbone": published_backbone}


def shrink(values: dict[str, Any], *, root: Path) -> None:
    """Change a preset's values in place: sizes, counts, steps and where data lie."""
    values["data"] |= {"validation": 0.25, "workers": 0, "cache_mb": 64, "max_rejects": 0.0}
    if values["synthesis"]:
        values["synthesis"] = {name: FACES[name.removeprefix("_")] for name in values["synthesis"]}
    else:
        values["data"]["root"] = str(root)
    for name, share in VALIDATING.items():
        if name in values["datasets"]:
            values["datasets"][name]["validation"] = share
    shrink_model(values["model"])
    for stage in ("stage1", "stage2", "transfer"):
        shrink_stage(values[stage])
    for baseline in values.get("baselines", {}).values():
        shrink_model(baseline["model"])
        shrink_stage(baseline["train"])
    values["evaluate"] |= {"batch": 8}
    notebooks = values["notebooks"]
    notebooks["layer_attention"] |= {"faces": 8, "batch": 8}
    notebooks["tour"] |= {"number": 0}
    notebooks["crop_sensitivity"] |= {"faces": 8, "batch": 8, "margins": [0.8], "shifts": [0.1], "rotations": [20]}
    notebooks["pipeline_truth"] |= {"faces": 16, "batch": 16}


def shrink_model(model: dict[str, Any]) -> None:
    for part in {"encoder", "decoder", "values", "maps"} & model.keys():
        model[part] = {key: _tiny(key, value) for key, value in model[part].items()}
    if (model.get("encoder") or {}).get("grid"):
        model["encoder"]["grid"] = SIDES["dense"] // 16
    if "backbone" in model:
        family = next(family for family in TINY_BACKBONES if model["backbone"]["name"].startswith(family))
        model["backbone"]["options"] = TINY_BACKBONES[family]
    if (model.get("decoder") or {}).get("depth"):
        model["decoder"]["depth"] = DECODER_LAYERS
    if "embedding" in model:
        model["embedding"] = WIDTHS["embedding"]
    inputs = model.get("inputs") or {}
    one_size = len({settings["size"] for settings in inputs.values()}) == 1
    for group, settings in inputs.items():
        settings["size"] = SIDES["face" if one_size else group]


def shrink_stage(stage: dict[str, Any]) -> None:
    for name, few in {"steps": STEPS, "validate_every": STEPS, "checkpoint_every": 1, "log_every": 1}.items():
        if name in stage:
            stage[name] = few
    if stage.get("validate_samples"):
        stage["validate_samples"] = 30  # of recognition: several people
    if stage.get("optimiser", {}).get("warmup"):
        stage["optimiser"]["warmup"] = 1
    for settings in (stage.get("tasks") or {}).values():
        if settings.get("samples"):
            settings["samples"] = SAMPLES


def _tiny(key: str, value: Any) -> Any:
    return WIDTHS[key] if key in WIDTHS and value is not None else value
