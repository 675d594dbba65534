"""LFW-73: 73 binary attributes of Labeled Faces in the Wild, from either of their two sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.base import BadSample, Check, Reader, Record, Reject, integer, number, share
from faceptor.datasets.labels import LFW_73
from faceptor.datasets.matlab import load_mat
from faceptor.datasets.textfiles import lines

LABELS, SPLIT, SCORES = "lfw_att_73.mat", "indices_train_test.mat", "lfw_attributes.txt"
TRAIN_SHARE = 6263 / 13143


def bare(name: str) -> str:
    """A name without case, spaces and signs: the sources spell the same attribute differently."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class LFW73(Reader):
    """`source="lfwa"`: the 0/1 labels and split of the LFWA package; "kumar": classifier scores, positive = yes."""

    name = "lfw73"
    title = "LFW-73 (attributes of Labeled Faces in the Wild)"
    source = "LFWA: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; scores: Columbia PubFig site"
    licence = "research use"
    published: ClassVar = {"train": 6263, "test": 6880}
    choices: ClassVar = {"source": ("lfwa", "kumar")}
    columns = ("attributes",)
    classes: ClassVar = {"attributes": LFW_73}

    @property
    def protocol(self) -> str:
        split = "LFWA split" if self._listed_split else f"by person, seed {self.options['seed']}, not a published split"
        return f"labels from {self.options['source']} (inferred to be the paper's), {split}"

    def read(self, split: str) -> Iterator[Record | Reject]:
        images = self.require("lfw", "LFW/lfw", what="the folder of images")
        _ = self._order  # a wrong header is found before the first row
        rows = {"lfwa": self._from_mat, "kumar": self._from_text}[self.options["source"]]
        for name, where, row in rows():
            side = self._side(name)
            if (side or "train") == split:
                yield self.attempt(name, where, self._record, name, row, images, side)

    def _record(self, name: str, row, images: Path, split: str | None) -> Record:
        if split is None:
            raise BadSample(f"the image is neither in the training nor in the test rows of {SPLIT}")
        attributes = self._binary(row) if self.options["source"] == "lfwa" else self._signs(row)
        if len(attributes) != 73:
            raise BadSample(f"expected 73 attributes, found {len(attributes)}")
        return Record(
            key=name,
            split=split,
            image=self.image(name, folder=images),
            group=name.split("/")[0],
            attributes=attributes[self._order],
        )

    # --- LFWA: Matlab files ----------------------------------------------------------------------------------------

    @cached_property
    def _mat(self) -> dict:
        path = self.require(LABELS, f"LFWA/{LABELS}", what="the attribute labels")
        content = load_mat(path, ("name", "label", "AttrName"))
        names, label = content["name"], np.asarray(content["label"])
        if label.ndim == 2 and label.shape == (73, len(names)) != (len(names), 73):
            label = label.T
        if label.shape != (len(names), 73):
            raise self.wrong(path, expected=f"label of shape ({len(names)}, 73)", found=str(label.shape))
        return {"names": [str(name).replace("\\", "/") for name in names], "label": label,
                "attributes": content["AttrName"], "path": path}

    def _from_mat(self) -> Iterator[tuple[str, str, np.ndarray]]:
        for row, name in enumerate(self._mat["names"]):
            yield name, f"{LABELS}:{row + 1}", self._mat["label"][row]

    def _binary(self, row: np.ndarray) -> np.ndarray:
        if not np.isin(row, (-1, 0, 1)).all():  # -1 (unknown) occurs in generated faces only
            raise BadSample(f"expected labels 0 or 1, found {row[~np.isin(row, (-1, 0, 1))][0]}")
        return row.astype(np.int8)

    @cached_property
    def _order(self) -> np.ndarray:
        """Position in the file of every attribute of `labels.LFW_73`: matched by name, never by place."""
        if self.options["source"] == "lfwa":
            path, names = self._mat["path"], [bare(str(name)) for name in self._mat["attributes"]]
        else:
            path, names = self._text, [bare(name) for name in self._header]
        if missing := [name for name in LFW_73 if bare(name) not in names]:
            raise self.wrong(path, expected="the 73 attribute names", found=f"no {missing[0]!r}")
        return np.array([names.index(bare(name)) for name in LFW_73])

    # --- Kumar et al.: a text file of scores -----------------------------------------------------------------------

    @cached_property
    def _text(self) -> Path:
        return self.require(SCORES, what="the attribute scores")

    @cached_property
    def _header(self) -> list[str]:
        """Attribute names; the line has one field more than the data, because of its leading #."""
        for _, text in lines(self._text):
            fields = [field.strip() for field in text.lstrip("#").strip().split("\t")]
            if fields[:2] == ["person", "imagenum"]:
                return fields[2:]
        raise self.wrong(self._text, expected="a header '# person imagenum ...' with tabs", found="none")

    def _from_text(self) -> Iterator[tuple[str, str, list[str]]]:
        for line, text in lines(self._text):
            if text.startswith("#"):
                continue
            person, *rest = text.split("\t")
            person = person.strip().replace(" ", "_")
            image = rest[0].strip() if rest else ""
            name = f"{person}/{person}_{int(image):04d}.jpg" if image.isascii() and image.isdigit() else person
            yield name, self.where(self._text, line), rest

    def _signs(self, row: list[str]) -> np.ndarray:
        integer(row[0] if row else "", low=1, high=9999, what="imagenum")
        scores = np.array([number(score) for score in row[1:]])
        return np.where(scores == 0, -1, scores > 0).astype(np.int8)  # no score is exactly 0 unless nothing is known

    # --- split -----------------------------------------------------------------------------------------------------

    @cached_property
    def _listed_split(self) -> dict[str, str]:
        """Image -> "train" or "test" by the LFWA indices (1-based rows of the label file); empty without them."""
        path = next((p for p in (self.root / SPLIT, self.root / "LFWA" / SPLIT) if p.exists()), None)
        if path is None and self.options["source"] == "lfwa":
            path = self.require(SPLIT, f"LFWA/{SPLIT}", what="the split of LFWA")
        if path is None or not any((self.root / name).exists() for name in (LABELS, f"LFWA/{LABELS}")):
            return {}
        indices = load_mat(path, ("indices_img_train", "indices_img_test"))
        side = {}
        for split in ("train", "test"):
            for row in np.asarray(indices[f"indices_img_{split}"], np.int64).ravel():
                if not 1 <= row <= len(self._mat["names"]):
                    raise self.wrong(path, expected=f"rows in 1..{len(self._mat['names'])}", found=str(row))
                side[self._mat["names"][row - 1]] = split
        return side

    def _side(self, name: str) -> str | None:
        if self._listed_split:
            return self._listed_split.get(name)
        return "train" if share(self.options["seed"], name.split("/")[0]) < TRAIN_SHARE else "test"

    def checks(self) -> Iterator[Check]:
        name = "scores > 0 agree with the labels of LFWA"
        if not ((self.root / SCORES).exists() and (self.root / LABELS).exists()):
            yield Check(name, "na", "only one source is present")
            return
        other = LFW73(self.root, **{**self.options, "source": "kumar"})
        signs = {}
        for key, _, row in other._from_text():
            try:
                signs[key] = other._signs(row)[other._order]
            except (BadSample, IndexError):
                continue
        mine = LFW73(self.root, **{**self.options, "source": "lfwa"})
        pairs = [(mine._binary(row)[mine._order], signs[key]) for key, _, row in mine._from_mat() if key in signs]
        equal = float(np.mean([a == b for a, b in pairs])) if pairs else 0.0
        yield Check(name, "na" if not pairs else "pass" if equal == 1 else "fail", f"{equal:.4f} of {len(pairs)}")
