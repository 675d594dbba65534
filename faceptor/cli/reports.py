"""What `faceptor predict` says: of each photograph as it is answered, and at the end. Only errors are kept."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import typer

from faceptor.cli.options import as_json
from faceptor.io.words import few

MOST_LISTED = 20  # photographs that are named again at the end because they failed


def tell(reports: Iterable[dict[str, Any]], json: bool, facts: dict[str, Any]) -> None:
    """A run that writes files for each photograph: each report as it comes, and at the end which are errors."""
    from faceptor.predict.names import json_text

    count, kept = 0, []
    for report in reports:
        count += 1
        if "error" in report:
            print(f"error: {report['error']}", file=sys.stderr)
        elif not json:
            print("\n".join(_summary(report)))
        if "warning" in report:
            print(f"warning: {report['photo']}: {report['warning']}", file=sys.stderr)
        if json or "error" in report:
            kept.append({key: value for key, value in report.items() if key not in ("words", "model")})
    failed = [report for report in kept if "error" in report]
    if json:
        print(json_text({"model": facts, "photos": kept}))
    elif failed and count > 1:
        listed = few((report["photo"] for report in failed), MOST_LISTED, between="\n  ")
        print(f"{len(failed)} of {count} photographs were not answered:\n  {listed}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def sum_up(reports: Iterable[dict[str, Any]], job: Any, json: bool) -> None:
    """A run that writes one file: errors as they come, and at the end how many were answered, and where."""
    counts = dict.fromkeys(("answered", "faces", "earlier", "failed"), 0)
    warning = ""
    for report in reports:
        if "error" in report:
            print(f"error: {report['error']}", file=sys.stderr)
            counts["failed"] += 1
        elif "answered" in report:
            counts["earlier"] += 1
        else:
            counts["answered"] += 1
            counts["faces"] += len(report["faces"])
        if report.get("warning", warning) != warning:
            warning = report["warning"]
            print(f"warning: {warning}", file=sys.stderr)
    path = job.out / f"faces.{job.form}"
    if json:
        print(as_json({"model": job.model, "results": str(path)} | counts))
    else:
        before = f", {counts['earlier']:,} of an earlier run" if counts["earlier"] else ""
        failed = f", {counts['failed']:,} not answered" if counts["failed"] else ""
        print(f"{counts['answered']:,} photographs and frames with {counts['faces']:,} faces{before}{failed} -> {path}")
    if counts["failed"]:
        raise typer.Exit(1)


def _summary(report: dict[str, Any], most: int = 4) -> Iterable[str]:
    """Lines for people: how many faces, then each face's answers."""
    count = len(report["faces"])
    when = f" at {report['seconds']:.2f} s" if "seconds" in report else ""
    yield f"{report['photo']}{when}: {count} face{'s' if count != 1 else ''} -> {report['json']}"
    for number, (face, words) in enumerate(zip(report["faces"], report["words"], strict=True), start=1):
        x1, y1, x2, y2 = face["box"]
        yield f"  face {number} at {x1:.0f},{y1:.0f},{x2:.0f},{y2:.0f}"
        for name, said in words.items():
            yield f"    {name}: {few(said, most)}"
