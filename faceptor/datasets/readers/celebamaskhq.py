"""CelebAMask-HQ: 19-class maps painted from one file per facial part."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from faceptor.datasets.formats.images import read_gray
from faceptor.datasets.formats.textfiles import fields, lines, table
from faceptor.datasets.labels import CELEBAMASK_19, CELEBAMASK_TO_LAPA, LAPA_11, facts
from faceptor.datasets.reader import IMAGE_SUFFIXES, BadSample, Check, Reader, Record, Reject, integer

MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
PARTITION = "list_eval_partition.txt"
_ENTRY = facts()["parsing"]["CelebAMask-HQ"]
# Value of each part file, and the order of painting: later parts cover earlier ones.
VALUES = {part: value for value, part in enumerate(_ENTRY["mask_file_suffix_per_class"]) if part}
ORDERS = {"faceptor": tuple(VALUES), "owner": tuple(_ENTRY["owner_script_order"][1:])}


class CelebAMaskHQ(Reader):
    """`painting="faceptor"` covers as the paper's released code does, "owner" as the owner's script.

    Class numbers are the same in both: `labels.CELEBAMASK_19`. `classes=11` merges them into the eleven of LaPa, ten
    of them foreground, after painting (`to_LaPa` in labels.yaml: inferred, FaceXFormer does not publish its rule).
    """

    name = "celebamaskhq"
    title = "CelebAMask-HQ"
    source = "https://github.com/switchablenorms/CelebAMask-HQ"
    licence = "non-commercial research and education"
    published: ClassVar = {"train": 27176, "test": 2824}
    choices: ClassVar = {"painting": ("faceptor", "owner"), "classes": (19, 11)}
    columns = ("mask",)
    classes: ClassVar = {"mask": CELEBAMASK_19}

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        if self.options["classes"] == len(LAPA_11):
            self.classes = {"mask": LAPA_11}
            self.task_options = {"parsing": {"scheme": "LaPa"}}

    @property
    def protocol(self) -> str:
        merged = "" if self.options["classes"] == len(CELEBAMASK_19) else ", merged into the classes of LaPa"
        return f"CelebA evaluation partition (train + val / test), painted in {self.options['painting']} order{merged}"

    @cached_property
    def _home(self) -> Path:
        return self.require(MAPPING, f"CelebAMask-HQ/{MAPPING}", what="the mapping to CelebA").parent

    @cached_property
    def _partition(self) -> dict[str, str]:
        """CelebA file name -> "0" train, "1" val or "2" test."""
        home, names = self._home.relative_to(self.root), (PARTITION, f"Eval/{PARTITION}")
        beside = (self.root.parent / folder / name for folder in ("", "celeba", "CelebA") for name in names)
        path = self.find(*(str(home / name) for name in names), PARTITION) or next(filter(self.beside, beside), None)
        if path:
            return table(text.split() for _, text in lines(path))
        raise self.wrong(
            self._home / PARTITION,
            expected="CelebA's evaluation partition (this set has no split of its own; copy the file from CelebA)",
            found="none here, beside, or in ../celeba",
        )

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self._home / MAPPING
        rows = lines(path)
        _, header = next(rows, (0, "idx"))
        if header.split()[:1] != ["idx"]:
            raise self.wrong(path, expected="a header starting with idx", found=repr(header[:40]))
        for line, text in rows:
            columns = text.split()
            part = self._partition.get(columns[2]) if len(columns) == 3 else None
            if part is not None and (part == "2") != (split == "test"):
                continue
            if part is None and split == "test":
                continue  # rows without a split are reported once, with the training rows
            yield self.attempt(f"{columns[0]}.jpg", self.where(path, line), self._record, text, part, split)

    def _record(self, text: str, part: str | None, split: str) -> Record:
        index, _, original = fields(text, 3)
        if part not in ("0", "1", "2"):
            raise BadSample(f"{original} has no place in {PARTITION}")
        number = integer(index, low=0, high=29999, what="idx")
        image = self.image(f"CelebA-HQ-img/{number}.jpg", folder=self._home)
        return Record(key=f"{number}.jpg", split=split, image=image, mask=self._paint(number))

    def _paint(self, number: int) -> np.ndarray:
        mask = None
        for part in ORDERS[self.options["painting"]]:
            name = f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05d}_{part}.png"
            path = self.inside(name, folder=self._home)
            if not path.is_file():
                continue  # a part that is not in the picture has no file
            area = read_gray(path) > 0
            mask = np.zeros(area.shape, np.uint8) if mask is None else mask
            if area.shape != mask.shape:
                raise BadSample(f"{name}: expected the size of the other parts, {mask.shape}, found {area.shape}")
            mask[area] = VALUES[part]
        if mask is None:
            raise BadSample("no part file exists for this image")
        return mask if self.options["classes"] == len(CELEBAMASK_19) else CELEBAMASK_TO_LAPA[mask]

    def checks(self) -> Iterator[Check]:
        """A mapping that was cut off would lose pictures without a word."""
        folder = self._home / "CelebA-HQ-img"
        named = {text.split()[0] for _, text in lines(self._home / MAPPING)}
        pictures = [path.stem for path in self.listing(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
        lost = [stem for stem in pictures if stem not in named]
        detail = f"{len(lost)} of {len(pictures)} are not" + (f", the first: {lost[0]}" if lost else "")
        yield Check.of(f"every picture is named in {MAPPING}", not lost, detail)
