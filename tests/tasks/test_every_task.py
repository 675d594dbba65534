"""What holds for every task of the table, whatever its kind."""

import json
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from faceptor.errors import ConfigError, DataError
from faceptor.tasks import KINDS, TASKS, Kind, TaskSpec, kind_of, task
from faceptor.tasks.limits import check_targets

COUNTS = {
    "landmarks_300w": 68,
    "landmarks_wflw": 98,
    "landmarks_cofw": 29,
    "landmarks_aflw19": 19,
    "parsing_celebamaskhq": 19,
    "parsing_lapa": 11,
    "age_morph2": 101,
    "age_utkface": 101,
    "expression_affectnet": 7,
    "expression_rafdb": 7,
    "expression_ferplus": 7,
    "attributes_celeba": 40,
    "attributes_lfw73": 73,
    "recognition_ms1mv3": 0,
    "pose_300wlp": 3,
    "gender_utkface": 2,
    "gender_fairface": 2,
    "race_utkface": 5,
    "race_fairface": 7,
    "agegroup_utkface": 8,
    "agegroup_fairface": 8,
    "visibility_cofw": 29,
    "landmarks_facesynthetics": 70,
    "parsing_facesynthetics": 19,
    "recognition_digiface": 0,
}
RANGES = ((1.0, 7.0), (1.0, 9.0))
RATING = TaskSpec("rating_own", "rating", "own", ("trust", "warmth"), {"ranges": RANGES, "units": ("points", "")})
ALL = TASKS | {RATING.name: RATING}  # and a kind that only users' own data have
SIDE = 32  # of the crops here; maps have a quarter of it


def sample_of(spec: TaskSpec, rng: np.random.Generator, index: int = 0) -> dict:
    """Random labels of every kind; the crop is the image."""
    return {
        "key": f"face{index}",
        "size": (SIDE, SIDE),
        "box": np.array([4, 4, 28, 28], np.float32),
        "landmarks": rng.uniform(4, 28, (max(spec.queries, 2), 2)).astype(np.float32),
        "mask": rng.integers(0, max(spec.queries, 1), (SIDE, SIDE)).astype(np.uint8),
        "age": float(rng.integers(1, 90)),
        "expression": int(rng.integers(0, 7)),
        "attributes": rng.integers(-1, 2, max(spec.queries, 1)).astype(np.int8),
        "identity": index // 2 % 5,
        "pose": rng.uniform(-60, 60, 3).astype(np.float32),
        "gender": int(rng.integers(0, 2)),
        "race": int(rng.integers(0, 5)),
        "agegroup": int(rng.integers(0, 8)),
        "visibility": rng.integers(-1, 2, max(spec.queries, 1)).astype(np.int8),
        "ratings": rng.uniform(RANGES[0][0], RANGES[0][1], len(RANGES)).astype(np.float32),
        "subsets": (),
    }


def raw_of(spec: TaskSpec, batch: int, seed: int = 0) -> torch.Tensor:
    """Random network output of the shape the kind's head gives."""
    shapes = {"map": (spec.queries, SIDE // 4, SIDE // 4), "value": (spec.queries,), "vector": (512,)}
    draw = torch.randn(batch, *shapes[KINDS[spec.kind].head], generator=torch.Generator().manual_seed(seed))
    return draw.requires_grad_()


def batch_of(spec, crop, count):
    rng = np.random.default_rng(5)
    targets = [KINDS[spec.kind].target(spec, sample_of(spec, rng, i), crop) for i in range(count)]
    return {name: torch.as_tensor(np.stack([target[name] for target in targets])) for name in targets[0]}


@pytest.fixture(params=[*TASKS, RATING.name])
def spec(request):
    return ALL[request.param]


@pytest.fixture
def crop(fake_crop):
    return fake_crop(SIDE, (SIDE, SIDE))


def test_names_and_counts():
    assert {name: spec.queries for name, spec in TASKS.items()} == COUNTS
    for name, spec in TASKS.items():
        assert spec.name == name == f"{spec.kind}_{spec.dataset}"
        assert len(set(spec.labels)) == spec.queries
        assert isinstance(kind_of(spec), Kind) and kind_of(spec).name == spec.kind


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ConfigError, match="landmarks_300w"):
        task("landmarks_300W")
    with pytest.raises(ConfigError, match="parsing"):
        kind_of(TaskSpec("gaze_toy", "gaze", "toy"))


def test_spec_survives_json(spec):
    again = TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and hash(again) == hash(spec)


def test_table_needs_neither_torch_nor_matplotlib():
    code = "import sys, faceptor.tasks; sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LOSSES = [(name, loss) for name, spec in ALL.items() for loss in KINDS[spec.kind].losses]


@pytest.fixture(params=LOSSES, ids="-".join)
def chosen(request):
    """A task and one of its losses, ready to use."""
    spec, loss = ALL[request.param[0]], request.param[1]
    classes = 5 if spec.kind == "recognition" else None
    return spec, KINDS[spec.kind].criterion(spec, classes=classes, loss=loss)


def test_loss_is_finite_and_every_output_gets_a_gradient(chosen, crop):
    spec, criterion = chosen
    raw = raw_of(spec, 12)
    parts = criterion(raw, batch_of(spec, crop, 12))
    parts["loss"].backward()
    assert all(part.shape == () and torch.isfinite(part) for part in parts.values())
    assert (raw.grad.abs().sum(0) > 0).all()  # over the batch, because unknown attributes are masked


def test_loss_of_a_batch_is_the_mean_of_its_samples(chosen, crop, request):
    spec, criterion = chosen
    raw, target = raw_of(spec, 3), batch_of(spec, crop, 3)
    turned = criterion(raw.flip(0), {k: v.flip(0) for k, v in target.items()})["loss"]
    torch.testing.assert_close(criterion(raw, target)["loss"], turned, rtol=1e-5, atol=1e-5)
    if "batch_dice_ce" in request.node.callspec.id:
        return  # the F1 of the batch as a whole
    single = [criterion(raw[i : i + 1], {k: v[i : i + 1] for k, v in target.items()})["loss"] for i in range(3)]
    torch.testing.assert_close(criterion(raw, target)["loss"], torch.stack(single).mean(), rtol=1e-5, atol=1e-5)


def test_half_precision_outputs_give_a_float32_loss(chosen, crop):
    spec, criterion = chosen
    target = batch_of(spec, crop, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = criterion(raw_of(spec, 2).bfloat16(), target)["loss"]
    full = criterion(raw_of(spec, 2).bfloat16().float(), target)["loss"]
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=1e-5, atol=1e-5)


def test_targets_may_be_given_by_name_of_any_float_type_and_with_gradient(chosen, crop):
    spec, criterion = chosen
    raw, target = raw_of(spec, 2).detach(), batch_of(spec, crop, 2)
    torch.testing.assert_close(criterion(raw=raw, target=target), criterion(raw, target), equal_nan=True)
    floats = {name: values for name, values in target.items() if values.is_floating_point()}
    criterion(raw, target | {name: values.bfloat16() for name, values in floats.items()})
    criterion(raw, target | {name: values.clone().requires_grad_() for name, values in floats.items()})


def test_unknown_number_of_the_loss_is_an_error(spec):
    with pytest.raises(ConfigError, match=rf"tasks.{spec.name}.criterion.wieght: unknown key"):
        KINDS[spec.kind].criterion(spec, classes=5, wieght=1.0)


def criteria_of(spec):
    """Every loss of a task's kind, by name."""
    kind = KINDS[spec.kind]
    return {name: kind.criterion(spec, classes=5, loss=name) for name in kind.losses}


def test_targets_say_what_they_may_hold(spec, crop):
    """True ones pass; what cannot be true is named."""
    batch = batch_of(spec, crop, 3)
    for criterion in criteria_of(spec).values():
        assert criterion.limits.keys() == batch.keys()
        check_targets(criterion.limits, batch, where="step 0")
    for name, values in batch.items():
        wrong = values.clone()
        wrong.view(-1)[-1] = 99 if values.is_floating_point() or values.dtype != torch.uint8 else 200
        wrong.view(-1)[-1] = 1000 if spec.kind == "age" else wrong.view(-1)[-1]
        with pytest.raises(DataError, match=rf"step 4: {name} of sample 2 of the batch: expected .* found"):
            check_targets(criterion.limits, {name: wrong}, where="step 4")


def test_no_loss_waits_for_the_device(spec, crop, monkeypatch):
    """On `meta`, where a tensor has no values, reading one is an error."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no such device
    batch = {name: values.to("meta") for name, values in batch_of(spec, crop, 3).items()}
    for criterion in criteria_of(spec).values():
        raw = raw_of(spec, 3).detach().to("meta").requires_grad_()
        criterion.to("meta")(raw, batch)["loss"].backward()
        assert raw.grad is not None and raw.grad.is_meta


def test_missing_label_is_an_error(spec, crop):
    with pytest.raises(DataError, match=r"face7.*label"):
        KINDS[spec.kind].target(spec, {"key": "face7", "size": (SIDE, SIDE)}, crop)


def test_empty_evaluation_is_an_error(spec):
    with pytest.raises(DataError, match=spec.dataset):
        KINDS[spec.kind].metric(spec).compute()


def test_diverged_model_gets_no_score(spec, crop):
    kind, rng = KINDS[spec.kind], np.random.default_rng(0)
    with pytest.raises(DataError, match="diverged"):
        prediction = kind.decode(spec, raw_of(spec, 1)[0].detach() * float("nan"), crop)
        kind.metric(spec).update(prediction, sample_of(spec, rng))


def evaluated(spec, crop, fake_split, count=12):
    """(metric of random outputs, metric of the constant baseline, a prediction) over the same samples."""
    kind, rng = KINDS[spec.kind], np.random.default_rng(1)
    samples = [sample_of(spec, rng, i) for i in range(count)]
    best_constant = kind.constant_baseline(spec, fake_split(samples), lambda sample: crop)
    metric, baseline = kind.metric(spec), kind.metric(spec)
    for sample, raw in zip(samples, raw_of(spec, count), strict=True):
        prediction = kind.decode(spec, torch.stack([raw, raw]) if kind.mirror else raw, crop)
        metric.update(prediction, sample)
        baseline.update(best_constant(sample, crop), sample)
    return metric, baseline, prediction


def test_from_output_to_report(spec, crop, fake_split):
    kind = KINDS[spec.kind]
    metric, baseline, prediction = evaluated(spec, crop, fake_split)
    for result in (metric.compute(), baseline.compute()):
        assert kind.headline_of(spec) in result
        assert all(isinstance(value, float) and np.isfinite(value) for value in result.values())
    json.dumps({"prediction": prediction.to_json(spec), "notes": metric.notes()}, allow_nan=False)
    lines = kind.describe(spec, prediction)
    assert all(isinstance(line, str) and "\n" not in line for line in lines)
    canvas = np.full((SIDE, SIDE, 3), 128, np.uint8)
    drawn = kind.draw(spec, canvas, prediction)
    assert drawn.shape == canvas.shape and drawn.dtype == np.uint8 and (canvas == 128).all()
    assert (drawn != canvas).any() == (type(kind).draw is not Kind.draw)


def test_figure_is_made_without_pyplot_state(spec, crop, fake_split, tmp_path):
    import matplotlib.pyplot as plt

    metric, _, _ = evaluated(spec, crop, fake_split)
    before, backend = plt.get_fignums(), plt.get_backend()
    figure = KINDS[spec.kind].figure(spec, metric)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert plt.get_fignums() == before and plt.get_backend() == backend
    assert (tmp_path / "figure.png").stat().st_size > 1000


def repeated(spec, crop, counts):
    """The metric of random outputs, sample i updated counts[i] times."""
    kind, rng = KINDS[spec.kind], np.random.default_rng(1)
    metric = kind.metric(spec)
    for index, (count, raw) in enumerate(zip(counts, raw_of(spec, len(counts)), strict=True)):
        sample = sample_of(spec, rng, index)
        prediction = kind.decode(spec, torch.stack([raw, raw]) if kind.mirror else raw, crop)
        for _ in range(count):
            metric.update(prediction, sample)
    return metric


def test_metrics_of_counted_samples_are_those_of_samples_repeated(spec, crop):
    """What the intervals are drawn from is the metric itself."""
    once = repeated(spec, crop, [1] * 12)
    ones = once.resampler()(np.ones((1, sum(once.strata()))))  # no face here has a group
    for name, value in once.compute().items():
        assert ones[name][0] == pytest.approx(value, abs=1e-9), name
    if spec.kind == "recognition":
        return  # its samples are pairs: tests/tasks/test_intervals.py
    counts = [2, 1, 0, 3, 1, 1, 0, 1, 2, 1, 4, 1]
    found = once.resampler()(np.array([counts], float))
    for name, value in repeated(spec, crop, counts).compute().items():
        assert found[name][0] == pytest.approx(value, abs=1e-9), name


def test_every_number_has_an_interval(spec, crop):
    metric = repeated(spec, crop, [1] * 12)
    numbers, found = metric.compute(), metric.intervals(seed=3)
    assert set(found) == set(numbers) and found == metric.intervals(seed=3)
    for name, (low, high) in found.items():
        assert np.isnan(low) or low <= numbers[name] <= high
    low, high = found[KINDS[spec.kind].headline_of(spec)]
    assert low < high
