"""LFWA: people's folders in `lfw/`, 40 attributes in `lfw_att_40.mat`, and the owner's split."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from faceptor.synthesis.writers.celeba import known
from faceptor.synthesis.writers.layout import Order, Shot, Tile, described, put
from faceptor.synthesis.writers.lfw73 import LFW73Layout, save_labels, save_split


class LFWALayout(LFW73Layout):
    """The pictures are planned as for LFW-73; the people are others."""

    name = "lfwa"
    title = "LFWA: 40 attributes"

    def draw(self, shot: Shot, portrait, root: Path) -> dict[str, bool | None]:
        put(root / "lfw" / shot.key, portrait.image)
        return known(portrait, "celeba")

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator, root: Path) -> None:
        from faceptor.datasets.labels import CELEBA_40  # not needed by the drawing processes

        save_labels(root, shots, CELEBA_40, list(rows))
        save_split(root, shots)

    def tile(self, shot: Shot, portrait) -> Tile:
        return Tile(image=portrait.image, caption=f"{shot.note['name']}\n{described(known(portrait, 'celeba'))}")
