"""Age: the distribution and its ends, metrics by hand, the median as best constant."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from faceptor.errors import DataError
from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks.age import AgePrediction
from faceptor.tasks.losses import age as losses

KIND, SPEC, YEARS = KINDS["age"], TASKS["age_morph2"], torch.arange(101.0)


@pytest.mark.parametrize("years", [0.0, 1.0, 37.4, 50.0, 100.0])
def test_target_is_the_normalised_density(years):
    density = norm.pdf(np.arange(101), years, 2)
    found = losses.target_distribution(torch.tensor([years]), YEARS)[0]
    np.testing.assert_allclose(found, density / density.sum(), atol=1e-6)


def test_distribution_is_the_normalised_sigmoid():
    logits = torch.randn(3, 101) * 3
    plain = logits.sigmoid() / logits.sigmoid().sum(1, keepdim=True)
    torch.testing.assert_close(losses.log_distribution(logits).exp(), plain)


def test_very_small_sigmoids_do_not_underflow():
    logits = torch.full((1, 101), -200.0)
    logits[0, 30] = -150.0
    assert losses.expected_age(losses.log_distribution(logits), YEARS).item() == pytest.approx(30)
    loss = KIND.criterion(SPEC)(logits.requires_grad_(), {"age": torch.tensor([30.0])})["loss"]
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_ideal_logits_have_no_divergence():
    target = losses.target_distribution(torch.tensor([40.0]), YEARS)
    parts = KIND.criterion(SPEC)(torch.logit(target * 0.5, eps=1e-12), {"age": torch.tensor([40.0])})
    assert parts["kl"].item() < 1e-5 and parts["l1"].item() < 1e-3


@pytest.mark.parametrize("years", [-1.0, 101.0, float("nan")])
def test_impossible_ages_raise(years):
    with pytest.raises(DataError, match="age"):
        KIND.target(SPEC, {"key": "a", "age": years}, None)
    with pytest.raises(DataError, match="age"):
        KIND.criterion(SPEC)(torch.zeros(1, 101), {"age": torch.tensor([years])})


def test_first_year_is_an_option():
    spec = TaskSpec("age_adults", "age", "adults", tuple(str(a) for a in range(21, 61)), {"first": 21})
    logits = torch.full((40,), -40.0)
    logits[5] = 40.0
    assert KIND.decode(spec, logits, None).years == pytest.approx(26)
    with pytest.raises(DataError):
        KIND.target(spec, {"age": 20.0}, None)


def test_metrics_by_hand():
    metric = KIND.metric(SPEC)
    for predicted, truth in [(30, 30), (35, 30), (24, 30)]:
        metric.update(AgePrediction(predicted, np.zeros(101)), {"age": truth})
    result = metric.compute()
    assert result["mae"] == pytest.approx(11 / 3)
    assert result["cs5"] == pytest.approx(100 * 2 / 3)  # an error of exactly five counts
    assert result["epsilon_error"] == pytest.approx(1 - (1 + np.exp(-25 / 18) + np.exp(-36 / 18)) / 3)


def test_constant_baseline_is_the_median_and_no_constant_beats_it(fake_split):
    known = np.array([20, 20, 21, 50, 90.0])
    found = KIND.constant_baseline(SPEC, fake_split([{"age": years} for years in known]))({}, None)
    errors = [np.abs(known - years).mean() for years in np.arange(0, 101, 0.5)]
    assert found.years == 21 and np.abs(known - found.years).mean() == min(errors)
    assert found.distribution.sum() == pytest.approx(1) and found.distribution[20] == pytest.approx(0.4)
