"""A user's own data set: a folder of images, a csv or parquet file of labels, and a YAML that names its columns.

See `faceptor.datasets.description` for the YAML. Its landmarks, classes and attributes become tasks
(`faceptor.tasks.custom`), so that no code is needed for them.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from faceptor.config.sections import spelled
from faceptor.datasets.columns import COLUMNS
from faceptor.datasets.description import Description, parse_description, read_description
from faceptor.datasets.formats.tables import Row, rows, text, word
from faceptor.datasets.own_columns import cells_of, permutation
from faceptor.datasets.reader import BadSample, Check, Reader, Record, Reject, share
from faceptor.errors import ConfigError


class Generic(Reader):
    """`description`: the YAML file (below the data set's folder, else below the working directory), or its content.

    `verification` names `.bin` files of face pairs in that folder, which recognition is measured on.
    """

    name = "generic"
    title = "own data set"
    source = "its owner"
    licence = "not stated"
    strict_counts = False  # nothing is published about it

    def __init__(
        self,
        root: Path | str,
        *,
        description: str | Mapping | None = None,
        verification: Sequence[str] = (),
        **options,
    ):
        super().__init__(root, **options)
        self.options["verification"] = list(verification)
        self.description = facts = find_description(self, description)
        self.options["description"] = facts.model_dump(mode="json", exclude_defaults=True)
        self.title, self.source, self.licence = facts.title, facts.source, facts.licence
        self.redistribution = facts.redistribution
        self.columns, self.classes = columns_of(facts), classes_of(facts)
        self.said: dict[str, set[int | str]] = defaultdict(set)  # attribute -> what its rows said, "-1" apart
        self.scheme = facts.landmarks.scheme(facts.title) if facts.landmarks else None
        self.ranges = {name: scale.range for name, scale in (facts.ratings or {}).items()}
        self.mask_flip = permutation(facts.mask.flip, facts.mask.classes, "mask.flip") if facts.mask else None

    @property
    def protocol(self) -> str:
        facts = self.description
        if isinstance(facts.split, str):
            named = "; ".join(f"{part}: {', '.join(words)}" for part, words in facts.splits.items())
            return f"column {facts.split} of {facts.labels} ({named})"
        by = facts.group or facts.key or facts.image
        return f"test drawn: a share {facts.split} of the values of column {by}, seed {self.options['seed']}"

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(self.description.labels, what="the label file")
        for line, row in rows(path, wanted_columns(self.description)):
            part = self._part(row) if row else None
            # A row that belongs to neither split is reported once, with the training rows.
            if part == split or (part is None and split == "train"):
                key = str(row.get(self.description.key or self.description.image) or f"line {line}")
                yield self.attempt(key, self.where(path, line), self._record, key, row, part)

    def _part(self, row: Row) -> str | None:
        facts = self.description
        if isinstance(facts.split, str):
            said = {text(row[facts.split]).lower(), word(row[facts.split]).lower()}
            return next((part for part, words in facts.splits.items() if said & {name.lower() for name in words}), None)
        unit = text(row[facts.group or facts.key or facts.image])
        return "test" if share(self.options["seed"], f"test:{unit}") < facts.split else "train"

    def _record(self, key: str, row: Row, part: str | None) -> Record:
        facts = self.description
        if part is None:
            known = ", ".join(name for words in facts.splits.values() for name in words)
            found = text(row[facts.split])[:40]
            raise BadSample(f"{facts.split}: expected one of {known} (see `splits`), found {found!r}")
        labels: dict[str, Any] = {}
        for name in self.columns:
            labels[name] = COLUMNS[name].own.read(self, row, labels)
        return Record(
            key=key,
            split=part,
            image=self.file(text(row[facts.image]), facts.images),
            group=text(row[facts.group]) if facts.group else "",
            subsets=tuple(text(row[facts.subsets]).split()) if facts.subsets and part == "test" else (),
            **labels,
        )

    def file(self, name: str, folder: str) -> Path:
        """An image named from its folder, from the data set's folder, or in full."""
        own = Path(name)
        if own.is_absolute() and own.is_relative_to(self.root.absolute()):
            return self.image(str(own.relative_to(self.root.absolute())))
        try:
            return self.image(name, folder=self.root / folder)
        except BadSample as reason:
            with suppress(BadSample):
                return self.image(name)
            raise reason from None

    def verification(self) -> dict[str, Path]:
        return {name: self.require(f"{name}.bin", what="the pairs") for name in self.options["verification"]}

    def checks(self) -> Iterator[Check]:
        """Attributes of which no row says no: in other conventions -1 is that, and here it is unknown."""
        if self.description.attributes:
            never = [name for name, said in self.said.items() if "-1" in said and 0 not in said]
            detail = f"{', '.join(never)}: yes and unknown; if -1 means no, set attributes.no: ['-1'] and unknown: ['']"
            yield Check.of("attributes say no somewhere", not never, detail if never else "")


# --- description --------------------------------------------------------------------------------------------------


def find_description(reader: Reader, given: str | Mapping | None) -> Description:
    """A description from its file, or from the values themselves."""
    where = f"datasets.{spelled(reader.name)}.options.description"
    if given is None:
        raise ConfigError(f"{where}: missing; name the YAML file that says what the columns of the label file are")
    if isinstance(given, Mapping):
        return parse_description(given, where)
    if not isinstance(given, (str, Path)):
        raise ConfigError(f"{where}: expected the name of a YAML file, or its keys, found {type(given).__name__}")
    own = Path(given)  # a path of the user's own may lead anywhere, one below the data set's folder may not
    inside = None if own.is_absolute() or ".." in own.parts else reader.find(given)
    for path in (inside, own):
        if path and path.is_file():
            return read_description(path)
    raise ConfigError(f"{where}: expected the file {reader.root / own} or {own}, found neither; write it there")


def stored_description(root: Path, given: Any, card: Path) -> dict[str, Any]:
    """The option `description` as the prepared data's card has it, if the file itself is not here."""
    if not isinstance(given, str) or (root / given).is_file() or Path(given).is_file() or not card.is_file():
        return {}
    try:
        return {"description": json.loads(card.read_text(encoding="utf-8"))["options"]["description"]}
    except (ValueError, KeyError, TypeError):  # damaged: the file is asked for, as if nothing had been prepared
        return {}


def columns_of(facts: Description) -> tuple[str, ...]:
    """Label columns of the prepared data."""
    return tuple(name for name, column in COLUMNS.items() if column.own and column.own.part(facts, name))


def classes_of(facts: Description) -> dict[str, tuple[str, ...]]:
    """Column -> names of its classes."""
    own = {name: COLUMNS[name].own for name in columns_of(facts)}
    return {name: tuple(rules.names(rules.part(facts, name))) for name, rules in own.items() if rules.names}


def wanted_columns(facts: Description) -> tuple[str, ...]:
    """Columns that the label file must have."""
    found = [facts.image, facts.key, facts.group, facts.subsets, facts.split if isinstance(facts.split, str) else None]
    for name, column in COLUMNS.items():
        found += cells_of(getattr(facts, name)) if column.own and column.own.kind else ()
    return tuple(dict.fromkeys(name for name in found if name))
