"""Many crops at once: batches, precisions, compiled passes, shared crops, and many photographs in their order."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from faceptor.errors import ConfigError, DataError
from faceptor.models.build import build_model
from faceptor.predict import engine as engines
from faceptor.predict.crops import plan_of, shared_crop
from faceptor.predict.engine import Engine, EngineWarning
from faceptor.predict.many import Question, answer_photos
from faceptor.predict.predictor import NoFaceError, predict
from faceptor.tasks import task
from faceptor.transforms.framing import crop_of
from tests.toy import MODEL

TASKS = ("landmarks_300w", "parsing_lapa", "age_morph2", "expression_rafdb", "recognition_ms1mv3")
BOX = (20, 15, 70, 65)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(MODEL, [task(name) for name in TASKS]).eval()


@pytest.fixture(scope="module")
def crops():
    rng = torch.Generator().manual_seed(1)
    return {(name,): torch.rand(5, 3, 32, 32, generator=rng) for name in TASKS}


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (90, 100, 3), dtype=np.uint8)


def close(found, expected, atol=1e-5):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, atol=atol, rtol=1e-4, msg=name)


def rows(crops, part):
    return {tasks: images[part] for tasks, images in crops.items()}


# --- batches and precisions ------------------------------------------------------------------------------------------


def test_answers_are_the_models_own(model, crops):
    found, images = Engine(model).answer(crops), crops["age_morph2",]
    assert torch.equal(found["age_morph2"], model.forward_tasks({t: x for (t,), x in crops.items()})["age_morph2"])
    assert found["recognition_ms1mv3"].shape[:2] == (5, 2)  # the face and its mirror image
    close(Engine(model)(images, tasks=TASKS), {name: raw.detach() for name, raw in model(images, TASKS).items()}, 0)


@pytest.fixture
def uncompiled(monkeypatch):
    """Programs of fixed batch sizes, as Python runs them."""
    monkeypatch.setattr(engines, "compiled", lambda program, images: program)


def test_batches_are_filled_up_and_cut_again(model, crops, uncompiled, monkeypatch):
    expected = Engine(model).answer(crops)
    fixed = Engine(model, compiled="always", batch_sizes=(2, 4))
    found = fixed.answer(crops)  # passes of 4 and of 1, filled up to 2
    close(found, expected)
    assert sorted(key[1] for key, _ in fixed.programs) == [2, 4]
    filled = engines._filled
    monkeypatch.setattr(engines, "_filled", lambda images, size: filled(images - 1, size) + 1)  # white, not black
    for name, values in fixed.answer(crops).items():
        assert torch.equal(values, found[name])


def test_a_compiled_pass_gives_the_same_answers(model, crops, monkeypatch):
    """What torch traces, with kernels as they are: compiling those takes a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    some = rows({tasks: crops[tasks] for tasks in [("landmarks_300w",), ("age_morph2",)]}, slice(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        fast = Engine(model, compiled="always", batch_sizes=(4,))
        close(fast.answer(some), Engine(model).answer(some))
    assert [way for _, way in fast.programs] == ["compiled"]


def test_where_it_cannot_compile_it_says_so_once_and_goes_on(model, crops, monkeypatch):
    def fails(program, images):
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(engines, "compiled", fails)
    slow = Engine(model, compiled="always")
    with pytest.warns(EngineWarning, match=r"not compiled.*no compiler\)$") as told:
        close(slow.answer(crops), Engine(model).answer(crops))
        slow.answer(rows(crops, slice(1)))
    assert len(told) == 1


def test_lower_precision_is_autocast_of_the_model(model, crops):
    images = crops["age_morph2",]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = {name: raw.float() for name, raw in model(images, TASKS).items()}
    found = Engine(model, "bf16")(images, TASKS)
    for name, values in expected.items():
        assert torch.equal(found[name], values), name
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}  # the weights are a copy


@pytest.mark.parametrize("able", [True, False])
def test_a_processor_that_imitates_a_precision_says_so(model, monkeypatch, able):
    monkeypatch.setattr(engines, "_computes_in", lambda precision: able or precision == "fp32")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Engine(model)
        Engine(model, "bf16")
    assert [str(one.message).split(" and ")[0] for one in told] == [
        "engine: this processor does not compute in bf16"
    ] * (not able)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"precision": "int3"}, "fp32, bf16, fp16"), ({"compiled": 1}, "auto, never"), ({"batch_sizes": (0,)}, "from 1")],
)
def test_what_an_engine_cannot_be(model, settings, message):
    with pytest.raises(ConfigError, match=message):
        Engine(model, **settings)


# --- shared crops ----------------------------------------------------------------------------------------------------


def test_tasks_that_share_a_crop_cost_one_encoder_input(model, crops):
    images, seen = crops["age_morph2",], []
    hook = model.encoder.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    found = Engine(model).answer({TASKS[:2]: images, TASKS[2:4]: images})
    hook.remove()
    assert seen == [10]
    close(found, {name: raw.detach() for name, raw in model(images, TASKS[:4]).items()})
    mirrored = Engine(model).answer({TASKS[2:]: images})["recognition_ms1mv3"]
    close({"x": mirrored}, {"x": Engine(model).answer({TASKS[4:]: images})["recognition_ms1mv3"]})


def test_the_shared_crop_is_the_mean_of_the_groups_framings(model, photo):
    spec, framing = shared_crop(model, "face")
    own = [crop_of(model, name)[1].to_list() for name in TASKS[2:]]
    np.testing.assert_allclose(framing.to_list(), np.mean(own, axis=0), atol=1e-3)
    assert plan_of(model, ["age_morph2"], "shared") == {("age_morph2",): (spec, framing)}  # whoever else is asked
    (face,) = predict(model, photo, boxes=[BOX], crops="shared")
    assert list(face.results) == list(TASKS)
    with pytest.raises(ConfigError, match="own, shared"):
        predict(model, photo, boxes=[BOX], crops="common")


def test_other_statistics_want_other_crops(crops):
    inputs = MODEL.model_dump()["inputs"]
    inputs["face"]["mean"] = (0.4, 0.4, 0.4)
    other = build_model(MODEL.model_validate(MODEL.model_dump() | {"inputs": inputs}), [task(name) for name in TASKS])
    with pytest.raises(ConfigError, match="means and deviations"):
        Engine(other).answer({TASKS: crops["age_morph2",]})


# --- many photographs ------------------------------------------------------------------------------------------------


def test_photographs_are_answered_in_order_and_fail_alone(model, photo, tmp_path):
    def broken():
        raise OSError("the disk is gone")

    crowd = [(x, 5, x + 30, 35) for x in range(20)]
    asked = [
        Question(photo, boxes=[BOX], tag="one"), tmp_path / "gone.jpg", Question(broken, name="disk"),
        Question(lambda: None), photo, Question(lambda: photo, boxes=crowd), Question(photo, boxes=[(9, 9, 1, 1)]),
        Question(photo, boxes=[BOX, (10, 10, 60, 60)]),
    ]  # fmt: skip
    found = list(answer_photos(model, asked, tasks=["age_morph2", "recognition_ms1mv3"], detector=Blind(), threads=2))
    assert [len(answer.faces) for answer in found] == [1, 0, 0, 0, 0, 20, 0, 2]
    errors = [type(answer.error) for answer in found]
    assert errors == [type(None), DataError, OSError, type(None), NoFaceError, type(None), DataError, type(None)]
    assert found[0].tag == "one" and "gone.jpg" in str(found[1].error) and found[4].faceless and not found[6].faceless
    for answer in (found[0], found[5], found[7]):
        alone = predict(model, photo, boxes=answer.question.boxes, tasks=["age_morph2"])
        for one, other in zip(answer.faces, alone, strict=True):
            assert one.results["age_morph2"].years == pytest.approx(other.results["age_morph2"].years, abs=1e-3)
            assert one.score is None and np.array_equal(one.box, other.box)


class Blind:
    """A detector that sees nothing."""

    name = "blind"

    def detect(self, image, min_score=None):
        return []


def test_no_more_photographs_are_read_than_are_needed(model, photo):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield Question(photo, boxes=[BOX])

    answers = answer_photos(model, endless(), tasks=["age_morph2"], threads=2)
    lead = []
    for count in range(1, 60):
        assert next(answers).faces
        lead.append(len(taken) - count)
    answers.close()
    assert max(lead[20:]) <= max(lead[:20]) < 60


def test_a_network_that_fails_on_one_photograph_answers_the_others(model, photo, monkeypatch):
    true, broken = Engine.answer, Question(np.full_like(photo, 255), boxes=[BOX])

    def answer(self, crops):
        if any((images.mean((1, 2, 3)) > 0.6).any() for images in crops.values()):
            raise RuntimeError("out of memory")
        return true(self, crops)

    monkeypatch.setattr(Engine, "answer", answer)
    asked = [Question(photo, boxes=[BOX]), broken, Question(photo, boxes=[BOX])]
    found = list(answer_photos(model, asked, tasks=["age_morph2"], threads=1))
    assert [len(one.faces) for one in found] == [1, 0, 1] and "memory" in str(found[1].error)
