"""Figures of the analysis notebooks: each takes a table of this package and returns a matplotlib figure.

Figures are built without pyplot, as those of the task kinds: nothing global, nothing to close.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from faceptor.analysis import paper
from faceptor.analysis.budget import BYTES, COMPONENTS, FACEPTOR, MIXES, NAIVE
from faceptor.analysis.canvas import grid, tiles
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
    figure, axes = grid(title, 1, 1, width=8.5, heights=[0.72 * len(shown) + 1.2])
    panel, thickness = axes[0, 0], 0.8 / len(series)
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
    """Total parameters against the number of tasks, from `budget.growth_by_mix`; dots are the paper's Table 3."""
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
    return _query_maps(
        table[table["state"] == STAGE2], "preference", columns="decoder_layer", name="decoder layer {}",
        title="Preference Q·L_t / √d after stage 2, mean over heads and faces (0: no preference)",
    )  # fmt: skip


def query_mass_maps(table: pd.DataFrame) -> Figure:
    """Attention mass by query in the last decoder layer, untrained and after stage 2, from `by_query`."""
    last = table[(table["decoder_layer"] == table["decoder_layer"].max()) & table["state"].isin(MEASURED)]
    return _query_maps(
        last, "mass", columns="state", name="{}",
        title="Attention mass by query in the last decoder layer, mean over heads and faces",
    )  # fmt: skip


def _query_maps(table: pd.DataFrame, value: str, *, columns: str, name: str, title: str) -> Figure:
    tasks, places = list(dict.fromkeys(table["task"])), list(dict.fromkeys(table[columns]))
    counts = [table.loc[table["task"] == task, "query"].max() + 1 for task in tasks]
    heights = [float(np.clip(0.19 * count, 1.5, 7.0)) + 0.7 for count in counts]
    figure, axes = grid(title, len(tasks), len(places), width=max(2.4, 9.0 / len(places)), heights=heights)
    for row, task in zip(axes, tasks, strict=True):
        of_task = table[table["task"] == task]
        labels = of_task.drop_duplicates("query").sort_values("query")["label"]
        for panel, place in zip(row, places, strict=True):
            wide = of_task[of_task[columns] == place].pivot(index="query", columns="encoder_layer", values=value)
            names = labels if panel is row[0] else None
            _heatmap(panel, wide, value, of_task[value], labels=names, bar=panel is row[-1])
            panel.set_title(f"{task}\n{name.format(place)}", fontsize=10)
        row[0].set_ylabel("query", fontsize=10)
    return figure


def head_maps(table: pd.DataFrame) -> Figure:
    """Attention mass by decoder layer and head, from `layer_attention.mass_by_head`: untrained and after stage 2."""
    tasks, states = list(dict.fromkeys(table["task"])), MEASURED
    rows = len(table[["decoder_layer", "head"]].drop_duplicates())
    figure, axes = grid(
        "Attention mass by decoder layer and head, mean over queries and faces",
        len(tasks), len(states), width=4.6, heights=[float(np.clip(0.2 * rows, 2.0, 6.0)) + 0.6] * len(tasks),
    )  # fmt: skip
    for row, task in zip(axes, tasks, strict=True):
        of_task = table[(table["task"] == task) & table["state"].isin(states)]
        for panel, state in zip(row, states, strict=True):
            part = of_task[of_task["state"] == state]
            wide = part.pivot(index=["decoder_layer", "head"], columns="encoder_layer", values="mass")
            names = pd.Series([f"{layer} · {head}" for layer, head in wide.index]) if panel is row[0] else None
            _heatmap(
                panel, wide, "mass", of_task["mass"], labels=names, bar=panel is row[-1], every=table["head"].max()
            )
            panel.set_title(f"{task}\n{state}", fontsize=10)
        row[0].set_ylabel("decoder layer · head", fontsize=10)
    return figure


def _heatmap(
    panel: Axes,
    wide: pd.DataFrame,
    value: str,
    scale: pd.Series,
    *,
    labels: pd.Series | None,
    bar: bool,
    every: int = 10,
) -> None:
    """A map of rows by encoder layers; `scale`: all values that share its colours; of many labels only each
    `every`-th is shown."""
    most = float(scale.abs().max()) or 1.0
    ranges = {"preference": ("RdBu_r", -most, most), "mass": ("viridis", 0.0, most)}
    units = {"preference": "Q·L_t / √d", "mass": "share of the attention"}
    colours, low, high = ranges[value]
    # not seaborn.heatmap, which draws the whole figure once for each of its panels
    mesh = panel.pcolormesh(wide.to_numpy(), cmap=colours, vmin=low, vmax=high)
    panel.invert_yaxis()
    panel.spines[:].set_visible(False)
    panel.set_xticks(np.arange(wide.shape[1]) + 0.5, wide.columns, fontsize=9)
    panel.set_yticks([])
    if labels is not None:
        step = every if len(labels) > MAX_ROWS_NAMED else 1
        panel.set_yticks(np.arange(0, len(labels), step) + 0.5, labels.iloc[::step], fontsize=9)
    panel.set_xlabel("encoder layer", fontsize=10)
    if bar:
        scale_axis = panel.figure.colorbar(mesh, ax=panel).ax
        scale_axis.set_ylabel(units[value], fontsize=10)
        scale_axis.tick_params(labelsize=9)
