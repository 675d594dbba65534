"""The table of tasks: name -> kind, data set, labels (one per query) and what differs between data sets.

A new task of a known kind is one row here and a reader in `faceptor.datasets`.
"""

from __future__ import annotations

from typing import Any

from faceptor.datasets import labels
from faceptor.tasks.base import TaskSpec
from faceptor.tasks.fitting import normalisers


def _point_names(scheme: labels.LandmarkScheme) -> tuple[str, ...]:
    """Published names where there are any, otherwise group and position: "left_eye_0"."""
    if scheme.names:
        return scheme.names
    names = [f"point_{index}" for index in range(scheme.count)]
    for group, (first, last) in scheme.groups.items():
        for index in range(first, last + 1):
            names[index] = f"{group}_{index - first}"
    return tuple(names)


def _landmarks(dataset: str, scheme: str, *rules: str, auc: dict[str, float] | None = None) -> TaskSpec:
    facts = labels.landmark_scheme(scheme)
    options = {
        "scheme": scheme,
        "normalisers": normalisers(facts, *rules),
        "auc": auc or {},  # NME name -> threshold (a fraction) of AUC and failure rate
        "headline": rules[0],
    }
    return TaskSpec(f"landmarks_{dataset}", "landmarks", dataset, _point_names(facts), options)


def _plain(kind: str, dataset: str, names: tuple[str, ...], **options: Any) -> TaskSpec:
    return TaskSpec(f"{kind}_{dataset}", kind, dataset, names, options)


_AGES = tuple(str(age) for age in labels.AGES)
_AGE_OPTIONS = {"first": labels.AGES[0]}
_DECADES = {"starts": labels.DECADE_STARTS}

TASKS: dict[str, TaskSpec] = {
    spec.name: spec
    for spec in (
        _landmarks("300w", "300W", "nme_inter_ocular", "nme_inter_pupil"),
        _landmarks("wflw", "WFLW", "nme_inter_ocular", "nme_inter_pupil", auc={"nme_inter_ocular": 0.10}),
        _landmarks("cofw", "COFW", "nme_inter_ocular", "nme_inter_pupil", auc={"nme_inter_ocular": 0.10}),
        # The paper normalises AFLW by the diagonal of the face box (Table 3); AUC and FR use sqrt(w * h).
        _landmarks(
            "aflw19", "AFLW-19", "nme_diag", "nme_box", "nme_inter_ocular", "nme_inter_pupil", auc={"nme_box": 0.07}
        ),
        _plain("parsing", "celebamaskhq", labels.CELEBAMASK_19, background=0, scheme="CelebAMask-HQ"),
        _plain("parsing", "lapa", labels.LAPA_11, background=0, scheme="LaPa"),
        _plain("age", "morph2", _AGES, **_AGE_OPTIONS),
        _plain("age", "utkface", _AGES, **_AGE_OPTIONS),
        _plain("expression", "affectnet", labels.EXPRESSIONS),
        _plain("expression", "rafdb", labels.EXPRESSIONS),
        _plain("expression", "ferplus", labels.EXPRESSIONS),
        _plain("attributes", "celeba", labels.CELEBA_40),
        _plain("attributes", "lfw73", labels.LFW_73),
        _plain("recognition", "ms1mv3", ()),
        # FaceXFormer's: both sets share its eight decades, so that one head can serve them.
        _plain("pose", "300wlp", ("pitch", "yaw", "roll")),
        _plain("gender", "utkface", labels.GENDERS),
        _plain("gender", "fairface", labels.GENDERS),
        _plain("race", "utkface", labels.UTKFACE_RACES),
        _plain("race", "fairface", labels.FAIRFACE_RACES),
        _plain("agegroup", "utkface", labels.AGE_DECADES, **_DECADES),
        _plain("agegroup", "fairface", labels.AGE_DECADES, groups=labels.FAIRFACE_AGE_TO_DECADE, **_DECADES),
        _plain("visibility", "cofw", _point_names(labels.landmark_scheme("COFW")), scheme="COFW"),
        # Rendered sets that anyone may fetch.
        _landmarks("facesynthetics", "FaceSynthetics", "nme_inter_ocular", "nme_inter_pupil"),
        _plain(
            *("parsing", "facesynthetics", labels.FACESYNTHETICS_19),
            background=0,
            scheme="FaceSynthetics",
            ignore=labels.FACESYNTHETICS_IGNORE,
        ),
        _plain("recognition", "digiface", ()),
    )
}
