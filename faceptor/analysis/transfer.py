"""What the notebook `transfer` shows: what each mode gains on unseen data sets, trains and forgets (paper Table 9).

The main pipeline teaches one model everything that a data set has (results/transfer, intervals over test samples); the
experiments do it over seeds and fractions of the data (results/experiments, intervals over seeds).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from faceptor.analysis import experiments, markdown
from faceptor.analysis.experiments import LOST, SKILL
from faceptor.analysis.markdown import ends
from faceptor.analysis.paper_results import own_values, printed
from faceptor.config import Params
from faceptor.config.experiments import dotted
from faceptor.config.sections import spelled
from faceptor.errors import DataError
from faceptor.io.files import RESULTS, read_json

if TYPE_CHECKING:
    from IPython.display import Markdown

NOT_RUN = "Less of the target data: nothing was run with these parameters (`make experiments` does)."
NAMES = {"prompt": "prompt (PT)", "decoder": "decoder (DFT)", "full": "full (FPFT)", "lora": "lora (not in the paper)"}


def named(mode: str) -> str:
    """A mode, with the paper's abbreviation."""
    return NAMES.get(mode, mode)


def in_pipeline(params: Params, root: Path, modes: Sequence[str] = ()) -> pd.DataFrame:
    """Rows (test, mode, trainable, total, metric, value, low, high, skill, skill_low, skill_high, lost, lost_low,
    lost_high, generated) of the transfers of the main pipeline; modes: these alone. DataError where there is none."""
    rows = []
    for dataset in params.transfer.matrix.dataset:
        for mode in params.transfer.matrix.mode:
            path = Path(root) / RESULTS / "transfer" / "details" / f"{spelled(dataset)}-{mode}.json"
            if path.is_file() and (not modes or mode in modes):
                rows += _taught(read_json(path), mode)
    if not rows:
        raise DataError(
            f"{Path(root) / RESULTS}/transfer/details: no transfer of transfer.matrix; run `faceptor repro`"
        )
    return pd.DataFrame(rows)


def _taught(details: dict, mode: str) -> list[dict]:
    rows = []
    for test, row in details["tasks"].items():
        metric, lost = row["headline"], details["forgotten"]
        (low, high), (skill_low, skill_high) = row["intervals"][metric], row["intervals"]["skill"]
        rows.append({
            "test": test, "mode": mode,
            "trainable": details["trainable_parameters"], "total": details["total_parameters"],
            "metric": metric, "value": row["metrics"][metric], "low": low, "high": high,
            "skill": row["skill"], "skill_low": skill_low, "skill_high": skill_high,
            "lost": lost["skill_lost"], "lost_low": lost["interval"][0], "lost_high": lost["interval"][1],
            "generated": details["about"]["data"][test]["generated"],
        })  # fmt: skip
    return rows


def over_fractions(params: Params, root: Path, table: pd.DataFrame, modes: Sequence[str] = ()) -> pd.DataFrame:
    """Rows (variant, mode, test, faces, share, seed, metric, value, skill, lost, trainable) of the variants that teach
    a data set; faces: of the target data that were trained on, share: of all there are. Empty where none was run."""
    rows = []
    for name, variant in params.experiments.variants.items():
        if variant.trains != "transfer":
            continue
        overrides = dotted(variant.overrides)
        (mode, *_) = overrides.get("transfer.matrix.mode", params.transfer.matrix.mode)
        mine = table[(table["variant"] == name) & table["headline"]] if not modes or mode in modes else table[:0]
        for row in mine.itertuples():
            wanted, there = overrides.get(f"transfer.tasks.{row.test}.faces"), _faces(root, row.dataset)
            faces = min(wanted or there, there)
            of_seed = table[(table["variant"] == name) & (table["seed"] == row.seed) & (table["test"] == row.test)]
            extra = of_seed.set_index("metric")["value"]
            rows.append({
                "variant": name, "mode": mode, "test": row.test, "faces": faces, "share": faces / there,
                "seed": row.seed, "metric": row.metric, "value": row.value, "skill": row.skill,
                "lost": extra.get(LOST, float("nan")), "trainable": extra.get("trainable_parameters", float("nan")),
            })  # fmt: skip
    columns = ["variant", "mode", "test", "faces", "share", "seed", "metric", "value", "skill", "lost", "trainable"]
    return pd.DataFrame(rows, columns=columns)


def _faces(root: Path, dataset: str) -> int:
    """Training faces of a prepared data set, as results/preprocess tells."""
    return read_json(Path(root) / RESULTS / "preprocess" / f"{spelled(dataset)}.json")["counts"]["train"]


def with_intervals(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """Rows (test, mode, faces, share, mean, low, high, seeds): `over_fractions` over seeds; low and high are nan for
    one seed."""
    keys, rows = ["test", "mode", "faces", "share"], []
    for key, part in table.groupby(keys, sort=False):
        rows.append((*key, *experiments.t_interval(part[value]), part["seed"].nunique()))
    return pd.DataFrame(rows, columns=[*keys, "mean", "low", "high", "seeds"])


def fraction_table(table: pd.DataFrame) -> Markdown:
    """Mean skill and skill lost of `over_fractions`, a row per data set, mode and number of faces; one sentence where
    nothing was run."""
    if table.empty:
        return markdown.sentences([NOT_RUN])
    table = table.assign(place=pd.factorize(table["test"])[0])
    table = table.sort_values(["place", "mode", "faces"], kind="stable")
    skill, lost = with_intervals(table, SKILL), with_intervals(table, "lost")
    trained = table.groupby(["test", "mode"])["trainable"].first()
    rows = [
        {
            "task": row.test,
            "mode": named(row.mode),
            "faces": f"{row.faces} ({row.share:.0%})",
            "trained parameters": f"{trained[row.test, row.mode]:,.0f}",
            "seeds": row.seeds,
            "skill": ends(row.mean, row.low, row.high, 3),
            "skill lost by old tasks": ends(old.mean, old.low, old.high, 3),
        }
        for row, old in zip(skill.itertuples(), lost.itertuples(), strict=True)
    ]
    return markdown.table(pd.DataFrame(rows), index=False)


def table_9(found: pd.DataFrame) -> pd.DataFrame:
    """Rows (data set, mode, trained parameters, printed, here, skill, skill lost): Table 9 beside `in_pipeline`."""
    columns = {column.tests[0]: name for name, column in printed().columns.items()}
    numbers = {(value.asked.tests[0], value.system.transfer): value.printed for value in own_values()}
    rows = [
        {
            "data set": columns.get(row.test, row.test),
            "metric": row.metric,
            "mode": named(row.mode),
            "trained": f"{row.trainable:,} ({row.trainable / row.total:.2%})",
            "printed": numbers.get((row.test, row.mode), float("nan")),
            "here": ends(row.value, row.low, row.high, 2),
            "skill": ends(row.skill, row.skill_low, row.skill_high, 3),
            "skill lost by old tasks": ends(row.lost, row.lost_low, row.lost_high, 3),
        }
        for row in found.itertuples()
    ]
    return pd.DataFrame(rows)


def conclusions(found: pd.DataFrame, fractions: pd.DataFrame) -> list[str]:
    """What the modes gain, train and forget, in words."""
    said = []
    for test, part in found.groupby("test", sort=False):
        best = part.loc[part["skill"].idxmax()]
        near = part[part["skill_high"] >= best["skill_low"]]
        frugal = near.loc[near["trainable"].idxmin()]
        others = "" if len(near) > 1 else ", apart from all others"
        said.append(
            f"{test}: {best['mode']} has the highest skill, {best['skill']:.2f}{others}; the fewest parameters whose "
            f"interval meets it are those of {frugal['mode']}, {frugal['trainable']:,} "
            f"({frugal['trainable'] / frugal['total']:.2%})."
        )
    lost = found.groupby("mode", sort=False)["lost"].agg(["min", "max"])
    told = "; ".join(f"{mode} {low:.2f} to {high:.2f}" for mode, low, high in lost.itertuples())
    said.append(f"Skill lost by the old tasks: {told}.")
    return said + (_by_seed(fractions) if len(fractions) else [NOT_RUN])


def _by_seed(fractions: pd.DataFrame) -> list[str]:
    """At the least and the most data: whether full beats prompt over the seeds."""
    said, modes = [], set(fractions["mode"])
    if not {"prompt", "full"} <= modes:
        return said
    for test, part in fractions.groupby("test", sort=False):
        told = []
        for faces in sorted({part["faces"].min(), part["faces"].max()}):
            pair = part[part["faces"] == faces].pivot_table(index="seed", columns="mode", values=SKILL)
            mean, low, high = experiments.t_interval((pair["full"] - pair["prompt"]).dropna())
            ahead = "full is ahead" if low > 0 else "prompt is ahead" if high < 0 else "undecided"
            interval = "one seed" if isnan(low) else f"[{low:+.2f}, {high:+.2f}]"
            told.append(f"with {faces} faces {ahead} ({mean:+.2f} {interval})")
        said.append(f"{test}, full against prompt over seeds: " + "; ".join(told) + ".")
    return said
