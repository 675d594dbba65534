"""What the papers print about results (`paper_results.yaml`), and the command and data set behind each value of theirs.

What is measured here beside it is in `counterparts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import ascii_lowercase
from typing import TYPE_CHECKING, Annotated, Literal

import pandas as pd
from pydantic import Field, model_validator

from faceptor.analysis import experiments
from faceptor.analysis.paper_claims import PAPERS, OneOrMore
from faceptor.analysis.protocols import shipped
from faceptor.config.sections import Real, Section, spelled
from faceptor.config.yaml12 import parse_yaml
from faceptor.tasks import TASKS

if TYPE_CHECKING:
    from IPython.display import Markdown

LETTERS = ascii_lowercase  # of the notes
# Drawn in colour among the methods of a data set.
SHOWN = ("Faceptor-Full", "Faceptor-Base", "Naive Faceptor", "FaceXFormer", "Faceptor, full",
         "Faceptor, auxiliary tasks")  # fmt: skip
MODEL = experiments.MODEL
NOT_MEASURED = ("fps", "latency")  # of the test `model`: they are the card's


class Column(Section):
    tests: OneOrMore
    metric: str


class System(Section):
    structure: Literal["faceptor", "naive", "facexformer"]
    preset: str
    model: str | None = None
    transfer: str | None = None
    variant: str | dict[str, str] | None = None
    claim: str | None = None
    called: str = ""  # the variants in the preset, where they are not called as here

    @model_validator(mode="after")
    def _one_way(self):
        if sum(way is not None for way in (self.model, self.transfer, self.variant, self.claim)) != 1:
            raise ValueError("expected one of model, transfer, variant, claim")
        return self


class Note(Section):
    says: str
    paper: str | None = None
    table: str | None = None
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def concerns(self, value: Value) -> bool:
        """Whether the note is about a value."""
        wanted = (self.paper, value.paper), (self.table, value.table)
        within = (self.rows, value.method), (self.columns, value.column)
        return all(a in (None, b) for a, b in wanted) and all(not a or b in a for a, b in within)


class Table(Section):
    paper: Literal["faceptor", "facexformer"]
    table: str
    what: str
    columns: tuple[str, ...]
    rows: dict[str, Annotated[tuple[Real | None, ...], Field(min_length=1)]]

    @model_validator(mode="after")
    def _as_wide_as_the_head(self):
        for name, cells in self.rows.items():
            if len(cells) != len(self.columns):
                raise ValueError(f"rows.{name}: expected {len(self.columns)} values, found {len(cells)}")
        return self


class Printed(Section):
    columns: dict[str, Column]
    systems: dict[str, System]
    notes: tuple[Note, ...]
    tables: tuple[Table, ...]

    @model_validator(mode="after")
    def _columns_exist(self):
        strangers = {name for table in self.tables for name in table.columns} - set(self.columns)
        if strangers:
            raise ValueError(f"tables: columns {', '.join(sorted(strangers))} are not in columns")
        return self


@dataclass(frozen=True)
class Value:
    """One printed number. method: the row, as printed or as `systems` calls it; column: usually a data set."""

    paper: str
    table: str
    what: str
    method: str
    column: str
    printed: float

    @property
    def system(self) -> System | None:
        """The papers' own system that it is of, if it is."""
        return printed().systems.get(self.method)

    @property
    def asked(self) -> Column:
        """What was measured."""
        return printed().columns[self.column]

    @property
    def where(self) -> str:
        return f"{PAPERS[self.paper]}, {'Table ' if ' ' not in self.table else ''}{self.table}"


# --- what is printed ------------------------------------------------------------------------------------------------


@cache
def printed() -> Printed:
    """The file, checked."""
    text = files("faceptor.analysis").joinpath("paper_results.yaml").read_text()
    return Printed.model_validate(parse_yaml(text))


def values() -> list[Value]:
    """Every printed number, in the order of the file."""
    return [
        Value(table.paper, table.table, table.what, method, column, cell)
        for table in printed().tables
        for method, cells in table.rows.items()
        for column, cell in zip(table.columns, cells, strict=True)
        if cell is not None
    ]


def own_values() -> list[Value]:
    """Those of the papers' own systems."""
    return [value for value in values() if value.system]


def marks_of(value: Value) -> str:
    """Letters of the notes that concern a value: "a", "b c", nothing."""
    return " ".join(letter for letter, note in zip(LETTERS, printed().notes, strict=False) if note.concerns(value))


def quoted(columns: Sequence[str]) -> pd.DataFrame:
    """Methods by columns, as printed: the papers' systems and those they quote, the best first. A method that both
    papers quote with one number stands once. Differences between two systems are not in it."""
    rows = [
        {"method": value.method, "printed in": PAPERS[value.paper], "column": value.column, "value": value.printed}
        for value in values()
        if value.column in columns and not (value.system and value.system.claim)
    ]
    table = pd.DataFrame(rows).drop_duplicates(["method", "column", "value"])
    wide = table.pivot_table(index=["method", "printed in"], columns="column", values="value", aggfunc="first")
    wide = wide.reindex(columns=list(columns))
    return wide.sort_values(columns[0], ascending=not better_up(columns[0]), na_position="last").reset_index()


def by_column(fewest: int = 3) -> dict[str, pd.DataFrame]:
    """Column, with the letters of its notes -> rows (method, value, better_up), of every data set for which at least
    `fewest` methods are printed."""
    found = {}
    for column, asked in printed().columns.items():
        if asked.tests != (MODEL,) and len(table := quoted([column])) >= fewest:
            letters = sorted({mark for value in values() if value.column == column for mark in marks_of(value).split()})
            name = f"{column} ({', '.join(letters)})" if letters else column
            found[name] = table.rename(columns={column: "value"}).assign(better_up=better_up(column))
    return found


def better_up(column: str) -> bool:
    """Whether more is better in a column."""
    asked = printed().columns[column]
    return experiments.higher_is_better(asked.tests[0], asked.metric)


# --- how to get a value ---------------------------------------------------------------------------------------------


def variant_of(system: System, column: str) -> str | None:
    """The variant of the experiments that stands for a system in a column."""
    return system.variant.get(column) if isinstance(system.variant, Mapping) else system.variant


def command(value: Value) -> str:
    """What to run for a value of the papers' own systems, at the papers' size."""
    system, column = value.system, value.asked
    if column.tests == (MODEL,):
        if column.metric in NOT_MEASURED:
            return "not measured: it is the card's"
        return f"faceptor budget {'naive' if system.structure == 'naive' else system.preset}"
    before = f"faceptor params use {system.preset} && "
    if system.model:
        return f"{before}faceptor repro evaluate@{system.model}"
    if system.transfer:
        return f"{before}faceptor repro transfer@{dataset_key(column.tests[0])}-{system.transfer}"
    return f"{before}faceptor experiment all {system.called or variant_of(system, value.column)}"


def dataset_key(test: str) -> str:
    """The data set that judges a test, as params.yaml spells it."""
    task, _, other = test.partition("@")
    return spelled(other or TASKS[task].dataset)


def data(value: Value) -> str:
    """Folders of the data sets that judge a value, as the preset names them."""
    tests = value.asked.tests
    if tests == (MODEL,):
        return ""
    params = shipped(value.system.preset)
    sets = [params.datasets[key.lstrip("_")] for key in dict.fromkeys(map(dataset_key, tests))]
    return ", ".join(str(params.data.root / each.path) for each in sets)


# --- for people -----------------------------------------------------------------------------------------------------


def notes() -> Markdown:
    """The notes with their letters, as `marks_of` gives them."""
    from IPython.display import Markdown

    return Markdown(
        "\n\n".join(f"**{letter}** {note.says}" for letter, note in zip(LETTERS, printed().notes, strict=False))
    )


def quoted_rows() -> pd.DataFrame:
    """Rows (data set, metric, methods): every printed number of a data set in one line, the best first."""
    rows = []
    for name, table in by_column(fewest=2).items():
        cells = [
            f"{row.method} {row.value:g}" + (" (own)" if row.method in printed().systems else "")
            for row in table.itertuples()
        ]
        metric = printed().columns[name.split(" (")[0]].metric.replace("_", " ")
        rows.append({"data set": name, "metric": f"{metric} {'↑' if table['better_up'].iloc[0] else '↓'}",
                     "printed, the best first": "; ".join(cells)})  # fmt: skip
    return pd.DataFrame(rows)


def conclusions() -> list[str]:
    """Where the papers' systems stand among the numbers that they print."""
    said = []
    for name in ("Faceptor-Full", "FaceXFormer"):
        tables = [table for table in by_column().values() if (table["method"] == name).any()]
        first = sum(table["method"].iloc[0] == name for table in tables)
        said.append(f"{name} has the best printed number on {first} of {len(tables)} data sets or parts of them.")
    said.append("None of the printed numbers comes with an interval or a number of seeds, so small gaps are undecided.")
    return said
