"""RAF-DB (basic): seven expressions on aligned faces."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import ClassVar

from faceptor.datasets.formats.textfiles import fields, lines
from faceptor.datasets.labels import EXPRESSIONS, RAFDB_TO_UNIFIED
from faceptor.datasets.reader import BadSample, Reader, Record, Reject, integer

LIST = "EmoLabel/list_patition_label.txt"  # spelt so by its owner


class RAFDB(Reader):
    """`images="aligned"` reads the 100 x 100 faces, "original" the photographs."""

    name = "rafdb"
    title = "RAF-DB (basic expressions)"
    source = "by e-mail request: http://www.whdeld.cn/RAF/model1.html"
    licence = "non-commercial research"
    published: ClassVar = {"train": 12271, "test": 3068}
    choices: ClassVar = {"images": ("aligned", "original")}
    columns = ("expression",)
    classes: ClassVar = {"expression": EXPRESSIONS}

    @property
    def protocol(self) -> str:
        return f"published split by name prefix, {self.options['images']} images"

    def read(self, split: str) -> Iterator[Record | Reject]:
        path = self.require(LIST, f"basic/{LIST}", what="the list of labels")
        folder = path.parent.parent / "Image" / self.options["images"]
        if not folder.is_dir():
            raise self.wrong(folder, expected="a folder of images", found="none (unzip it inside Image/)")
        for line, text in lines(path):
            key = text.split()[0]
            if key.startswith("test_") == (split == "test"):
                yield self.attempt(key, self.where(path, line), self._record, text, folder, split)

    def _record(self, text: str, folder, split: str) -> Record:
        name, label = fields(text, 2)
        if not name.startswith(("train_", "test_")):
            raise BadSample(f"expected a name starting with train_ or test_, found {name[:40]!r}")
        raw = integer(label, low=1, high=7, what="label")
        pure = PurePosixPath(name)
        file = f"{pure.stem}_aligned{pure.suffix}" if self.options["images"] == "aligned" else name
        return Record(
            key=name,
            split=split,
            image=self.image(str(pure.with_name(file)), folder=folder),
            expression=RAFDB_TO_UNIFIED[raw],
        )
