"""A metric that is not defined on a test's faces costs that test alone, and leaves nothing behind."""

import math

import numpy as np
import pytest

from faceptor.datasets.readers.generic import stored_description
from faceptor.errors import FaceptorError
from faceptor.evaluation.measure import Measured
from faceptor.pipeline.evaluation import Report, Test
from faceptor.tasks import KINDS, task
from faceptor.tasks.age import AgePrediction


def measured(value: float, constant: float) -> Measured:
    spec = task("age_morph2")
    metric, best_constant = (KINDS[spec.kind].metric(spec) for _ in range(2))
    for each, error in ((metric, 1.0), (best_constant, 2.0)):
        for number in range(4):
            each.update(
                AgePrediction(30.0 + error, np.eye(101)[30]), {"age": 30.0, "group": f"{number}", "key": f"{number}"}
            )
    metric.compute, best_constant.compute = (lambda number=number: {"mae": number} for number in (value, constant))
    return Measured(spec, metric, best_constant)


@pytest.mark.parametrize(("value", "constant"), [(math.nan, 2.0), (1.0, math.nan)])
def test_what_is_no_number_is_told_and_not_kept(value, constant):
    report = Report()
    with pytest.raises(FaceptorError, match=r"age_morph2.*mae"):
        report.add(Test(task("age_morph2"), "morph2"), measured(value, constant), seed=1)
    assert not report.tasks and not report.skills
    assert report.headlines() == {"intervals": {}}


def test_a_damaged_card_says_nothing_of_a_description(tmp_path):
    card = tmp_path / "card.json"
    for text in ("{", "[]", '{"options": {}}'):
        card.write_text(text)
        assert stored_description(tmp_path, "absent.yaml", card) == {}
