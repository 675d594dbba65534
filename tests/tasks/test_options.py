"""Options of tasks that come from elsewhere: each kind says what its own may be."""

import json
from dataclasses import replace

import pytest

from faceptor.errors import ConfigError
from faceptor.tasks import TASKS, TaskSpec
from faceptor.tasks.kinds import KINDS, kind_of

OWN_SCHEME = {
    "name": "mine",
    "count": 4,
    "flip_permutation": [1, 0, 2, 3],
    "groups": {"eyes": [0, 1]},
    "five_alignment_points": [0, 1, 2, 3, 3],
    "inter_pupil": [[0, 0], [1, 1]],
}
SPECS = {
    **{spec.kind: spec for spec in TASKS.values()},
    "own landmarks": TaskSpec(
        "landmarks_mine",
        "landmarks",
        "mine",
        tuple("abcd"),
        {"scheme": OWN_SCHEME, "normalisers": {"nme": [[0], [1]]}, "auc": {"nme": 0.1}, "headline": "nme"},
    ),
    "own parsing": TaskSpec(
        "parsing_mine", "parsing", "mine", tuple("abc"), {"background": 0, "scheme": {"flip_permutation": [0, 2, 1]}}
    ),
    "rating": TaskSpec(
        "rating_mine", "rating", "mine", ("warm", "old"), {"ranges": [[1, 7], [-1, 1]], "units": ["", "y"]}
    ),
}
DELETED = object()
LONG = list(range(10**5))
WRONG = [  # the task, the option, its value
    ("landmarks", "scheme", "300w"),
    ("landmarks", "scheme", DELETED),
    ("landmarks", "scheme", 5),
    ("landmarks", "scheme", "COFW"),
    ("landmarks", "normalisers", {}),
    ("landmarks", "normalisers", {"nme_inter_ocular": "width"}),
    ("landmarks", "normalisers", {"nme_inter_ocular": [[0], [10**6]]}),
    ("landmarks", "normalisers", {"nme_inter_ocular": [[], [1]]}),
    ("landmarks", "auc", {"nme_inter_ocular": 0}),
    ("landmarks", "auc", {"nme_inter_ocular": float("nan")}),
    ("landmarks", "auc", {"other": 0.1}),
    ("landmarks", "headline", "accuracy"),
    ("landmarks", "first", 10**6),
    ("own landmarks", "scheme", OWN_SCHEME | {"flip_permutation": [0, 1, 2]}),
    ("own landmarks", "scheme", OWN_SCHEME | {"flip_permutation": [1, 2, 3, 0]}),
    ("own landmarks", "scheme", OWN_SCHEME | {"flip_permutation": [0, 1, 2, 4]}),
    ("own landmarks", "scheme", OWN_SCHEME | {"count": 10**9}),
    ("own landmarks", "scheme", OWN_SCHEME | {"groups": {"eyes": [0, 9]}}),
    ("own landmarks", "scheme", OWN_SCHEME | {"five_alignment_points": [0, 1]}),
    ("own landmarks", "scheme", OWN_SCHEME | {"five_alignment_points": [0, 1, 2, 3, [0, 10**9]]}),
    ("own landmarks", "scheme", OWN_SCHEME | {"inter_pupil": {"left_mean_of": [0], "right_mean_of": [1]}}),
    ("own landmarks", "scheme", OWN_SCHEME | {"names": ["a"]}),
    ("parsing", "background", True),
    ("own parsing", "scheme", {}),
    ("own parsing", "scheme", {"flip_permutation": [0, 2, 1.0]}),
    ("own parsing", "scheme", {"flip_permutation": LONG}),
    ("age", "first", 0.5),
    ("attributes", "first", 0),
    ("race", "groups", [7]),
    ("race", "groups", []),
    ("race", "groups", None),
    ("agegroup", "starts", None),
    ("agegroup", "starts", [0, 10]),
    ("agegroup", "starts", [0, 10, 20, 30, 40, 50, 60, 60]),
    ("visibility", "positive", "hidden"),
    ("visibility", "scheme", "300W"),
    ("rating", "ranges", [[1, 7]]),
    ("rating", "ranges", [[1, 7], [1, 1]]),
    ("rating", "ranges", [[1, 7], [0, float("inf")]]),
    ("rating", "units", DELETED),
]


def test_every_kind_is_here():
    assert {spec.kind for spec in SPECS.values()} == KINDS.keys()


@pytest.mark.parametrize("spec", [*TASKS.values(), *SPECS.values()], ids=lambda spec: spec.name)
def test_what_the_package_writes_is_right(spec):
    kind_of(spec).check(TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))))


@pytest.mark.parametrize(("name", "option", "value"), WRONG)
def test_what_cannot_be_is_told_by_its_key_in_a_line(name, option, value):
    spec = SPECS[name]
    options = {**spec.options, option: value}
    if value is DELETED:
        del options[option]
    with pytest.raises(ConfigError) as caught:
        kind_of(spec).check(TaskSpec.from_dict(replace(spec, options=options).to_dict()))
    line = str(caught.value)
    assert option in line and "\n" not in line and len(line) < 400, line


@pytest.mark.parametrize(("name", "labels"), [("pose", "ab"), ("recognition", "a"), ("parsing", "a"), ("age", "")])
def test_how_many_labels(name, labels):
    with pytest.raises(ConfigError, match="labels"):
        kind_of(SPECS[name]).check(replace(SPECS[name], labels=tuple(labels)))
