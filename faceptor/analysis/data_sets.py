"""What the data sets of an experiment are: their cards side by side, and how labels are distributed over splits.

A card is what `faceptor preprocess` found (`faceptor.prepared.card`); cards come as a dict, data set -> card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from faceptor.analysis.configured import Configured
from faceptor.config.sections import spelled, unspelled
from faceptor.datasets.columns import COLUMNS
from faceptor.errors import ConfigError, DataError
from faceptor.figures.parts import spelt_out
from faceptor.io.files import RESULTS, read_json
from faceptor.prepared.reading import SPLITS, read_card

LEVEL = 0.05  # of the tests below, all together (Holm)
FEWEST_EXPECTED = 5  # faces of a class in a split, on average, that a chi-squared test needs

Cards = Mapping[str, Mapping[str, Any]]


class Distribution(NamedTuple):
    """Of one label of a data set: shares in percent, a row for each class, a column for each split. counts: the same
    in faces where faces were counted, None where pixels or the like were. unit: what the shares are of."""

    dataset: str
    column: str
    shares: pd.DataFrame
    counts: pd.DataFrame | None
    unit: str


def cards_of(found: Configured, names: tuple[str, ...] | list[str], *, root: Path) -> dict[str, Mapping[str, Any]]:
    """Cards of data sets (none named: all of params.yaml), from data/prepared, else as results/preprocess has them.

    Raises ConfigError for a name that is none and DataError where no card is there at all; a set without a card is
    left out.
    """
    known = found.params.datasets
    wanted = [unspelled(name) for name in names] or list(known)
    if strangers := [name for name in wanted if name not in known]:
        raise ConfigError(f"notebooks.data.data_sets: {strangers[0]!r} is none; expected some of {', '.join(known)}")
    cards = {}
    for name in wanted:
        prepared, kept = root / found.prepared(name), root / RESULTS / "preprocess" / f"{spelled(name)}.json"
        if (prepared / "card.json").is_file():
            cards[name] = read_card(prepared)
        elif kept.is_file():
            cards[name] = read_json(kept)
    if not cards:
        raise DataError(f"{root / RESULTS / 'preprocess'}: no card of {', '.join(wanted)}; run `faceptor preprocess`")
    return cards


# --- tables -----------------------------------------------------------------------------------------------------------


def overview(cards: Cards, found: Configured) -> pd.DataFrame:
    """A row for each data set: what it is, how many faces of how many people or pictures, its labels, its licence."""
    rows = [
        {
            "data set": name,
            "published as": card["title"],
            "used in": {"joint": "training", "transfer": "transfer"}[found.params.datasets[name].role],
            "here": "generated" if card["generated"] else "photographs",
            **{split: card["counts"].get(split) for split in SPLITS},
            "labels": ", ".join(labels_of(card)),
            "licence of the original": card["licence"],
        }
        for name, card in cards.items()
    ]
    return pd.DataFrame(rows).astype(dict.fromkeys(SPLITS, "Int64")).set_index("data set")


def labels_of(card: Mapping[str, Any]) -> list[str]:
    """The columns that a data set can teach."""
    return [column for column in card["columns"] if column in COLUMNS and COLUMNS[column].label]


def soundness(cards: Cards) -> pd.DataFrame:
    """A row for each data set: what preparing it rejected, left out and found twice, and how its self-checks went."""
    rows = []
    for name, card in cards.items():
        states = [check["status"] for check in card["checks"]]
        twice = card["duplicates"]
        rows.append(
            {
                "data set": name,
                "rejected": card["rejects"]["count"],
                "left out by protocol": sum(card["dropped"].values()) + sum(card["ignored"].values()),
                "twice in a split": sum(twice.get("within", {}).values()),
                "in two splits": sum(twice.get("across", {}).values()),
                "checks passed": states.count("pass"),
                "failed": states.count("fail"),
                "not applicable": states.count("na"),
            }
        )
    return pd.DataFrame(rows).set_index("data set")


def sizes(cards: Cards) -> pd.DataFrame:
    """Rows (data set, split, faces)."""
    rows = [
        {"data set": name, "split": split, "faces": card["counts"][split]}
        for name, card in cards.items()
        for split in SPLITS
        if card["counts"].get(split)
    ]
    return pd.DataFrame(rows)


# --- distributions ----------------------------------------------------------------------------------------------------


def distributions(cards: Cards) -> list[Distribution]:
    """Of every label that the cards count."""
    return [each for name, card in cards.items() for each in _distributions(name, card)]


def _distributions(name: str, card: Mapping[str, Any]) -> Iterator[Distribution]:
    splits = {split: found for split, found in card["labels"].items() if found}
    for column in dict.fromkeys(column for found in splits.values() for column in found):
        values = {split: found[column] for split, found in splits.items() if column in found}
        if column == "age":
            counts = pd.DataFrame({split: each["decades"] for split, each in values.items()})
            counts.index = [f"{10 * decade}–{10 * decade + 9}" for decade in counts.index]
            yield _of_counts(name, column, counts, "faces")
        elif column == "attributes":
            shares = 100 * pd.DataFrame({split: each["prevalence"] for split, each in values.items()}).astype(float)
            yield Distribution(name, column, shares.rename(index=spelt_out).dropna(how="all"), None, "faces")
        elif column == "mask":
            shares = 100 * pd.DataFrame(values).astype(float).rename(index=spelt_out)
            yield Distribution(name, column, shares, None, "pixels")
        elif column == "visibility":
            yield _of_counts(name, column, pd.DataFrame(values), "points")
        elif column in card["label_names"] and all(isinstance(n, int) for one in values.values() for n in one.values()):
            yield _of_counts(name, column, pd.DataFrame(values).fillna(0).rename(index=spelt_out), "faces")


def _of_counts(name: str, column: str, counts: pd.DataFrame, unit: str) -> Distribution:
    counts = counts[counts.sum(axis=1) > 0]
    return Distribution(name, column, 100 * counts / counts.sum(), counts if unit == "faces" else None, unit)


def unlike(distribution: Distribution) -> float | None:
    """p of a chi-squared test that training and validation faces have their classes in the same shares; None where
    there are too few, or nothing was counted in faces."""
    from scipy.stats import chi2_contingency

    if distribution.counts is None or not {"train", "val"} <= set(distribution.counts):
        return None
    table = distribution.counts[["train", "val"]].to_numpy()
    table = table[table.sum(axis=1) > 0]
    if len(table) < 2 or table.sum() == 0 or table[:, 1].sum() / len(table) < FEWEST_EXPECTED:
        return None
    return float(chi2_contingency(table).pvalue)


# --- words ------------------------------------------------------------------------------------------------------------


def conclusions(cards: Cards) -> list[str]:
    """What there is, whether splits are apart and alike, what is rare, and what may be passed on, from the cards."""
    faces = sum(sum(card["counts"].values()) for card in cards.values())
    drawn = [name for name, card in cards.items() if card["generated"]]
    kind = f"{len(drawn)} of them generated" if drawn else "photographs"
    kind = "all generated" if len(drawn) == len(cards) else kind
    found = distributions(cards)
    return [
        f"{len(cards)} data sets, {kind}, {faces:,} faces in all.",
        _apart(cards),
        _alike(found),
        *_rare(found),
        _licences(cards),
    ]


def _apart(cards: Cards) -> str:
    table = soundness(cards)
    failed = table.index[table["failed"] > 0]
    both, rejected = int(table["in two splits"].sum()), int(table["rejected"].sum())
    checks = f"failed self-checks: {', '.join(failed)}" if len(failed) else "no self-check failed"
    return (
        f"{rejected:,} faces were rejected, {both:,} pictures lie in two splits, "
        f"{int(table['twice in a split'].sum()):,} twice in one; {checks}."
    )


def _alike(found: list[Distribution]) -> str:
    judged = [(p, each) for each in found if (p := unlike(each)) is not None]
    tested = sorted(judged, key=lambda pair: pair[0])
    if not tested:
        return "Whether validation faces are like training faces is undecided: too few were counted."
    names = []
    for place, (p, each) in enumerate(tested):
        if p * (len(tested) - place) >= LEVEL:  # Holm: the rest is not told apart either
            break
        names.append(f"{each.column} of {each.dataset}")
    told = f"differ beyond chance in: {', '.join(names)}" if names else "are not told apart"
    return (
        f"By {len(tested)} labels in classes, validation and training faces {told} (chi-squared, {100 * LEVEL:.0f} % "
        "for all together)."
    )


def _rare(found: list[Distribution]) -> Iterator[str]:
    train = [(each, each.shares["train"]) for each in found if "train" in each.shares and each.unit == "faces"]
    if rows := [(float(shares[shares > 0].min()), each, shares) for each, shares in train if (shares > 0).any()]:
        least, each, shares = min(rows, key=lambda row: row[0])
        label = shares[shares > 0].idxmin()
        yield f"The rarest label to learn is {label} ({each.column} of {each.dataset}): {least:.1f} % of the faces."
    if empty := [f"{label} ({each.dataset})" for each, shares in train for label in shares.index[shares == 0]]:
        yield f"No training face has: {', '.join(empty)}."


def _licences(cards: Cards) -> str:
    free = [f"{name} ({card['redistribution']})" for name, card in cards.items() if card["redistribution"] != "no"]
    return f"May the originals be passed on? {len(cards) - len(free)} not; {', '.join(free) or 'none of the others'}."
