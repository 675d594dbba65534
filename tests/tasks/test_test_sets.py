"""Which data sets can judge a task that was trained on another: by the names of their labels."""

from pathlib import Path

import numpy as np
import pytest

from faceptor.datasets import reader_class
from faceptor.errors import ConfigError
from faceptor.evaluation.test_sets import judged_on
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.landmarks import LandmarksPrediction


def judge(name, dataset, own=None, **options):
    spec = TASKS[name]
    readers = [reader_class(spec.dataset)(Path("nowhere"), **(own or {}))]
    readers.append(reader_class(dataset)(Path("nowhere"), **options))
    return judged_on(spec, *readers, dataset)


FIT = [  # the tests across data sets of FaceXFormer's tables, and of 300W's and RAF-DB's users
    ("attributes_celeba", "lfwa", {}),
    ("landmarks_300w", "300vw", {}),
    ("landmarks_300w", "aflw2000", {}),
    ("pose_300wlp", "aflw2000", {}),
    ("pose_300wlp", "biwi", {}),
    ("gender_fairface", "ffhqaging", {}),
    ("gender_utkface", "ffhqaging", {}),
    ("agegroup_fairface", "ffhqaging", {"groups": "decades"}),
    ("agegroup_utkface", "ffhqaging", {"groups": "decades"}),
    ("expression_rafdb", "affectnet", {}),
    ("age_morph2", "utkface", {}),
    ("parsing_lapa", "celebamaskhq", {"classes": 11}),
    ("landmarks_facesynthetics", "300w", {}),
]


@pytest.mark.parametrize(("name", "dataset", "options"), FIT)
def test_pairs_that_fit(name, dataset, options):
    spec = judge(name, dataset, **options)
    assert (spec.name, spec.dataset, spec.labels) == (name, dataset, TASKS[name].labels)
    if spec.kind == "agegroup":
        assert KINDS["agegroup"].groups(spec) == tuple(range(8))  # the test set counts decades itself


@pytest.mark.parametrize(
    ("name", "dataset", "options", "why"),
    [
        ("attributes_celeba", "lfw73", {}, "attributes"),
        ("landmarks_300w", "wflw", {}, "WFLW"),
        ("landmarks_300w", "facesynthetics", {}, "FaceSynthetics"),
        ("landmarks_300w", "celeba", {}, "landmarks"),
        ("pose_300wlp", "300w", {}, "pose"),
        ("agegroup_fairface", "ffhqaging", {}, "3-6"),  # its groups lie across those of the task
        ("age_utkface", "ffhqaging", {}, "agegroup"),
        ("race_fairface", "utkface", {}, "Asian"),
        ("parsing_celebamaskhq", "lapa", {}, "mask"),
        ("expression_rafdb", "ferplus", {"expressions": 8}, "expression"),
    ],
)
def test_pairs_that_do_not_fit_name_the_key_and_the_label(name, dataset, options, why):
    with pytest.raises(ConfigError, match=rf"evaluate\.test_sets\.{name}: {dataset} .*{why}"):
        judge(name, dataset, **options)


def test_the_first_points_are_judged_by_the_normalisers_of_the_set_that_has_them_alone():
    spec, plain = judge("landmarks_facesynthetics", "300w"), TASKS["landmarks_300w"]
    truth = np.random.default_rng(0).uniform(0, 99, (68, 2))
    found = np.concatenate([truth + 1, np.full((2, 2), 500.0)])  # pupils that nobody marked
    metrics = [KINDS["landmarks"].metric(each) for each in (spec, plain)]
    for metric, points in zip(metrics, (found, found[:68]), strict=True):
        metric.update(LandmarksPrediction(points, None), {"key": "a", "landmarks": truth})
    assert metrics[0].compute() == metrics[1].compute()


def test_classes_in_another_order_are_told_by_name():
    five = {"races": "facexformer"}
    spec = judge("race_utkface", "fairface", **five)
    labels, order = TASKS["race_utkface"].labels, reader_class("fairface")(Path("nowhere"), **five).classes["race"]
    assert tuple(labels[index] for index in KINDS["race"].groups(spec)) == order != labels


def test_the_own_set_stays_as_it_is():
    assert judge("agegroup_fairface", "fairface") is TASKS["agegroup_fairface"]
