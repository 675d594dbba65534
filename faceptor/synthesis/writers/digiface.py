"""DigiFace-1M: its first archives, unpacked: a folder for each person."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from faceptor.datasets.readers.digiface import ARCHIVES, is_test
from faceptor.synthesis.writers.head_poses import sitting
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, put

_PEOPLE = ARCHIVES[72]  # numbers of the people of the five archives that are written
_IN_ARCHIVE = 2000  # people
_EACH = 5  # pictures of a person, of the owner's 72; the last person of a part may have fewer


class DigiFaceLayout(Layout):
    name = "digiface"
    title = "DigiFace-1M: identities"
    default_size = 112
    frame = "arcface"

    @property
    def max_pictures(self) -> dict[str, int]:
        return {split: _EACH * len(people) for split, people in _numbers().items()}

    def shots(self, order: Order) -> Iterator[Shot]:
        for split, people in _numbers().items():
            pictures = order.counts[split]
            for n, number in enumerate(people[: -(-pictures // _EACH)]):
                for sample in range(min(_EACH, pictures - n * _EACH)):
                    key, pose = f"{_archive(number)}/{number}/{sample}.png", sitting(order.rng("pose", number, sample))
                    yield self.shot(order, split, n, key=key, sample=sample, fixed=pose, note={"number": number})

    def draw(self, shot: Shot, portrait, root: Path) -> None:
        put(root / shot.key, portrait.image)

    def shown(self, shots: Sequence[Shot], count: int) -> list[int]:
        """The pictures of the first people, side by side."""
        return list(range(min(count, len(shots))))

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, group=f"person {shot.note['number']}")


def _numbers() -> dict[str, list[int]]:
    """The people of each part by the reader's draw."""
    return {split: [n for n in _PEOPLE if is_test(str(n)) == (split == "test")] for split in ("train", "test")}


def _archive(number: int) -> str:
    first = number // _IN_ARCHIVE * _IN_ARCHIVE
    return f"subjects_{first}-{first + _IN_ARCHIVE - 1}_72_imgs"
