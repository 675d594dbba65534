"""Recognition: one identity embedding per face, trained with a margin, judged by 1:1 verification (paper section 3).

Verification follows the usual protocol: the embeddings of an image and of its mirror image are added and
L2-normalised, pairs are compared by squared Euclidean distance, and the threshold of each of ten contiguous folds is
the one that is best on the other nine. `verify` works in fractions, `RecognitionMetric.compute` reports percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from faceptor.errors import ConfigError, DataError
from faceptor.figures.plots import PALETTE, curve_data, new_figure
from faceptor.tasks.base import Kind, Prediction, TaskSpec, check_finite, check_within, key_of, label_of
from faceptor.tasks.intervals import joined, means_of
from faceptor.tasks.limits import Limits
from faceptor.tasks.metric import Metric

FOLDS = 10
THRESHOLDS = np.arange(0, 4, 0.01)  # squared distances of unit vectors lie in [0, 4]


@dataclass(frozen=True)
class IdentityPrediction(Prediction):
    """embedding: (512,), not normalised, image and mirror added where both were given; norm: mean length of what was
    added, a hint of image quality."""

    embedding: np.ndarray
    norm: float = float("nan")

    def to_json(self, spec: TaskSpec) -> dict[str, Any]:
        return {"embedding": [float(value) for value in self.embedding]}


# --- verification ----------------------------------------------------------------------------------------------------


def verify(embeddings_a: np.ndarray, embeddings_b: np.ndarray, same: np.ndarray) -> dict[str, Any]:
    """1:1 verification of P pairs; embeddings (P, D) with the mirror images' already added, of any length.

    Returns fractions: accuracy and its population std over folds, `fold_accuracies`, `fold_thresholds`; and for the
    ROC over all pairs: `thresholds` (squared distances), `fpr`, `tpr`. Pairs are "same" if strictly closer than the
    threshold; of equally good thresholds the smallest is taken. Fewer pairs than folds give one fold per pair.
    """
    same = np.asarray(same, bool)
    if not len(same) == len(embeddings_a) == len(embeddings_b) or len(same) < 2:
        raise DataError(
            f"verification: expected the same number of embeddings and labels, at least 2 pairs, found "
            f"{len(embeddings_a)}, {len(embeddings_b)} and {len(same)}; prepare the verification set again"
        )
    distance = np.square(_unit(embeddings_a) - _unit(embeddings_b)).sum(1)
    accepted = distance[:, None] < THRESHOLDS  # (P, 400)
    right = accepted == same[:, None]
    hits, sizes = fold_hits(right, np.ones((1, len(same))))
    best, accuracies = (found[0] for found in held_out(hits, sizes))
    return {
        "accuracy": float(accuracies.mean()),
        "std": float(accuracies.std()),
        "fold_accuracies": accuracies,
        "fold_thresholds": THRESHOLDS[best],
        "right": right,
        "thresholds": THRESHOLDS,
        "fpr": _share(accepted[~same]),
        "tpr": _share(accepted[same]),
    }


def fold_sizes(pairs: int) -> np.ndarray:
    """Pairs of each contiguous fold, the first ones larger; fewer pairs than folds give one fold per pair."""
    return np.array([len(part) for part in np.array_split(np.arange(pairs), min(FOLDS, pairs))])


def fold_hits(right: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """right (P, thresholds) bool, counts (draws, P) -> hits (draws, folds, thresholds), pairs (draws, folds)."""
    parts = np.split(np.arange(len(right)), np.cumsum(fold_sizes(len(right)))[:-1])
    counts = counts.astype(np.float32)  # whole numbers far below 2^24, so sums are exact
    hits = np.stack([counts[:, part] @ right[part].astype(np.float32) for part in parts], axis=1)
    return hits, np.stack([counts[:, part].sum(1) for part in parts], axis=1).astype(np.float64)


def held_out(hits: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(draws, folds) index of the threshold that is best on the other folds, and the fold's accuracy with it."""
    best = (hits.sum(1, keepdims=True) - hits).argmax(2)
    return best, np.take_along_axis(hits, best[..., None], axis=2)[..., 0] / sizes


def _unit(embeddings: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(length > 0, length, 1)


def _share(accepted: np.ndarray) -> np.ndarray:
    return accepted.mean(0) if len(accepted) else np.full(accepted.shape[1], np.nan)


def pairs_of_identities(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Verification pairs out of labelled images: each image with the next of its identity, and, alternating with
    these, with the first image of the identity after it. Returns indices a, b and same; deterministic."""
    order = np.argsort(identities, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(np.asarray(identities)[order])) + 1)
    pairs = []
    for group, following in zip(groups, groups[1:] + groups[:1], strict=True):
        for left, right in pairwise(group):
            pairs += [(left, right, True), (left, following[0], False)]
    if len(groups) < 2 or not pairs:
        raise DataError(
            f"verification: {len(groups)} identities make no pairs, expected at least 2, one of them with 2 "
            "images; take more validation samples"
        )
    a, b, same = zip(*pairs, strict=True)
    return np.asarray(a), np.asarray(b), np.asarray(same)


@dataclass(frozen=True)
class PairSet:
    """a, b: (P, D) embeddings; same: (P,) bool; norm: (P,) mean length of what the pair's embeddings were made of."""

    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    norm: np.ndarray

    @classmethod
    def of(cls, left: Sequence[IdentityPrediction], right: Sequence[IdentityPrediction], same: Any) -> PairSet:
        a, b = (np.stack([one.embedding for one in side]) for side in (left, right))
        norm = np.asarray([(one.norm + other.norm) / 2 for one, other in zip(left, right, strict=True)])
        return cls(a, b, np.asarray(same, bool), norm)


class RecognitionMetric(Metric):
    """accuracy (mean over sets), accuracy_<set>, std_<set> in percent; embedding_norm is a plain length.

    A sample of a verification set carries `pair` and `same`, and the set's name as its only subset. A sample with an
    `identity` instead (validation) is paired by `pairs_of_identities`, under the name "identities".
    """

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.pairs: dict[str, dict[tuple[int, bool], list[IdentityPrediction]]] = {}  # set -> (pair, same) -> images
        self.loose: list[tuple[IdentityPrediction, int]] = []

    def _update(self, prediction: IdentityPrediction, sample: Any) -> None:
        check_finite(key_of(sample), prediction.embedding)
        if "pair" not in sample:
            self.loose.append((prediction, int(label_of(sample, "identity"))))
            return
        name, pair = next(iter(sample.get("subsets", ())), "pairs"), (int(sample["pair"]), bool(sample["same"]))
        self.pairs.setdefault(name, {}).setdefault(pair, []).append(prediction)

    def sets(self) -> dict[str, PairSet]:
        """The pairs of each set, in the published order, in which folds are contiguous."""
        result = {}
        for name, pairs in self.pairs.items():
            whole = [pair for pair in sorted(pairs) if len(pairs[pair]) > 1]
            left, right = ([pairs[pair][side] for pair in whole] for side in (0, 1))
            result[name] = PairSet.of(left, right, [same for _, same in whole])
        if self.loose:
            a, b, same = pairs_of_identities(np.asarray([identity for _, identity in self.loose]))
            left, right = ([self.loose[i][0] for i in side] for side in (a, b))
            result["identities"] = PairSet.of(left, right, same)
        return result

    def notes(self) -> list[str]:
        """Of some pairs only one image was seen, as at the end of a limited evaluation."""
        lone = {name: sum(len(seen) < 2 for seen in pairs.values()) for name, pairs in self.pairs.items()}
        return [f"{name}: {count} pairs with one image left out" for name, count in lone.items() if count]

    def results(self) -> dict[str, dict[str, Any]]:
        """`verify` of each set."""
        return {name: verify(pairs.a, pairs.b, pairs.same) for name, pairs in self.sets().items()}

    def _compute(self) -> dict[str, float]:
        results = self.results()
        named = {f"{key}_{name}": 100 * r[key] for name, r in results.items() for key in ("accuracy", "std")}
        norm = np.concatenate([pairs.norm for pairs in self.sets().values()]).mean()
        norms = {} if np.isnan(norm) else {"embedding_norm": float(norm)}
        return {"accuracy": 100 * float(np.mean([r["accuracy"] for r in results.values()])), **named, **norms}

    def strata(self):
        """Pairs are drawn, within their fold."""
        return tuple(int(size) for pairs in self.sets().values() for size in fold_sizes(len(pairs.same)))

    def drawn_with(self):
        return None

    def resampler(self):
        sets = self.sets()
        right = {name: result["right"] for name, result in self.results().items()}
        ends = np.cumsum([len(each) for each in right.values()])
        norm = means_of({"embedding_norm": np.concatenate([pairs.norm for pairs in sets.values()])})

        def metrics(counts):
            found = {}
            for (name, each), drawn in zip(right.items(), np.split(counts, ends[:-1], axis=1), strict=True):
                _, accuracies = held_out(*fold_hits(each, drawn))
                found |= {f"accuracy_{name}": 100 * accuracies.mean(1), f"std_{name}": 100 * accuracies.std(1)}
            mean = np.mean([found[f"accuracy_{name}"] for name in right], axis=0)
            return {"accuracy": mean} | found | norm(counts)

        return metrics

    def _shares(self):
        each = {}
        for name, result in self.results().items():
            pairs = len(result["right"])
            each[f"accuracy_{name}"] = [(result["accuracy"] * pairs, pairs)]
        return each | {"accuracy": joined(each.values())}


class Recognition(Kind[IdentityPrediction, RecognitionMetric]):
    name, head, inputs, columns = "recognition", "vector", "face", ("identity",)
    metric_class, headline, higher_is_better, mirror = RecognitionMetric, "accuracy", True, True
    run_length = 8  # a person's pictures, four pairs
    identities, label_count = True, range(1)
    losses: ClassVar = {
        "cosface": {"scale": 64.0, "margin": 0.4, "sample_rate": 1.0},
        "arcface": {"scale": 64.0, "margin": 0.5, "sample_rate": 1.0},
    }

    def loss(self, spec, name, *, classes, embedding, **numbers):
        from faceptor.tasks.losses.margins import ArcFace, CosFace

        if not classes or classes < 2:
            raise ConfigError(
                f"{spec.name}: expected at least 2 training identities, found {classes}; check the prepared "
                f"{spec.dataset}"
            )
        return {"cosface": CosFace, "arcface": ArcFace}[name](classes=classes, embedding=embedding, **numbers)

    def limits(self, spec, *, classes=None):
        return {"identity": Limits(0, math.inf if classes is None else classes - 1)}

    def target(self, spec, sample, crop):
        identity = int(label_of(sample, "identity"))
        check_within(f"{key_of(sample)}: identity", identity, identity, (0, np.inf), "identities count from 0")
        return {"identity": np.asarray(identity, np.int64)}

    def decode(self, spec, raw, crop):
        """raw: (512,), or (2, 512) with the mirrored image's embedding second."""
        rows = raw.detach().float().cpu().numpy().reshape(-1, raw.shape[-1])
        return IdentityPrediction(rows.sum(0), float(np.linalg.norm(rows, axis=1).mean()))

    def constant_baseline(self, spec, train, place=None):
        """One embedding for every face: all pairs look alike, which is chance on balanced sets."""
        constant = IdentityPrediction(np.ones(1, np.float32))
        return lambda sample, crop: constant

    def figure(self, spec, metric):
        """ROC of each verification set."""
        figure, (panel,) = new_figure(f"{spec.name}: mean accuracy {metric.compute()['accuracy']:.1f} %")
        for index, (name, result) in enumerate(metric.results().items()):
            label = f"{name}: {100 * result['accuracy']:.2f} ± {100 * result['std']:.2f} %"
            panel.plot(100 * result["fpr"], 100 * result["tpr"], color=PALETTE[index % len(PALETTE)], label=label)
        panel.plot([0, 100], [0, 100], color="0.6", linestyle="--", linewidth=1)
        panel.set(xlabel="different faces accepted (%)", ylabel="same faces accepted (%)", xlim=(0, 100), ylim=(0, 100))
        panel.legend(fontsize=8, loc="lower right")
        return figure

    def plots(self, spec, metric):
        named = metric.results().items()
        return [curve_data("roc", {"fpr": found["fpr"], "tpr": found["tpr"]}, series) for series, found in named]

    def describe(self, spec, prediction):
        return [f"embedding of length {np.linalg.norm(prediction.embedding):.1f}"]
