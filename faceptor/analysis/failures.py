"""The faces on which a model answers worst, task by task, and what sets them apart from the others.

Every face is judged alone by its task's own metric, so an error has the unit of the table of results: NME in percent,
years, the F1 of one picture. Faces of classes are right or wrong; among the wrong, the surer the answer the worse.

What the worst share is asked of everything that is known of a face: its other labels, its own label, and what can be
measured in its crop. The question is one for many properties, so the answer is from permutations of which faces are
the worst: a property counts where its difference is larger than the largest of all properties in 95 % of them
(Westfall and Young's maximum).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from faceptor.datasets.labels import landmark_scheme
from faceptor.errors import ConfigError, DataError
from faceptor.evaluation.measure import headline_of, predict_samples
from faceptor.figures.parts import spelt_out
from faceptor.models.base import FaceModel
from faceptor.tasks import kind_of
from faceptor.tasks.base import Prediction, TaskSpec
from faceptor.transforms.crop import PlacedCrop
from faceptor.transforms.framing import own_crop

DRAWS = 2000  # permutations
SEED = 0
LEVEL = 0.05
FEWEST = 5  # worst faces, and faces of a class, that a comparison needs
LEAST_CONTRAST = 1e-3
NAMED = 3  # properties that a sentence names


@dataclass(frozen=True, eq=False)
class Case:
    """One face and what was said about it. value: the headline metric of this face alone; badness: orders the faces,
    the worst largest; crop: what the network was shown."""

    sample: Mapping
    answer: Prediction
    crop: PlacedCrop
    value: float
    badness: float


@dataclass(frozen=True, eq=False)
class Judged:
    """All faces of a task, the worst first."""

    spec: TaskSpec
    metric: str
    cases: tuple[Case, ...]

    def worst(self, share: float) -> int:
        """How many faces the worst `share` is."""
        return max(1, round(share * len(self.cases)))


# --- judging ----------------------------------------------------------------------------------------------------------


def judged_alone(model: FaceModel, tasks: Iterable[str]) -> list[str]:
    """Tasks whose faces can be judged one by one: named ones, else all of the model's; not those of pairs of faces."""
    named = list(tasks)
    for name in named:
        model.require_task(name)
    found = [name for name in named or model.tasks if not kind_of(model.tasks[name]).identities]
    if not found:
        told = f"{', '.join(named) or 'all tasks of the model'} are judged by pairs of faces; name others"
        raise ConfigError(f"notebooks.failure_cases.tasks: {told}")
    return found


def judge(model: FaceModel, name: str, samples: Sequence[Mapping], *, batch: int) -> Judged:
    """A task's answers about samples of its data set, the worst first."""
    if not samples:
        raise DataError(f"{name}: expected at least one face, found none")
    spec, kind = model.require_task(name), kind_of(model.tasks[name])
    headline, sign = headline_of(spec), -1 if kind.higher_is_better else 1
    device, cases = next(model.parameters()).device, []
    answered = predict_samples(model, spec, samples, own_crop(model, name), batch=batch, device=device)
    for sample, crop, answer in answered:
        metric = kind.metric(spec)
        metric.update(answer, sample)
        value = metric.compute()[headline]
        if np.isfinite(value):
            cases.append(Case(sample, answer, crop, value, sign * value + _sureness(answer)))
    if not cases:
        raise DataError(f"{name}: {headline} is not defined on any of these {len(samples)} faces alone")
    return Judged(spec, headline, tuple(sorted(cases, key=lambda case: -case.badness)))


def _sureness(answer: Prediction) -> float:
    """0 to 1, for answers that are right or wrong and tie otherwise: the probability of the class that was named."""
    label = getattr(answer, "label", None)
    return float(answer.probabilities[label]) if label is not None else 0.0


def overview(judged: Sequence[Judged], share: float) -> pd.DataFrame:
    """A row for each task: faces, and the metric's median, its worst `share` and its worst face."""
    rows = []
    for each in judged:
        values = np.array([case.value for case in each.cases])
        rows.append(
            {
                "task": each.spec.name,
                "metric of one face": each.metric,
                "faces": len(values),
                "mean": values.mean(),
                "median": np.median(values),
                f"worst {100 * share:.0f} %, mean": values[: each.worst(share)].mean(),
                "worst": values[0],
            }
        )
    return pd.DataFrame(rows).set_index("task")


# --- what the worst share ---------------------------------------------------------------------------------------------


def properties(judged: Judged, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What is known of every face, a row each, numbers in columns: shares of classes are 0 or 1. names: of the classes
    of every column, as the dataset card has them. Columns that are the same for all faces, or unknown for some, are
    left out."""
    rows = [_measured(case) | _labelled(case.sample, names) for case in judged.cases]
    table = pd.DataFrame(rows).dropna(axis=1, how="any").astype(float)
    classes = [column for column in table if set(table[column]) <= {0.0, 1.0}]
    rare = [column for column in classes if min(table[column].sum(), (1 - table[column]).sum()) < FEWEST]
    return table.drop(columns=rare).loc[:, lambda frame: frame.std() > 0]


def _measured(case: Case) -> dict[str, float]:
    """Of the crop as the network saw it, and of how the face lies in the picture."""
    colour = case.crop.image(case.sample["image"])
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    edges, contrast = float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()), float(grey.std())
    magnified = float(np.sqrt(abs(np.linalg.det(case.crop.matrix[:2, :2]))))
    found = {
        "brightness (0 to 1)": float(grey.mean()),
        "contrast (0 to 1)": contrast,
        "fine detail (share of the contrast)": edges / (contrast + LEAST_CONTRAST),
        "colour (0 to 1)": float(np.ptp(colour, axis=2).mean()),
        "side of the crop in the picture (pixels)": case.crop.size / magnified,
    }
    points = _five(case.sample)
    return found | _turns(points) if points is not None else found


def _five(sample: Mapping) -> np.ndarray | None:
    """Eyes, nose tip, mouth corners (5, 2), where labels tell them."""
    if sample.get("points5") is not None:
        return np.asarray(sample["points5"], float)
    points = sample.get("landmarks")
    scheme = SCHEMES.get(len(points)) if points is not None else None
    return landmark_scheme(scheme).five_points(np.asarray(points, float)) if scheme else None


SCHEMES = {landmark_scheme(name).count: name for name in ("300W", "WFLW", "COFW", "AFLW-19", "LaPa-106")}


def _turns(five: np.ndarray) -> dict[str, float]:
    """How far a head is turned, from five points: in the picture, and aside (the nose off the middle of the eyes)."""
    eyes = five[1] - five[0]
    apart = max(float(np.linalg.norm(eyes)), 1e-6)
    across = float((five[2] - five[:2].mean(axis=0)) @ eyes) / apart**2
    return {
        "tilt of the head (degrees)": abs(float(np.degrees(np.arctan2(eyes[1], eyes[0])))),
        "nose off the middle (eye distances)": abs(across),
    }


def _labelled(sample: Mapping, names: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Labels as numbers: years, degrees, a class or an attribute as 0 or 1, the share of hidden points."""
    found: dict[str, float] = {}
    if "age" in sample:
        found["age (years)"] = float(sample["age"])
    if "pose" in sample:
        found |= {f"{axis} of the head (degrees)": abs(float(a)) for axis, a in zip(AXES, sample["pose"], strict=True)}
    if "visibility" in sample:
        found["share of hidden points"] = float(np.mean(np.asarray(sample["visibility"]) == 0))
    for column in ("expression", "gender", "race", "agegroup"):
        if column in sample and column in names:
            label = names[column][int(sample[column])]
            found |= {f"{column} {spelt_out(each)}": float(each == label) for each in names[column]}
    for name, value in zip(names.get("attributes", ()), sample.get("attributes", ()), strict=False):
        found[spelt_out(name)] = float(value) if value in (0, 1) else float("nan")
    if "mask" in sample and "mask" in names:
        seen = np.bincount(np.asarray(sample["mask"]).ravel(), minlength=len(names["mask"]))
        found |= {f"{spelt_out(name)} in sight": float(seen[index] > 0) for index, name in enumerate(names["mask"])}
    return found


AXES = ("pitch", "yaw", "roll")


def compared(judged: Judged, table: pd.DataFrame, share: float) -> pd.DataFrame:
    """By property its mean among the worst `share` and among the others, the difference in standard deviations, and p,
    adjusted for all properties together; the most telling first. Without rows where too few faces are compared."""
    worst, faces = judged.worst(share), len(table)
    if min(worst, faces - worst) < FEWEST or table.empty:
        return pd.DataFrame(columns=["worst", "others", "difference", "p"])
    values = ((table - table.mean()) / table.std(ddof=0)).to_numpy()
    contrast = np.where(np.arange(faces) < worst, 1 / worst, -1 / (faces - worst))
    draw = np.random.default_rng(SEED)
    drawn = np.stack([draw.permutation(contrast) for _ in range(DRAWS)])
    difference, largest = contrast @ values, np.abs(drawn @ values).max(axis=1)
    p = (1 + (largest[:, None] >= np.abs(difference)).sum(axis=0)) / (1 + DRAWS)
    found = pd.DataFrame(
        {"worst": table.iloc[:worst].mean(), "others": table.iloc[worst:].mean(), "difference": difference, "p": p}
    )
    return found.reindex(found["difference"].abs().sort_values(ascending=False, kind="stable").index)


# --- words ------------------------------------------------------------------------------------------------------------


def conclusions(judged: Sequence[Judged], tables: Mapping[str, pd.DataFrame], share: float) -> list[str]:
    """A sentence for every task: how bad its worst faces are, and what sets them apart, or that this is undecided.
    tables: task -> `compared`."""
    return [_sentence(each, tables[each.spec.name], share) for each in judged]


def _sentence(judged: Judged, table: pd.DataFrame, share: float) -> str:
    values = np.array([case.value for case in judged.cases])
    worst = judged.worst(share)
    told = (
        f"{judged.spec.name}: the worst {worst} of {len(values)} faces have {judged.metric} "
        f"{values[:worst].mean():.3g} in the mean, the others {values[worst:].mean():.3g}"
    )
    if table.empty:
        return f"{told}; too few to say what they share: undecided."
    telling = table[table["p"] < LEVEL]
    if telling.empty:
        return f"{told}; what they share is undecided: none of {len(table)} properties sets them apart."
    first = telling.head(NAMED)
    named = "; ".join(f"{name} {row.worst:.2g} against {row.others:.2g}" for name, row in first.iterrows())
    more = f" and {len(telling) - NAMED} more" if len(telling) > NAMED else ""
    return f"{told}; they differ in {named}{more} (5 % level over {len(table)} properties)."
