"""What is told on the page, as HTML; whatever comes from files is escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import numpy as np

from faceptor.explorer.looking import Look
from faceptor.figures.parts import spelt_out
from faceptor.tasks import kind_of

Row = tuple[str, str, str, str]  # what, as trained, as moved, the difference
CELL = "padding:1px 10px 1px 0;text-align:left;vertical-align:top"


def changes(trained: Look, moved: Look, label: int | None, side: float) -> list[Row]:
    """What moving the crop does to the answer. label: which gets a row of its own; side: of the face box, in pixels."""
    before, after = trained.answer, moved.answer
    for field, compare in COMPARED.items():
        if hasattr(before, field):
            return list(compare(trained, getattr(before, field), getattr(after, field), label, side))
    return list(_described(trained, before, after))


def _points(look: Look, before: np.ndarray, after: np.ndarray, label: int | None, side: float) -> Iterator[Row]:
    away = np.linalg.norm(after - before, axis=1) / side
    if label is not None:
        (x, y), (u, v) = before[label], after[label]
        yield f"{_label(look, label)}, x and y", f"{x:.0f}, {y:.0f}", f"{u:.0f}, {v:.0f}", _of_box(away[label])
    yield "all points, mean", "", "", _of_box(away.mean())
    yield f"farthest: {_label(look, int(away.argmax()))}", "", "", _of_box(away.max())


def _classes(look: Look, before: np.ndarray, after: np.ndarray, label: int | None, side: float) -> Iterator[Row]:
    if label is not None:
        one, other = (100 * (classes == label).mean() for classes in (before, after))
        what = f"{_label(look, label)}, share of the picture"
        yield what, f"{one:.1f} %", f"{other:.1f} %", _points_of(other - one)
    named = (before > 0) | (after > 0)
    share = (before != after)[named].mean() if named.any() else 0.0
    yield "pixels of another class", "", "", f"{100 * share:.1f} %"


def _years(look: Look, before: float, after: float, label: int | None, side: float) -> Iterator[Row]:
    yield "age", f"{before:.1f} years", f"{after:.1f} years", f"{after - before:+.1f} years"


def _probabilities(look: Look, before: np.ndarray, after: np.ndarray, label: int | None, side: float) -> Iterator[Row]:
    if hasattr(look.answer, "label"):
        best = [spelt_out(look.spec.labels[int(values.argmax())]) for values in (before, after)]
        yield "likeliest", *best, "the same" if best[0] == best[1] else "another"
    most = int(np.abs(after - before).argmax())
    for index in dict.fromkeys((most if label is None else label, most)):
        one, other = 100 * before[index], 100 * after[index]
        yield _label(look, index), f"{one:.0f} %", f"{other:.0f} %", _points_of(other - one)


def _angles(look: Look, before: np.ndarray, after: np.ndarray, label: int | None, side: float) -> Iterator[Row]:
    for name, one, other in zip(look.spec.labels, before, after, strict=True):
        yield name, f"{one:+.0f}°", f"{other:+.0f}°", f"{other - one:+.0f}°"


def _embedding(look: Look, before: np.ndarray, after: np.ndarray, label: int | None, side: float) -> Iterator[Row]:
    cosine = before @ after / max(float(np.linalg.norm(before) * np.linalg.norm(after)), 1e-12)
    yield "cosine of the two embeddings", "", "", f"{cosine:.3f} (1: the same)"


def _described(look: Look, before: Any, after: Any) -> Iterator[Row]:
    kind = kind_of(look.spec)
    yield "answer", *("; ".join(kind.describe(look.spec, answer)) for answer in (before, after)), ""


# By the field of the prediction that holds the numbers, the first that it has.
COMPARED: dict[str, Callable[..., Iterator[Row]]] = {
    "points": _points,
    "classes": _classes,
    "years": _years,
    "angles": _angles,
    "probabilities": _probabilities,
    "embedding": _embedding,
}


def _label(look: Look, index: int) -> str:
    return spelt_out(look.spec.labels[index])


def _of_box(share: float) -> str:
    return f"{100 * share:.1f} % of face"


def _points_of(percent: float) -> str:
    return f"{round(percent, 1) + 0.0:+.1f} points"  # no -0.0


# --- HTML ------------------------------------------------------------------------------------------------------------


def heading(name: str, look: Look | None) -> str:
    """A model's name and, where it answers, the task."""
    return _title(name, *([look.spec.name] if look else []))


def table(rows: list[Row], moved: bool) -> str:
    """The rows; where nothing was moved, what the answer is now and nothing of a difference."""
    head = ("", "as trained", "as moved", "change") if moved else ("", "answer")
    kept = rows if moved else [row[:2] for row in rows if row[1]]
    lines = [_row("th", head) if kept else "", *(_row("td", row) for row in kept)]
    return f"<table style='line-height:1.4'>{''.join(lines)}</table>"


def _row(tag: str, cells: tuple[str, ...]) -> str:
    """Only the first cell may take a second line."""
    styles = [CELL, *[f"{CELL};white-space:nowrap"] * (len(cells) - 1)]
    told = [f"<{tag} style='{style}'>{escape(cell)}</{tag}>" for style, cell in zip(styles, cells, strict=True)]
    return f"<tr>{''.join(told)}</tr>"


def attention_heading(name: str, look: Look, query: int) -> str:
    """Whose attention it is; why there is none."""
    if look.attention is None:
        return _title(name, "no attention to show") + note(look.silent)
    queries = look.attention.queries
    return _title(name, f"where the query “{spelt_out(queries[min(query, len(queries) - 1)])}” looks")


def _title(*parts: str) -> str:
    return f"<h3 style='margin:8px 0 0'>{escape(' · '.join(parts))}</h3>"


LOOKS = {
    "status": "color:var(--jp-ui-font-color2,#666)",
    "busy": "color:var(--jp-ui-font-color1,#222)",
    "warning": "background:#ffd24a;color:#222;padding:3px 8px",
    "error": "background:#fbe3dd;color:#8a1c00;padding:3px 8px",
}


def note(text: str, sort: str = "status") -> str:
    """One line: a "status", "busy" with a bar that moves, a "warning" or an "error"; nothing for no text."""
    bar = "<progress style='width:90px;vertical-align:middle'></progress> " if sort == "busy" else ""
    style = f"{LOOKS[sort]};line-height:1.5"
    return f"<div class='explorer-{sort}' style='{style}'>{bar}{escape(text)}</div>" if text else ""
