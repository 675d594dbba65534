"""The published FaceXFormer means what its authors say it means, and training the same variant means it, too.

Their words (issues 5, 7 and 10 of their repository): race 0 White, 1 Black, 2 Indian, 3 Asian, 4 Others; visibility 0
visible, 1 occluded; age decades 0-9 ... 60-69, over 70; gender 0 male, 1 female; attributes as CelebA lists them.
UTKFace's own file names have 2 Asian, 3 Indian.
"""

import numpy as np
import pytest
import torch

from faceptor.datasets import labels
from faceptor.models.facexformer_heads import released_spec
from faceptor.tasks import KINDS, kind_of, task
from faceptor.weights.folder import load_model, save_model
from tests.models.test_facexformer import toy_model

RACES = ("White", "Black", "Indian", "Asian", "Others")
DECADES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
SAID = {  # task -> what its heads say by index
    "race_utkface": RACES,
    "gender_utkface": ("male", "female"),
    "agegroup_utkface": DECADES,
    "attributes_celeba": labels.CELEBA_40,
}
PARSING = ("background", "face_lr_rr", "lb", "rb", "le", "re", "nose", "ul", "im", "ll", "hair")


def forced(model, name, logits):
    """Let a head answer these logits whatever it sees."""
    head = model.heads[model.heads.key(name)]
    with torch.no_grad():
        head.mlp[-1].weight.zero_()
        head.mlp[-1].bias.copy_(torch.as_tensor(logits))


def answer(model, name):
    spec = model.tasks[name]
    raw = model(torch.rand(1, 3, 32, 32), tasks=[name])[name][0]
    return spec, kind_of(spec).decode(spec, raw, None)


@pytest.fixture
def model(tmp_path):
    """Of the released variant, after a trip through a folder."""
    save_model(toy_model("visibility_cofw", *SAID, variant="released"), tmp_path)
    return load_model(tmp_path)


@pytest.mark.parametrize("name", ["race_utkface", "gender_utkface", "agegroup_utkface"])
def test_a_class_is_called_as_its_authors_call_it(model, name):
    for index, said in enumerate(SAID[name]):
        forced(model, name, np.eye(len(SAID[name]), dtype=np.float32)[index] * 9)
        spec, prediction = answer(model, name)
        assert prediction.to_json(spec)["label"] == said
        assert KINDS[spec.kind].describe(spec, prediction)[0].startswith(said)


def test_attributes_and_parsing_are_in_the_authors_order(model):
    assert model.tasks["attributes_celeba"].labels == SAID["attributes_celeba"]
    assert SAID["attributes_celeba"][:3] == ("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive")
    assert tuple(task("parsing_lapa").labels) == PARSING
    assert len(task("landmarks_300w").labels) == 68


def test_one_means_occluded(model):
    logits = -np.ones(29, np.float32)
    logits[:5] = 1  # the head says 1 for five points
    forced(model, "visibility_cofw", logits)
    spec, prediction = answer(model, "visibility_cofw")
    assert KINDS["visibility"].describe(spec, prediction)[0].startswith("24 of 29")
    assert (prediction.probabilities > 0.5).tolist() == [False] * 5 + [True] * 24
    assert np.allclose(prediction.probabilities[:5], 1 / (1 + np.e))


def test_the_papers_variant_keeps_the_data_sets_meaning():
    model = toy_model("visibility_cofw", "race_utkface")
    assert model.tasks["race_utkface"] == task("race_utkface")
    forced(model, "visibility_cofw", np.ones(29, np.float32))
    spec, prediction = answer(model, "visibility_cofw")
    assert KINDS["visibility"].describe(spec, prediction)[0].startswith("29 of 29")


@pytest.mark.parametrize(("written", "said"), enumerate(("White", "Black", "Asian", "Indian", "Others")))
def test_training_the_released_variant_reproduces_their_race(written, said):
    """What UTKFace's file names say becomes the index that the published head has for it, and is judged so."""
    spec = toy_model("race_utkface", variant="released").own_spec(task("race_utkface"))
    sample = {"key": "face", "race": written}
    kind = KINDS["race"]
    index = int(kind.target(spec, sample, None)["race"])
    assert RACES[index] == said
    metric = kind.metric(spec)
    for truth in range(5):
        metric.update(kind.decode(spec, torch.eye(5)[index], None), sample | {"race": truth})
    assert metric.compute()[f"recall_{said}"] == 100 and metric.compute()["accuracy"] == 20


def test_training_the_released_variant_reproduces_their_visibility():
    spec = toy_model("visibility_cofw", variant="released").own_spec(task("visibility_cofw"))
    visible = np.asarray([1, 0, -1] + [1] * 26, np.int8)
    target = KINDS["visibility"].target(spec, {"key": "face", "visibility": visible}, None)["visibility"]
    assert target.tolist() == [0, 1, -1] + [0] * 26


def test_the_meaning_does_not_depend_on_how_often_it_is_asked():
    for name in ("race_utkface", "race_fairface", "visibility_cofw", "gender_utkface"):
        once = released_spec(task(name))
        assert released_spec(once) == once
    assert released_spec(task("race_fairface")) == task("race_fairface")  # seven classes of its own
