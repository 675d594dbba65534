"""The doctor's findings as text for a terminal; colour comes only where the output is one."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from faceptor.doctor.data import ABSENT, FOUND, INCOMPLETE, MAX_PROBLEMS_QUOTED

STATE_MARKS = {FOUND: ("✓", "green"), INCOMPLETE: ("✗", "red"), ABSENT: ("·", "dim")}
INDENT = 2


def console(**settings) -> Console:
    """Plain text of 120 columns where the output is no terminal. Brackets are brackets: nothing here is markup."""
    found = Console(highlight=False, markup=False, emoji=False, **settings)
    return found if found.is_terminal else Console(highlight=False, markup=False, emoji=False, width=120, **settings)


def data_report(facts: dict) -> Iterator[RenderableType]:
    """One block per data set, then the summary line."""
    depth = "every sample opened" if facts["deep"] else "a quick look; --deep opens every sample"
    yield Text.assemble(("data sets below ", ""), (facts["root"], "bold"), (f"  ({depth})", "dim"))
    for name, entry in facts["datasets"].items():
        yield Text()
        yield _block(name, entry)
    yield Text()
    yield summary_line(facts)


def _block(name: str, entry: dict) -> RenderableType:
    mark, colour = STATE_MARKS[entry["state"]]
    if entry["state"] == ABSENT and not entry["ok"]:
        mark, colour = "✗", "red"
    said = entry["state"] + (", generated faces" if entry.get("generated") else "")
    head = Text.assemble((f"{mark} ", colour), (name, "bold"), f"  {entry['title']}  ", (said, colour))
    if entry["listed"]:
        head.append("  in params.yaml", "dim")
    return Group(head, Padding(_pairs(_rows(entry)), (0, 0, 0, INDENT)))


def _rows(entry: dict) -> Iterator[tuple[str, RenderableType]]:
    yield from _problems(entry)
    if entry["state"] == ABSENT:
        yield "do", entry["remedy"]
        splits = {name: count for name, count in entry["published"].items() if "/" not in name}
        yield "samples", "published: " + _join(f"{name} {count:,}" for name, count in splits.items())
    elif "splits" in entry:
        yield "samples", _samples(entry)
        if entry["left_out"]:
            yield "left out", _join(f"{count:,} {reason}" for reason, count in entry["left_out"].items())
    if entry["state"] != FOUND:
        yield "ask", entry["ask"]
    if entry.get("protocol"):
        yield "protocol", entry["protocol"]
    if entry["options"]:
        yield "options", _join(f"{name}: {_choices(option)}" for name, option in entry["options"].items())
    yield "licence", entry["licence"] + ("" if entry["redistribution"] == "no" else f" ({entry['redistribution']})")
    if entry["prepared"]:
        counts = _join(f"{split} {count:,}" for split, count in entry["prepared"]["counts"].items())
        yield "prepared", f"{counts} in {entry['prepared']['folder']}"


def _problems(entry: dict) -> Iterator[tuple[str, Text]]:
    problems, splits = entry["problems"], entry.get("splits", {}).values()
    among = " among the opened ones" if any(split["opened"] < split["samples"] for split in splits) else ""
    for problem in problems[:MAX_PROBLEMS_QUOTED]:
        colour = "red" if problem["blocking"] else "yellow"
        text = Text(f"{problem['where']}  " if problem["where"] else "", "bold")
        text.append(problem["what"], "")
        if problem["count"] > 1:
            text.append(f"  (and {problem['count'] - 1:,} more like it{among})", "dim")
        yield Text("wrong" if problem["blocking"] else "note", colour), text
    if rest := sum(problem["count"] for problem in problems[MAX_PROBLEMS_QUOTED:]):
        yield "", Text(f"and {rest:,} more problems of other kinds; --json lists every kind", "dim")


def _samples(entry: dict) -> str:
    parts = []
    for name, split in entry["splits"].items():
        published = entry["published"].get(name)
        compared = f" of {published:,}" if published and not entry["generated"] else ""
        opened = "" if split["opened"] == split["samples"] else f", {split['opened']:,} opened"
        parts.append(f"{'' if split['exact'] else 'about '}{name} {split['samples']:,}{compared}{opened}")
    for name, row in entry["counts"].items():
        if "/" in name:
            compared = "" if entry["generated"] else f" of {row['published']:,}"
            parts.append(f"{name.partition('/')[2]} {row['found']:,}{compared}")
    parts += [name for name, pairs in entry["verification"].items() if pairs is None]
    return _join(parts)


def _choices(option: dict) -> str:
    return " | ".join(f"[{_word(v)}]" if v == option["chosen"] else _word(v) for v in option["known"])


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _join(parts) -> str:
    return " · ".join(parts)


def summary_line(facts: dict) -> Text:
    summary = facts["summary"]
    counts = ", ".join(f"{summary[state]} {state}" for state in (FOUND, INCOMPLETE, ABSENT))
    whose = "asked for" if facts["named"] else "that params.yaml needs"
    if summary["ok"]:
        verdict = f"nothing is wrong with the {summary['needed']} {whose}"
    else:
        verdict = f"missing or wrong, of the {summary['needed']} {whose}: {', '.join(summary['wrong'])}"
    return Text.assemble(
        (f"{counts}; ", ""), (verdict, "green" if summary["ok"] else "red"), (f"  ({facts['seconds']:g} s)", "dim")
    )


# --- a model folder --------------------------------------------------------------------------------------------------


def model_report(facts: dict) -> Iterator[RenderableType]:
    """What `faceptor.doctor.model` found, in blocks."""
    weights = facts["weights"]["bytes"] / 2**20
    head = f"{facts['model']}, {facts['parameters']:,} parameters, {weights:,.1f} MiB"
    yield Text.assemble((facts["folder"], "bold"), f"  {head}")
    yield Padding(_pairs(_origin(facts)), (0, 0, 0, INDENT))
    yield Text("\ninputs: RGB in [0, 1], less the mean, by the deviation", "bold")
    yield Padding(_pairs((name, _statistics(group)) for name, group in facts["inputs"].items()), (0, 0, 0, INDENT))
    yield Text("\nfrom a face box (square, brows to chin, detected or given) to the input of a task", "bold")
    yield Padding(_tasks(facts["tasks"]), (0, 0, 0, INDENT))
    if any(task["framing_from"].startswith("known") for task in facts["tasks"].values()):
        yield Text("  * not measured on the training pictures: from what is known of the published ones", "dim")
    yield Text("\nlicence", "bold")
    yield Padding(_pairs(_licence_rows(facts["licence"])), (0, 0, 0, INDENT))


def _origin(facts: dict) -> Iterator[tuple[str, str]]:
    yield "hash", facts["hash"]
    yield "weights", f"sha256 {facts['weights']['sha256']}"
    for key, value in facts["provenance"].items():
        if isinstance(value, str | int | float):
            yield key, f"{value:.4g}" if isinstance(value, float) else str(value)
    for entry in facts["structure"].get("layer_attention", ()):
        yield "attention", f"of its own ({entry['mode']}): {', '.join(entry['tasks'])}"


def _statistics(group: dict) -> str:
    mean, std = (", ".join(f"{value:.4g}" for value in group[key]) for key in ("mean", "std"))
    return f"{group['size']} x {group['size']}, mean {mean}, deviation {std}: {', '.join(group['tasks'])}"


def _tasks(tasks: dict) -> Table:
    table = Table("task", "answers", "crop of its data set", "crop of a face", box=None, pad_edge=False)
    for name, task in tasks.items():
        crop = task["crop"]
        own = f"{crop['kind']}, scale {crop['scale']:g}" + (", antialias" if crop["antialias"] else "")
        star = " *" if task["framing_from"].startswith("known") else ""
        table.add_row(name, str(task["labels"] or "embedding"), own, task["words"] + star)
    return table


def _licence_rows(licence: dict) -> Iterator[tuple[str, str]]:
    stated = licence["stated"]
    if stated:
        yield "weights", f"{stated['weights']}; code {stated['code']}. {stated['remark']}"
    elif licence["generated"]:
        yield "weights", "taught by generated faces alone; no data set's terms apply"
    else:
        yield "weights", "not stated; if it was trained on the published data sets, what these allow:"
    yield from licence["data"].items()


def _pairs(rows) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table
