"""What a notebook says in words, as Markdown: sentences break between words, and a table shows no NaN."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite, isnan
from typing import TYPE_CHECKING

import pandas as pd

from faceptor.errors import DataError

if TYPE_CHECKING:
    from IPython.display import Markdown

NOTHING = "–"  # in a cell without a value
NAME = re.compile(r"(?<![\w/`])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?:@[a-z0-9]+)?(?![\w`])")  # a task, a metric


def sentences(found: Iterable[str]) -> Markdown:
    """Conclusions as a list, a sentence a line; names of tasks and metrics as code. None is a DataError."""
    from IPython.display import Markdown

    if not (found := list(found)):
        raise DataError("conclusions: expected at least one sentence, found none; the table that they rest on is empty")
    return Markdown("\n".join("* " + NAME.sub(r"`\g<0>`", _plain(one)) for one in found))


def table(frame: pd.DataFrame, *, digits: int = 3, index: bool = True, none: str = "") -> Markdown:
    """A frame as a Markdown table: numbers with at most `digits` significant digits (whole ones in full), nothing where
    there is no value. A frame without rows is a DataError, or `none`, a sentence, where it may have none."""
    from IPython.display import Markdown

    if frame.empty and none:
        return Markdown(none)
    if frame.empty:
        raise DataError(f"table of {', '.join(map(str, frame.columns))}: expected at least one row, found none")
    frame = frame.reset_index() if index and any(frame.index.names) else frame
    head = "| " + " | ".join(map(str, frame.columns)) + " |"
    rule = "|" + "".join(" --- |" if frame[column].dtype.kind not in "iuf" else " ---: |" for column in frame)
    rows = ["| " + " | ".join(_cell(value, digits) for value in row) + " |" for row in frame.itertuples(index=False)]
    return Markdown("\n".join([head, rule, *rows]))


def _cell(value: object, digits: int) -> str:
    if isinstance(value, bool | str):
        return _plain({True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value)
    if value is None or (isinstance(value, float) and not isfinite(value)) or value is pd.NA:
        return NOTHING
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return _plain(str(value))


def ends(value: float, low: float, high: float, digits: int) -> str:
    """A number and its interval, "0.51 [0.48, 0.55]"; no brackets where there is none, nothing without a number."""
    if isnan(value):
        return ""
    return f"{value:.{digits}f}" + ("" if isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]")


def _plain(text: str) -> str:
    """Text whose signs mean themselves: no formula, no HTML, no new column."""
    return text.replace("$", r"\$").replace("<", "&lt;").replace("|", r"\|").replace("*", r"\*")
