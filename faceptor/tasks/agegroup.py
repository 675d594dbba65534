"""Age group: the decades 0-9, ..., 60-69 and 70+ as classes (FaceXFormer section F.5).

A data set labels either its own groups (FairFace), which `options["groups"]` takes to the task's classes, or years
(UTKFace), which fall into the class whose first year in `options["starts"]` is the last one reached.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from faceptor.config.sections import AtKey, NonNegative
from faceptor.tasks.base import check_within, key_of
from faceptor.tasks.classification import Classification, ClassOptions


def group_of_years(years: Any, starts: tuple[float, ...]) -> np.ndarray:
    """Years, any shape -> index of the group they fall into; group i begins at starts[i], which ascend."""
    return np.searchsorted(np.asarray(starts, np.float64), np.asarray(years, np.float64), side="right") - 1


class AgeGroupOptions(ClassOptions):
    """starts: the first year of every class, ascending."""

    starts: Annotated[tuple[NonNegative, ...], Field(min_length=1)] = ()

    def check(self, spec):
        super().check(spec)
        starts = list(self.starts)
        if starts and (len(starts) != spec.queries or starts != sorted(set(starts))):
            raise AtKey("starts", f"expected {spec.queries} ascending years, one per label")


class AgeGroup(Classification):
    name, columns = "agegroup", ("agegroup", "age")  # either: years only count where there are no groups
    ordered, options = True, AgeGroupOptions

    @property
    def heading(self) -> str:
        return "Age group"

    losses: ClassVar = {**Classification.losses, "l1_ce": {"ce": 0.5, "l1": 0.5}}

    def label(self, spec, sample):
        if sample.get("agegroup") is None and sample.get("age") is not None:
            years, starts = float(sample["age"]), spec.options["starts"]
            check_within(f"{key_of(sample)}: age", years, years, (starts[0], np.inf), "no group holds this age")
            return int(group_of_years(years, starts))
        return super().label(spec, sample)

    def known_labels(self, spec, train):
        if "agegroup" in train.columns:
            return super().known_labels(spec, train)
        return group_of_years(train.column("age"), spec.options["starts"])
