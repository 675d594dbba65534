"""Figures of the analysis notebooks: each takes a table of this package and returns a matplotlib figure.

Figures are built without pyplot, as those of the task kinds: nothing global, nothing to close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from faceptor.analysis import paper
from faceptor.analysis.budget import BYTES, COMPONENTS, FACEPTOR, MIXES, NAIVE
from faceptor.analysis.canvas import grid, single, tiles
from faceptor.analysis.layer_attention import MEASURED, STAGE2
from faceptor.figures.plots import PALETTE

MAX_ROWS_NAMED = 45  # rows of a heatmap from which on only some are named


# --- parameter budget -----------------------------------------------------------------------------------------------


def component_bars(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Where the parameters are: `budget.parts` of several models, a panel each."""
    most = max(len(table) for table in tables.values())
    heights = [0.27 * most + 0.9] * len(tables)
    figure, panels = tiles("Where the parameters are", heights, abreast=3, width=5.8)
    colours = dict(zip(COMPONENTS, PALETTE, strict=False))
    for panel, (name, table) in zip(panels, tables.items(), strict=True):
        millions, places = table["parameters"] / 1e6, np.arange(len(table))
        panel.barh(places, millions, color=[colours[component] for component in table["component"]])
        panel.set_yticks(places, table["component"].str.replace("_", " ") + ": " + table["part"], fontsize=9)
        panel.invert_yaxis()
        for place, value in zip(places, millions, strict=True):
            panel.annotate(f" {value:.3g}", (value, place), va="center", fontsize=9)
        panel.set(xlabel="parameters, M", title=f"{name}: {millions.sum():,.1f} M", xlim=(0, 1.22 * millions.max()))
    return figure


def task_bars(table: pd.DataFrame, *, title: str) -> Figure:
    """What a task owns, from `budget.per_task`, beside a head of its own in Naive Faceptor."""
    shown = table[table["parameters"] > 0].reset_index(drop=True)
    heads = shown["kind"].map(paper.NAIVE_HEADS) * BYTES / 1e3
    series = {
        "queries, content and position": shown["kilobytes"],
        "Layer-Attention, paper: L_t": shown["kilobytes_level_paper"],
        "Layer-Attention, released: L_t and projections": shown["kilobytes_level_released"],
        "a head of its own (Naive Faceptor)": heads,
    }
    figure, panel = single(title, width=8.5, height=0.72 * len(shown) + 1.2)
    thickness = 0.8 / len(series)
    for step, (name, values) in enumerate(series.items()):
        places = np.arange(len(shown)) + (step - 1.5) * thickness
        panel.barh(places, values, height=thickness, color=PALETTE[step], label=name)
        for place, value in zip(places, values, strict=True):
            panel.annotate(f" {value:,.0f}", (value, place), va="center", fontsize=8)
    panel.set_yticks(np.arange(len(shown)), shown["task"])
    panel.invert_yaxis()
    panel.set(xscale="log", xlabel="weights of one task, kB (float32, logarithmic)")
    panel.set_xlim(right=panel.get_xlim()[1] * 2)
    panel.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return figure


def growth_lines(table: pd.DataFrame) -> Figure:
    """Total parameters against the number of tasks, from `tables.growth_by_mix`; dots are the paper's Table 3."""
    mixes = list(dict.fromkeys(table["mix"]))
    figure, axes = grid("Parameters to store, by the number of tasks", 1, len(mixes), width=4.0, heights=[3.6])
    printed = {NAIVE: paper.NAIVE_MILLIONS, FACEPTOR: paper.FACEPTOR_MILLIONS["total"]}
    for panel, mix in zip(axes[0], mixes, strict=True):
        part = table[table["mix"] == mix]
        for colour, name in zip(PALETTE, paper.STORAGE, strict=False):
            line = part[part["paradigm"] == name]
            panel.plot(line["tasks"], line["parameters"] / 1e6, color=colour, label=f"{name}: {paper.STORAGE[name]}")
            if name in printed and mix == next(iter(MIXES)):
                panel.plot(len(paper.NAIVE_HEADS), printed[name], "o", color=colour, markerfacecolor="white")
        panel.set(yscale="log", xlabel="tasks N", title=mix, ylim=(80, table["parameters"].max() / 1e6 * 1.2))
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,.0f}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    axes[0, 0].set_ylabel("parameters, M (logarithmic)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


# --- layer attention ------------------------------------------------------------------------------------------------


def mass_bars(table: pd.DataFrame) -> Figure:
    """Attention mass per encoder layer, from `layer_attention.mass_by_layer`: a row of panels per task."""
    tasks = list(dict.fromkeys(table["task"]))
    figure, axes = grid(
        "Attention mass by encoder layer (mean over heads, queries and validation faces)",
        len(tasks), len(MEASURED), width=4.6, heights=[2.4] * len(tasks),
    )  # fmt: skip
    layers = sorted(table["encoder_layer"].unique())
    colours = seaborn.color_palette("viridis", len(layers))
    for row, task in zip(axes, tasks, strict=True):
        for panel, state in zip(row, MEASURED, strict=True):
            part = table[(table["task"] == task) & (table["state"] == state)]
            wide = part.pivot(index="decoder_layer", columns="encoder_layer", values="mass")
            bottom = np.zeros(len(wide))
            for layer, colour in zip(layers, colours, strict=True):
                panel.bar(wide.index, wide[layer], bottom=bottom, color=colour, label=f"layer {layer}", width=0.85)
                bottom += wide[layer].to_numpy()
            panel.set(ylim=(0, 1), xlabel="decoder layer", title=f"{task}, {state}", xticks=list(wide.index))
            panel.title.set_fontsize(10)
        row[0].set_ylabel("share of the attention")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", title="encoder", fontsize=8)
    return figure


def preference_maps(table: pd.DataFrame) -> Figure:
    """Preference Q.L_t by query and encoder layer, from `layer_attention.by_query`: a column per decoder layer."""
    title = "Preference Q·L_t / √d after stage 2, mean over heads and faces (0: no preference)"
    part = table[table["state"] == STAGE2]
    return _maps(title, part, "preference", columns="decoder_layer", name="decoder layer {}", height=_of_queries)


def query_mass_maps(table: pd.DataFrame) -> Figure:
    """Attention mass by query in the last decoder layer, untrained and after stage 2, from `by_query`."""
    last = table[(table["decoder_layer"] == table["decoder_layer"].max()) & table["state"].isin(MEASURED)]
    title = "Attention mass by query in the last decoder layer, mean over heads and faces"
    return _maps(title, last, "mass", height=_of_queries)


def _of_queries(count: int) -> float:
    return float(np.clip(0.19 * count, 1.5, 7.0)) + 0.7


def head_maps(table: pd.DataFrame) -> Figure:
    """Attention mass by decoder layer and head, from `layer_attention.mass_by_head`: untrained and after stage 2."""
    title = "Attention mass by decoder layer and head, mean over queries and faces"
    part = table[table["state"].isin(MEASURED)]
    part = part.assign(label=part["decoder_layer"].astype(str) + " · " + part["head"].astype(str))
    return _maps(
        title, part, "mass", rows=["decoder_layer", "head"], ylabel="decoder layer · head", width=9.2,
        height=lambda count: float(np.clip(0.2 * count, 2.0, 6.0)) + 0.6, every=table["head"].max(),
    )  # fmt: skip


def _maps(
    title: str, table: pd.DataFrame, value: str, *, height: Callable[[int], float], rows: Sequence[str] = ("query",),
    columns: str = "state", name: str = "{}", ylabel: str = "query", width: float = 9.0, every: int = 10,
) -> Figure:  # fmt: skip
    """A row of maps per task, one for each value of `columns`, called `name`: `rows` by encoder layers. height: inches,
    of so many rows; width: of a row of maps, or a little more; of many labels only each `every`-th is shown."""
    tasks, places, rows = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table[columns])), list(rows)
    labels = {task: part.drop_duplicates(rows).sort_values(rows)["label"] for task, part in table.groupby("task")}
    heights = [height(len(labels[task])) for task in tasks]
    figure, axes = grid(title, len(tasks), len(places), width=max(2.4, width / len(places)), heights=heights)
    for panels, task in zip(axes, tasks, strict=True):
        of_task = table[table["task"] == task]
        for panel, place in zip(panels, places, strict=True):
            wide = of_task[of_task[columns] == place].pivot(index=rows, columns="encoder_layer", values=value)
            _heatmap(panel, wide, value, most=float(of_task[value].abs().max()) or 1.0, bar=panel is panels[-1])
            panel.set_title(f"{task}\n{name.format(place)}", fontsize=10)
        step = every if len(labels[task]) > MAX_ROWS_NAMED else 1
        panels[0].set_yticks(np.arange(0, len(labels[task]), step) + 0.5, labels[task].iloc[::step], fontsize=9)
        panels[0].set_ylabel(ylabel, fontsize=10)
    return figure


# Value -> its colours, where these begin in units of the most, and what it is called.
SCALES = {"preference": ("RdBu_r", -1, "Q·L_t / √d"), "mass": ("viridis", 0, "share of the attention")}


def _heatmap(panel: Axes, wide: pd.DataFrame, value: str, *, most: float, bar: bool) -> None:
    """A map of rows by encoder layers, with colours up to `most`."""
    colours, least, unit = SCALES[value]
    # not seaborn.heatmap, which draws the whole figure once for each of its panels
    mesh = panel.pcolormesh(wide.to_numpy(), cmap=colours, vmin=least * most, vmax=most)
    panel.invert_yaxis()
    panel.spines[:].set_visible(False)
    panel.set_xticks(np.arange(wide.shape[1]) + 0.5, wide.columns, fontsize=9)
    panel.set_yticks([])
    panel.set_xlabel("encoder layer", fontsize=10)
    if bar:
        scale_axis = panel.figure.colorbar(mesh, ax=panel).ax
        scale_axis.set_ylabel(unit, fontsize=10)
        scale_axis.tick_params(labelsize=9)
