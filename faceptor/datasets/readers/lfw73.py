"""LFW-73: 73 binary attributes of Labeled Faces in the Wild, from either of their two sources."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.textfiles import lines
from faceptor.datasets.labels import LFW_73
from faceptor.datasets.reader import BadSample, Check, integer, number, share
from faceptor.datasets.readers.lfwa import SPLIT, Labels, LFWAPackage

SCORES = "lfw_attributes.txt"
TRAIN_SHARE = 6263 / 13143


class LFW73(LFWAPackage):
    """`source="lfwa"`: the 0/1 labels and split of the LFWA package; "kumar": classifier scores, positive = yes."""

    name = "lfw73"
    title = "LFW-73 (attributes of Labeled Faces in the Wild)"
    source = "LFWA: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; scores: Columbia PubFig site"
    licence = "research use"
    published: ClassVar = {"train": 6263, "test": 6880}
    choices: ClassVar = {"source": ("lfwa", "kumar")}
    names = LFW_73
    classes: ClassVar = {"attributes": LFW_73}

    @property
    def protocol(self) -> str:
        split = "LFWA split" if self._listed_split else f"by person, seed {self.options['seed']}, not a published split"
        return f"labels from {self.options['source']} (inferred to be the paper's), {split}"

    @property
    def _scored(self) -> bool:
        return self.options["source"] == "kumar"

    @property
    def _labels(self) -> Labels:
        return self._scores if self._scored else self._mat

    @cached_property
    def _listed_split(self) -> dict[str, str]:
        """Empty for scores without the files of the LFWA package: then people are drawn."""
        package = all(any((self.root / at / file).exists() for at in (".", "LFWA")) for file in (SPLIT, self.labels))
        return self._split_of(self._mat) if package or not self._scored else {}

    def _side(self, name: str) -> str | None:
        if self._listed_split:
            return super()._side(name)
        return "train" if share(self.options["seed"], name.split("/")[0]) < TRAIN_SHARE else "test"

    # --- Kumar et al.: a text file of scores -----------------------------------------------------------------------

    @cached_property
    def _scores(self) -> Labels:
        path = self.require(SCORES, what="the attribute scores")
        header = self._header(path)
        rows = []
        for line, text in lines(path):
            if text.startswith("#"):
                continue
            person, *rest = text.split("\t")
            person = person.strip().replace(" ", "_")
            image = rest[0].strip() if rest else ""
            name = f"{person}/{person}_{int(image):04d}.jpg" if image.isascii() and image.isdigit() else person
            rows.append((name, self.where(path, line), rest))
        return Labels(path, header, rows, signs)

    def _header(self, path: Path) -> list[str]:
        """Attribute names; the line has one field more than the data, because of its leading #."""
        for _, text in lines(path):
            fields = [field.strip() for field in text.lstrip("#").strip().split("\t")]
            if fields[:2] == ["person", "imagenum"]:
                return fields[2:]
        raise self.wrong(path, expected="a header '# person imagenum ...' with tabs", found="none")

    def checks(self) -> Iterator[Check]:
        name = "scores > 0 agree with the labels of LFWA"
        if not (self.find(SCORES) and self.find(self.labels)):
            yield Check(name, "na", "only one source is present")
            return
        scored = dict(self._known(self._scores))
        pairs = [(values, scored[key]) for key, values in self._known(self._mat) if key in scored]
        equal = float(np.mean([a == b for a, b in pairs])) if pairs else 0.0
        yield Check.of(name, equal == 1 if pairs else None, f"{equal:.4f} of {len(pairs)}")

    def _known(self, labels: Labels) -> Iterator[tuple[str, np.ndarray]]:
        """Image and attributes of every row that can be used."""
        order = self._order_in(labels)
        for key, _, row in labels.rows:
            with suppress(BadSample, IndexError):
                yield key, labels.values(row)[order]


def signs(row: list[str]) -> np.ndarray:
    """Whether each of the scores of a row is positive, (N,)."""
    integer(row[0] if row else "", low=1, high=9999, what="imagenum")
    scores = np.array([number(score) for score in row[1:]])
    return np.where(scores == 0, -1, scores > 0).astype(np.int8)  # no score is exactly 0 unless nothing is known
