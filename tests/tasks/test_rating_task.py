"""Ratings: agreement as scipy and Lin's formula have it, missing ratings, ranges, and every structure learns them."""

import json

import numpy as np
import pytest
import scipy.stats
import torch

from faceptor.datasets.readers.generic import Generic
from faceptor.errors import ConfigError, DataError
from faceptor.models.build import build_model
from faceptor.prepared.prepare import prepare
from faceptor.prepared.reading import open_split
from faceptor.tasks import KINDS, TaskSpec
from faceptor.tasks.custom import specs_of
from faceptor.tasks.rating import RatingPrediction, agreements
from tests.datasets.test_generic_reader import own
from tests.models.test_ten_kinds import CONFIGS

KIND = KINDS["rating"]
SCALES = {"trust": {"column": "trust", "range": [1, 7], "unit": "points"},
          "valence": {"column": "valence", "range": [-1, 1]}}  # fmt: skip
SPEC = TaskSpec("rating_x", "rating", "x", ("trust", "valence"),
                {"ranges": ((1.0, 7.0), (-1.0, 1.0)), "units": ("points", "")})  # fmt: skip
ONE = TaskSpec("rating_y", "rating", "y", ("trust",), {"ranges": ((1.0, 7.0),), "units": ("points",)})


def measured(spec, predicted, truth):
    metric = KIND.metric(spec)
    for i, (guess, known) in enumerate(zip(predicted, truth, strict=True)):
        metric.update(RatingPrediction(np.asarray(guess)), {"key": str(i), "ratings": np.asarray(known, np.float32)})
    return metric


def pairs(n=40, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.uniform(1, 7, n), rng.uniform(-1, 1, n)], axis=1)
    return np.clip(truth + rng.normal(0, (1.0, 0.4), (n, 2)), (1, -1), (7, 1)), truth


def test_agreement_is_that_of_the_formulas():
    predicted, truth = pairs()
    numbers = measured(SPEC, predicted, truth).compute()
    for n, name in enumerate(("trust", "valence")):
        x, y = predicted[:, n], truth[:, n].astype(np.float32).astype(float)
        lin = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert numbers[f"pearson_{name}"] == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)
        assert numbers[f"ccc_{name}"] == pytest.approx(lin, abs=1e-9)
        assert numbers[f"mae_{name}"] == pytest.approx(np.abs(x - y).mean())
    assert numbers["ccc"] == pytest.approx((numbers["ccc_trust"] + numbers["ccc_valence"]) / 2)
    assert numbers["nmae"] == pytest.approx(100 * (numbers["mae_trust"] / 6 + numbers["mae_valence"] / 2) / 2)


def test_agreement_at_its_ends():
    values, once = np.linspace(1, 7, 20), np.ones((1, 20))

    def both(predicted):
        return [float(each[0]) for each in agreements(predicted, values, once)]

    assert both(values) == pytest.approx([1, 1])
    assert both(8 - values)[0] == pytest.approx(-1)
    assert both(values + 2)[0] == pytest.approx(1) and both(values + 2)[1] < 0.7
    assert both(np.full(20, 4.0)) == [0, 0]


def test_a_draw_is_the_metric_of_the_repeated_samples():
    predicted, truth = pairs(12)
    truth[3:6, 1] = np.nan
    counts = np.random.default_rng(1).integers(0, 4, (5, 12)).astype(float)
    drawn = measured(SPEC, predicted, truth).resampler()(counts)
    for row, count in enumerate(counts.astype(int)):
        again = measured(SPEC, np.repeat(predicted, count, axis=0), np.repeat(truth, count, axis=0)).compute()
        for name, value in again.items():
            assert drawn[name][row] == pytest.approx(value, abs=1e-9), name


def test_a_face_without_a_rating_does_not_count():
    predicted, truth = pairs(10)
    truth[:5, 0] = np.nan
    few = measured(SPEC, predicted, truth).compute()
    assert few["mae_trust"] == pytest.approx(np.abs(predicted[5:, 0] - truth[5:, 0].astype(np.float32)).mean())
    for loss in ("l1", "mse"):
        raw = torch.zeros(10, 2, requires_grad=True)
        part = KIND.criterion(SPEC, loss=loss)(raw, {"ratings": torch.tensor(truth, dtype=torch.float32)})["loss"]
        part.backward()
        assert torch.isfinite(part) and (raw.grad[:5, 0] == 0).all() and (raw.grad[5:] != 0).all()
    truth[:, 0] = np.nan
    metric = measured(SPEC, predicted, truth)
    assert "mae_trust" not in {k for k, v in metric.compute().items() if np.isfinite(v)} and metric.notes()


def test_one_scale_has_plain_names():
    predicted, truth = pairs()
    assert set(measured(ONE, predicted[:, :1], truth[:, :1]).compute()) == {"nmae", "mae", "pearson", "ccc"}


def test_answers_stay_on_the_scale_and_no_constant_beats_the_median():
    for raw in (-1e4, -3.0, 0.0, 3.0, 1e4):
        low, high = KIND.decode(SPEC, torch.full((2,), raw), None).values
        assert 1 <= low <= 7 and -1 <= high <= 1
    truth = pairs(31)[1]

    class Train:
        def column(self, name):
            return truth

    found = KIND.constant_baseline(SPEC, Train())({}, None).values
    best = np.abs(truth - found).mean(0)
    for other in np.linspace((1, -1), (7, 1), 61):
        assert (best <= np.abs(truth - other).mean(0) + 1e-9).all()


def test_a_rating_off_its_scale_is_an_error():
    for ratings in ([8.0, 0.0], [1.0, -1.5], [1.0], [[1.0, 0.0]]):
        with pytest.raises(DataError, match="ratings"):
            KIND.target(SPEC, {"key": "a", "ratings": np.float32(ratings)}, None)
    with pytest.raises(DataError, match="ratings"):
        KIND.criterion(SPEC)(torch.zeros(1, 2), {"ratings": torch.tensor([[9.0, 0.0]])})


# --- own data -------------------------------------------------------------------------------------------------------


def prepared(tmp_path, **options):
    own(tmp_path / "raw", ratings=SCALES)
    return prepare("mine", tmp_path / "raw", tmp_path / "out", validation=0.0, seed=1, reader="generic",
                   options={"description": "mine.yaml"}, **options)  # fmt: skip


def test_columns_become_ratings_and_a_task(tmp_path):
    card = prepared(tmp_path)
    split = open_split(tmp_path / "out", "train")
    assert split.column("ratings").shape == (14, 2) and split[3]["ratings"].tolist() == [4.0, np.float32(3 / 9 - 1)]
    assert np.isnan(split[4]["ratings"][1])
    assert card["labels"]["train"]["ratings"]["trust"]["range"] == [1.0, 7.0]
    assert card["labels"]["train"]["ratings"]["valence"]["known"] == 12
    reader = Generic(tmp_path / "gone", description=card["options"]["description"])
    spec = next(spec for spec in specs_of("mine", reader, like="generic") if spec.kind == "rating")
    assert spec.labels == ("trust", "valence") and spec.options["ranges"] == ((1.0, 7.0), (-1.0, 1.0))
    assert TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_rows_off_the_scale_are_rejected_by_name(tmp_path):
    own(tmp_path / "raw", ratings=SCALES | {"trust": {"column": "trust", "range": [1, 5]}})
    card = prepare("mine", tmp_path / "raw", tmp_path / "out", validation=0.0, seed=1, reader="generic",
                   max_rejects=0.9, options={"description": "mine.yaml"})  # fmt: skip
    assert card["rejects"]["count"] == 4 and all("trust" in reject["reason"] for reject in card["rejects"]["first"])


@pytest.mark.parametrize("wrong", [[7, 1], [1, 1], [1], ["a", 2], [1, float("inf")]])
def test_a_range_must_rise(tmp_path, wrong):
    own(tmp_path, ratings={"trust": {"column": "trust", "range": wrong}})
    with pytest.raises(ConfigError, match=r"ratings\.trust"):
        Generic(tmp_path, description="mine.yaml")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_structure_learns_ratings(name):
    torch.manual_seed(0)
    model = build_model(CONFIGS[name], [SPEC]).train()
    images, target = {SPEC.name: torch.rand(6, 3, 32, 32)}, {"ratings": torch.tensor(pairs(6)[1]).float()}
    criterion, losses = KIND.criterion(SPEC), []
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        loss = criterion(model.forward_tasks(images)[SPEC.name], target)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert model.forward_tasks(images)[SPEC.name].shape == (6, 2) and min(losses[-3:]) < losses[0]
