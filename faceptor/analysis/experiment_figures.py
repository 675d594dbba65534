"""Figures of the experiments and of what the papers print: differences over seeds, skill by test, quoted methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from faceptor.analysis.canvas import look, single
from faceptor.analysis.experiments import Difference
from faceptor.errors import DataError
from faceptor.figures.plots import PALETTE

DECIDED, OPEN_COLOUR = PALETTE[0], "0.45"
LESS = PALETTE[1]


def _some(found: Sequence, what: str) -> None:
    if not len(found):
        raise DataError(f"{what}: nothing to draw; run `make experiments`, or choose other variants in `notebooks`")


# --- differences ----------------------------------------------------------------------------------------------------


def difference_dots(found: Sequence[Difference], *, unit: str = "skill") -> Figure:
    """What each variant gains over the second one of its difference: a row each, the mean with its interval over seeds,
    the seeds themselves faint. Right of 0 is better; filled where the interval lies on one side of 0."""
    _some(found, "differences between variants")
    found = sorted(found, key=lambda each: each.gain()[0])
    title = f"Gain over {found[0].second}" if len({each.second for each in found}) == 1 else "Gains"
    title += ", paired by seed\ndot: mean, bar: 95 % interval over seeds, ticks: seeds, filled: decided"
    figure, panel = single(title, width=7.2, height=0.24 * len(found) + 1.1)
    for place, each in enumerate(found):
        mean, low, high = each.gain()
        sign = 1 if each.higher_is_better else -1
        colour = OPEN_COLOUR if not each.decided else DECIDED if mean > 0 else LESS
        panel.plot(sign * np.array(each.values), [place] * len(each.values), "|", color=colour, alpha=0.5, markersize=9)
        if np.isfinite(low):
            panel.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        panel.plot(mean, place, "o", color=colour, markersize=5.5, markerfacecolor=colour if each.decided else "white")
    names = [f"{each.first}{_tests_of(each)}" for each in found]
    panel.set_yticks(range(len(found)), names)
    panel.set_ylim(-0.7, len(found) - 0.3)
    panel.axvline(0, color="0.3", linewidth=0.8, linestyle="--")
    panel.set_xlabel(f"gain in {unit} (right: better)")
    panel.tick_params(labelsize=9)
    return figure


def _tests_of(each: Difference) -> str:
    return f"  ({len(each.tests)} tests)" if len(each.tests) > 1 else f"  ({each.tests[0]})"


def gain_map(table: pd.DataFrame, *, unit: str = "skill") -> Figure:
    """Gains by variant (rows) and test (columns); bold where the interval over seeds lies on one side of 0. table: rows
    (variant, test, gain, decided)."""
    _some(table, "gains by test")
    order = list(dict.fromkeys(table["variant"])), list(dict.fromkeys(table["test"]))
    wide = table.pivot(index="variant", columns="test", values="gain").reindex(index=order[0], columns=order[1])
    decided = table.pivot(index="variant", columns="test", values="decided").reindex(index=order[0], columns=order[1])
    rows, columns = wide.shape
    title = f"Gain in {unit} by test (bold: decided over seeds)"
    figure, panel = single(title, width=2.6 + 0.72 * columns, height=0.25 * rows + 1.8)
    most = float(np.nanmax(np.abs(wide.to_numpy()))) or 1.0
    mesh = panel.pcolormesh(np.ma.masked_invalid(wide.to_numpy()), cmap="PuOr", norm=TwoSlopeNorm(0, -most, most))
    for (row, column), value in np.ndenumerate(wide.to_numpy()):
        if np.isfinite(value):
            light = abs(value) < 0.6 * most
            panel.text(
                column + 0.5, row + 0.5, signed(value), ha="center", va="center", fontsize=8,
                color="black" if light else "white", weight="bold" if decided.iloc[row, column] is True else "normal",
            )  # fmt: skip
    panel.set_xticks(np.arange(columns) + 0.5, wide.columns, rotation=35, ha="right")
    panel.set_yticks(np.arange(rows) + 0.5, wide.index)
    panel.invert_yaxis()
    panel.spines[:].set_visible(False)
    panel.tick_params(labelsize=9, length=0)
    bar = figure.colorbar(mesh, ax=panel, shrink=0.7)
    bar.set_label(f"gain in {unit}", fontsize=9)
    bar.ax.tick_params(labelsize=7)
    return figure


def signed(value: float) -> str:
    """Two digits with a sign: +0.12, -1.3, +15."""
    digits = 0 if abs(value) >= 10 else 1 if abs(value) >= 1 else 2
    text = f"{value:+.{digits}f}"
    return text[1:] if not float(text) else text


# --- results --------------------------------------------------------------------------------------------------------


def skill_dots(table: pd.DataFrame) -> Figure:
    """Skill of the models by test with 95 % intervals over test samples, from `counterparts.our_results`."""
    _some(table, "results of the models")
    tests, models = list(dict.fromkeys(table["test"])), list(dict.fromkeys(table["model"]))
    title = "Skill on the test faces (0: constant baseline, 100 %: perfect)"
    figure, panel = single(title, width=7.2, height=0.42 * len(tests) + 1.0)
    for number, model in enumerate(models):
        mine = table[table["model"] == model]
        places = np.array([tests.index(test) for test in mine["test"]]) + 0.7 * ((number + 0.5) / len(models) - 0.5)
        reach = [mine["skill"] - mine["skill_low"], mine["skill_high"] - mine["skill"]]
        panel.errorbar(
            100 * mine["skill"], places, xerr=100 * np.array(reach), linestyle="", markersize=4.5, elinewidth=1.3,
            label=model, **look(number),
        )  # fmt: skip
    panel.axvline(0, color="0.5", linestyle="--", linewidth=0.8)
    panel.set_yticks(range(len(tests)), tests)
    panel.set_ylim(len(tests) - 0.4, -0.6)
    panel.set_xlabel("skill, % (95 % intervals over test samples of one model)")
    figure.legend(loc="outside lower center", ncols=min(len(models), 5), fontsize=9)
    panel.tick_params(labelsize=9)
    return figure


def quoted_dots(tables: Mapping[str, pd.DataFrame], own: Sequence[str]) -> Figure:
    """Published numbers by data set: a row each, the papers' systems in colour, those they quote grey. tables:
    `paper_results.by_column`, rows (method, value, better_up) each."""
    _some(tables, "printed numbers")
    shown = [name for name in own if any((table["method"] == name).any() for table in tables.values())]
    title = "Printed numbers, each data set from its worst to its best"
    figure, panel = single(title, width=7.2, height=0.34 * len(tables) + 1.2)
    for place, table in enumerate(tables.values()):
        worst, best = table["value"].min(), table["value"].max()
        worst, best = (worst, best) if table["better_up"].iloc[0] else (best, worst)
        width = (best - worst) or 1.0
        others = table[~table["method"].isin(shown)]
        panel.plot((others["value"] - worst) / width, [place] * len(others), "|", color="0.6", markersize=9)
        for number, method in enumerate(shown):
            mine = table[table["method"] == method]
            label = method if place == _first(tables, method) else None
            panel.plot(
                (mine["value"] - worst) / width, [place] * len(mine), linestyle="", label=label, markersize=6,
                markeredgecolor="white", **look(number),
            )  # fmt: skip
        panel.annotate(f"{worst:g}", (-0.03, place), ha="right", va="center", fontsize=8, color="0.35")
        panel.annotate(f"{best:g}", (1.03, place), ha="left", va="center", fontsize=8, color="0.35")
    panel.set_yticks(range(len(tables)), list(tables))
    panel.set_ylim(len(tables) - 0.4, -0.6)
    panel.set(xlim=(-0.14, 1.14), xticks=[0, 1])
    panel.set_xticklabels(["worst printed", "best printed"])
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    panel.tick_params(labelsize=9)
    return figure


def _first(tables: Mapping[str, pd.DataFrame], method: str) -> int:
    return next(place for place, table in enumerate(tables.values()) if (table["method"] == method).any())
