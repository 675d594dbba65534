"""DigiFace-1M: rendered people with a folder of 112 x 112 pictures each, in folders that are called as the archives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.reader import BadSample, Check, Record, Reject, share
from faceptor.datasets.readers.pairs import WithPairs

ARCHIVE = re.compile(r"subjects_(?P<first>\d{1,6})-(?P<last>\d{1,6})_(?P<each>\d{1,3})_imgs")
PERSON = re.compile(r"0|[1-9]\d{0,5}")
PICTURE = re.compile(r"(?P<number>\d{1,4})\.png", re.IGNORECASE)
ARCHIVES = {72: range(10_000), 5: range(100_000, 199_999)}  # pictures of each person -> numbers of the people
TEST_SHARE = 0.01  # of the people


@dataclass(frozen=True)
class Person:
    """One person's folder; `each`: pictures that every person of its archive has, 0 where no name tells."""

    name: str
    folder: Path
    each: int = 0
    problem: str = ""


class DigiFace(WithPairs):
    """`subjects_0-1999_72_imgs/{person}/{k}.png` and the other archives, unpacked; or the people's folders themselves.

    The owner publishes no split: one in a hundred people, by a hash of the number, is for testing (`seed` draws
    others). `images` says what is read: the five archives of 72 pictures a person, the three of 5, or all. The
    identities are these people's numbers in a row: with all of them, 100000 becomes 10000. Verification sets (`.bin`,
    as those of MS1MV3) that lie in the folder are prepared; without any, pairs of the test people judge a model.
    """

    name = "digiface"
    title = "DigiFace-1M (Microsoft)"
    source = "https://github.com/microsoft/DigiFace1M (direct downloads, without a form)"
    licence = "non-commercial research, by the LICENSE of the owner's repository (not read here: read it before use)"
    redistribution = "not read"
    published: ClassVar = {"train": 1208968, "test": 11027}
    choices: ClassVar = {"images": ("all", 72, 5)}
    columns = ("identity",)

    def __init__(self, root: Path | str, **options):
        super().__init__(root, **options)
        seed = self.options["seed"]
        self._numbers = {each: ARCHIVES[each] for each in ARCHIVES if self.options["images"] in ("all", each)}
        if (self.options["images"], seed) != ("all", 0):
            everything = sum(each * len(people) for each, people in self._numbers.items())
            test = sum(each * sum(is_test(str(n), seed) for n in people) for each, people in self._numbers.items())
            self.published = {"train": everything - test, "test": test}
        self._short: dict[str, int] = {}  # person -> pictures, where the archive's name says another number

    @property
    def protocol(self) -> str:
        who = f"one in {round(1 / TEST_SHARE)} people is for testing, by a hash with seed {self.options['seed']}"
        return f"{who}; verification by the pairs in .bin files where there are any, else by pairs of these people"

    @property
    def redivided(self) -> bool:
        return self.options["seed"] != 0

    @property
    def pairs_folder(self) -> Path:
        return self.root

    @cached_property
    def _people(self) -> list[Person]:
        """Everybody, by number; folders that are called otherwise last."""
        top = self.listing(self.root)
        found = [person for path in top if (name := ARCHIVE.fullmatch(path.name)) for person in self._of(path, name)]
        found += [Person(path.name, path) for path in top if PERSON.fullmatch(path.name) and path.is_dir()]
        found = [person for person in found if person.problem or not self._left_out(int(person.name))]
        if not found:
            example = "subjects_0-1999_72_imgs/0/0.png"
            raise self.wrong(self.root, expected=f"unpacked archives with pictures like {example}", found="none")
        return sorted(found, key=lambda person: (bool(person.problem), int(person.name) if not person.problem else 0))

    def _left_out(self, person: int) -> bool:
        """Whether a person is of the archives that `images` leaves out."""
        return any(person in people for each, people in ARCHIVES.items() if each not in self._numbers)

    def _of(self, archive: Path, name: re.Match) -> Iterator[Person]:
        """The people of one archive, which may have been unpacked into a folder of its own name."""
        inner = self.find(f"{archive.name}/{archive.name}")
        for path in self.listing(inner or archive):
            problem, named = "", PERSON.fullmatch(path.name)
            if not named and not path.is_dir():
                continue  # a licence, perhaps
            if not named:
                problem = "expected a folder that is called by the number of a person"
            elif not int(name["first"]) <= int(path.name) <= int(name["last"]):
                problem = f"expected a person from {name['first']} to {name['last']}, as the archive is called"
            yield Person(path.name, path, int(name["each"]), problem)

    def read(self, split: str) -> Iterator[Record | Reject]:
        for person in self._people:
            if is_test(person.name, self.options["seed"]) == (split == "test"):
                yield from self._pictures(person, split)

    def _pictures(self, person: Person, split: str) -> Iterator[Record | Reject]:
        if person.problem or not person.folder.is_dir():
            where = self.where(person.folder)
            yield self.attempt(person.name, where, self._record, person, person.folder, split)
            return
        paths = sorted(self.listing(person.folder), key=by_number)
        if person.each and len(paths) != person.each:
            self._short[person.name] = len(paths)
        for path in paths:
            key = f"{person.name}/{path.stem if PICTURE.fullmatch(path.name) else path.name}"
            yield self.attempt(key, self.where(path), self._record, person, path, split)

    def _record(self, person: Person, path: Path, split: str) -> Record:
        if person.problem or path == person.folder:
            raise BadSample(person.problem or "expected the folder of a person, found none")
        if not PICTURE.fullmatch(path.name):
            raise BadSample("expected a picture that is called by its number, like 0.png")
        return Record(
            key=f"{person.name}/{path.stem}",
            split=split,
            image=self.inside(path.name, folder=path.parent),
            group=person.name,
            identity=self._identity(int(person.name)),
        )

    def _identity(self, person: int) -> int:
        """The people's numbers in a row, without what lies between the archives."""
        before = 0
        for people in self._numbers.values():
            if person in people:
                return before + person - people.start
            before += len(people)
        expected = " or ".join(f"{people[0]}..{people[-1]}" for people in self._numbers.values())
        raise BadSample(f"expected a person in {expected}, found {person}")

    def checks(self) -> Iterator[Check]:
        """A picture that is missing leaves nothing else behind."""
        first = next(iter(self._short.items()), None)
        detail = f"{len(self._short)} have others" + (f", the first: {first[0]} with {first[1]}" if first else "")
        passed = None if self.generated else not self._short
        yield Check.of("every person has as many pictures as the archive's name says", passed, detail)


def is_test(text: str, seed: int = 0) -> bool:
    """Whether a person of that number, as the folder is called, is for testing."""
    return share(seed, text) < TEST_SHARE


def by_number(path: Path) -> tuple[int, str]:
    """Pictures in the order of their numbers, what has none behind them."""
    name = PICTURE.fullmatch(path.name)
    return int(name["number"]) if name else 10**6, path.name
