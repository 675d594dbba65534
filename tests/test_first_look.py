"""Pictures of a training as it goes: they show every task, and change nothing."""

import numpy as np
import torch
from PIL import Image

from faceptor.errors import WriteError
from faceptor.pipeline import first_look
from faceptor.transforms.crop import CropSpec
from tests.models.toy_models import toy_model

TASKS = ("landmarks_aflw19", "parsing_lapa", "age_morph2", "attributes_celeba")


def looking(model, found):
    rng = np.random.default_rng(0)
    faces = [{"image": rng.integers(0, 255, (40, 30, 3), np.uint8), "size": (40, 30)} for _ in range(7)]
    specs = {name: model.tasks[name] for name in TASKS}
    crops = {name: CropSpec(kind="whole", size=32) for name in TASKS}
    validate = first_look.with_pictures(
        lambda given: found if given is model else None, dict.fromkeys(TASKS, faces), specs, crops,
        run_name="stage1", device="cpu",
    )  # fmt: skip
    return validate(model)


def test_a_validation_leaves_a_picture_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, found = toy_model(tasks=TASKS), (0.5, {"age_morph2": {"skill": 0.5}})
    before, generator = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    assert looking(model, found) is found
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    with Image.open("runs/pictures/stage1.webp") as picture:
        height = first_look.SIDE + 2 * first_look.TEXT_HEIGHT
        assert picture.height == len(TASKS) * height
        for row in range(len(TASKS)):  # faces, and words below them
            assert np.ptp(np.asarray(picture.convert("L"))[row * height : (row + 1) * height]) > 100
    assert "runs/pictures/stage1.webp" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_ends_no_training(tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise WriteError("runs/pictures: no room")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(first_look, "write_whole", full)
    assert looking(toy_model(tasks=TASKS), (0.1, {})) == (0.1, {})
    assert "could not be drawn: runs/pictures: no room" in capsys.readouterr().err
