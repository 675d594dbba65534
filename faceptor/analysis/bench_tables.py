"""What `faceptor bench` and tools/gpu_check.py wrote, as tables and sentences. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from faceptor.analysis.bench_targets import targets_of
from faceptor.errors import DataError
from faceptor.io.files import RESULTS, read_json

FOLDER = RESULTS / "bench"
MILLISECONDS = 1e3  # in a second
GIGA = 1e9
Machines = Mapping[str, Mapping[str, Any]]  # kind of machine -> what was measured there


def load(root: Path = Path(), machines: Sequence[str] = ()) -> dict[str, dict]:
    """What was measured, by kind of machine. machines: kinds; none named: all. DataError where there is none."""
    found = {path.stem: read_json(path) for path in sorted((root / FOLDER).glob("*.json"))}
    if strangers := [name for name in machines if name not in found]:
        known = ", ".join(found) or "none"
        raise DataError(f"notebooks.benchmark.machines: {strangers[0]!r} is not in {FOLDER}; expected some of {known}")
    if not found:
        raise DataError(f"{FOLDER}: expected measurements, found none; `make bench` makes them")
    return {name: found[name] for name in machines or found}


def described(machines: Machines) -> pd.DataFrame:
    """A row for every machine."""
    return pd.DataFrame([each["machine"] for each in machines.values()])


def targets(machines: Machines) -> pd.DataFrame:
    """Every target beside what was measured."""
    rows = []
    for kind, measured in machines.items():
        for target in targets_of(measured):
            found = target.value(measured) or {}
            rows.append(
                {
                    "machine": kind, "what": target.says,
                    "target": f"{'≥' if target.at_least else '≤'} {target.bound:g}",
                    "measured": found.get("median"), "interval": span(found), "verdict": target.verdict(measured),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def span(estimate: Mapping[str, float]) -> str:
    """The interval of an estimate, in brackets."""
    return f"[{estimate['low']:.4g}, {estimate['high']:.4g}]" if estimate else ""


def section(machines: Machines, name: str) -> Iterator[tuple[str, dict]]:
    """(kind of machine, what a section found) where it was measured."""
    for kind, measured in machines.items():
        if name in measured["sections"]:
            yield kind, measured["sections"][name]


def rows(machines: Machines, name: str, *, having: str = "") -> pd.DataFrame:
    """The rows of a section, a column for the median and one for the interval of every estimate, times in ms.

    having: only rows that have this key.
    """
    found = [
        {"machine": kind, **_columns(row)}
        for kind, each in section(machines, name)
        for row in each["rows"]
        if not having or having in row
    ]
    return pd.DataFrame(found)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if not isinstance(value, Mapping):
            columns[key.replace("_", " ")] = value
            continue
        scale, title = _scaled(key)
        columns[title] = scale * value["median"]
        columns[f"{title}, interval"] = span({end: scale * value[end] for end in ("low", "high")})
    return columns


def _scaled(key: str) -> tuple[float, str]:
    if key == "seconds":
        return MILLISECONDS, "ms"
    return (1 / GIGA, "GFLOP/s") if key == "flops_per_second" else (1.0, key.replace("_", " "))


def ratios(machines: Machines, name: str) -> pd.DataFrame:
    """The ratios of a section with their intervals and numbers of rounds."""
    found = [
        {
            "machine": kind, "ratio": what, "median": value["median"], "interval": span(value),
            "rounds": value["rounds"],
        }
        for kind, each in section(machines, name)
        for what, value in each["ratios"].items()
    ]  # fmt: skip
    return pd.DataFrame(found)


def facts(machines: Machines, name: str) -> pd.DataFrame:
    """What a section counted: single numbers, which have no interval."""
    found = [
        {"machine": kind, "counted": what, "number": value}
        for kind, each in section(machines, name)
        for what, value in each["facts"].items()
        if isinstance(value, int | float)
    ]
    return pd.DataFrame(found)


def profiles(machines: Machines) -> pd.DataFrame:
    """Kernels of one forward and backward pass against its wall time, and what takes the longest."""
    found = []
    for kind, each in section(machines, "steps"):
        profile = each["facts"]["profile"]
        found += [
            {"machine": kind, "what": what, "ms": MILLISECONDS * value, "share": value / profile["wall"]}
            for what, value in (
                ("wall time", profile["wall"]), ("all kernels", profile["kernels"]), *profile["longest"].items(),
            )
        ]  # fmt: skip
    return pd.DataFrame(found)


# --- in words --------------------------------------------------------------------------------------------------------


def conclusions(machines: Machines) -> Iterator[str]:
    """Sentences with every figure computed."""
    for kind, measured in machines.items():
        judged = [(target, target.verdict(measured)) for target in targets_of(measured)]
        counted = {name: sum(verdict == name for _, verdict in judged) for name in dict.fromkeys(v for _, v in judged)}
        told = ", ".join(f"{count} {name}" for name, count in counted.items())
        yield f"{kind}: of {len(judged)} targets {told}."
        for target, verdict in judged:
            found = target.value(measured)
            if found:
                yield f"{target.says}: {found['median']:.3g} {span(found)}, {_bound(target)}: {verdict}."


def _bound(target) -> str:
    return f"{'at least' if target.at_least else 'at most'} {target.bound:g} wanted"


def summary_lines(measured: Mapping[str, Any]) -> Iterable[str]:
    """What a terminal shows at the end: ratios with intervals, then the targets."""
    about = measured["machine"]
    yield f"{about.get('gpu', about['cpu'])}, {about['cores']} cores, torch {about['torch']}"
    if measured["toy"]:
        yield "toy sizes: these numbers say nothing of this machine"
    for name, each in measured["sections"].items():
        for what, value in each["ratios"].items():
            yield f"{name:8} {what}: {value['median']:.3g} {span(value)}"
    if not measured["toy"]:
        yield from (f"target   {line}" for line in conclusions({about["kind"]: measured}))
