"""A data set in its one file, with a label column that no other has: how many freckles a face has."""

from faceptor.datasets.formats.textfiles import fields, lines
from faceptor.datasets.reader import Reader, Record, integer


class Spots(Reader):
    name, title, source, licence = "spots", "Spots", "nowhere", "none"
    columns = ("freckles",)

    def read(self, split):
        path = self.require("list.txt")
        for line, text in lines(path):
            if text.split()[1] == split:
                yield self.attempt(text.split()[0], self.where(path, line), self._record, text, split)

    def _record(self, text, split):
        name, _, count = fields(text, 3)
        freckles = integer(count, low=0, high=9999, what="freckles")
        return Record(key=name, split=split, image=self.image(name), freckles=freckles)
