"""What all layouts share: who is drawn in which picture, stable randomness, and the encodings of files.

A layout turns an `Order` into a list of `Shot`s (cheap, in the parent process), draws each of them (in a worker, no
torch), and writes the label files from the rows that come back in the order of the shots.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import simplejpeg

from faceptor.config.sections import spelled
from faceptor.datasets.subset import spread
from faceptor.errors import ConfigError
from faceptor.synthesis.draw import render
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.head import rotation
from faceptor.synthesis.portrait import Portrait

JPEG_QUALITY = 92
_MARGIN = 0.3  # around a face on the contact sheet, in sides of its box

# A person's number is (data set, part, n): the ranges of two data sets, or of two parts of one, cannot meet.
# Append only: the position is part of every generated identity.
DATASETS = (
    *("300w", "aflw19", "celebamaskhq", "lapa", "morph2", "affectnet", "rafdb", "celeba", "ms1mv3", "lfw73"),
    *("wflw", "cofw", "utkface", "ferplus", "300wlp", "biwi", "aflw2000", "fairface", "lfwa", "300vw", "ffhqaging"),
    *("facesynthetics", "digiface"),
)
PARTS = ("train", "val", "test", "lfw", "cfp_fp", "agedb_30", "calfw", "cplfw")


def person(dataset: str, part: str, n: int) -> int:
    """Identity of the n-th person (0-based, below 2**24) of one part of one data set; unique over everything."""
    if not 0 <= n < 1 << 24:
        place = f"synthesis.{spelled(dataset)}"
        raise ConfigError(f"{place}: person {n} of {part} is out of range, ask for fewer than {1 << 24}")
    return (DATASETS.index(dataset) << 32) | (PARTS.index(part) << 24) | n


def stream(seed: int, *words: object) -> np.random.Generator:
    """Random numbers that depend on the seed and the words alone, not on what was drawn before."""
    digest = hashlib.sha256("/".join(map(str, (seed, *words))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


@dataclass(frozen=True, kw_only=True)
class Order:
    """How many faces of which data set; `train` includes the owner's validation part, where there is one."""

    name: str
    seed: int
    train: int
    test: int = 0
    image_size: int | None = None  # longer side in pixels
    identities: int | None = None
    pairs: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Faces of each part."""
        return {"train": self.train, "test": self.test}

    def rng(self, *words: object) -> np.random.Generator:
        return stream(self.seed, self.name, *words)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture to take. `fixed` goes to `sample_face`; `note` is the layout's own (file name, label, ...)."""

    split: str
    key: str  # file name or path below the data set's folder
    person: int
    sample: int = 0
    size: tuple[int, int]  # height, width
    frame: str
    maps: bool
    zoom: float
    counted: int = 1  # pictures of the split that a reader counts for it
    fixed: dict[str, Any] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture with its labels for the contact sheet, all in the picture's pixels."""

    image: np.ndarray  # (H, W, 3) uint8
    caption: str = ""
    group: str = ""  # tiles of one group stand side by side in a row of their own
    landmarks: np.ndarray | None = None  # (K, 2)
    hidden: np.ndarray | None = None  # (K,) bool: landmarks drawn hollow
    box: np.ndarray | None = None  # (4,)
    mask: np.ndarray | None = None  # (H, W) classes
    axes: np.ndarray | None = None  # (4, 2): middle of the head, tips of its axes to image-right, down and ahead
    good: bool | None = None  # colours the frame: same / different person


class Layout(ABC):
    """Writer of one data set in its owner's layout (one subclass per data set)."""

    name: ClassVar[str]
    title: ClassVar[str]
    default_size: ClassVar[int]  # longer side of the embedded pictures
    splits: ClassVar[tuple[str, ...]] = ("train", "test")  # what the owner publishes
    min_pictures: ClassVar[dict[str, int]] = {"train": 1}  # pictures of a split that its own reader can do with
    max_pictures: ClassVar[dict[str, int]] = {}  # pictures of a part for which the owner's layout has names
    needs: ClassVar[tuple[str, ...]] = ()  # fields of the order that must be given beside train and test
    frame: ClassVar[str]  # how the faces lie in their pictures, of `placement.FRAMES`
    aspect: ClassVar[float] = 1.0  # width / height of the pictures
    maps: ClassVar[bool] = False  # whether the class maps are wanted
    zoom: ClassVar[float] = 1.0  # > 1: pictures are cut from ones that much larger, so the face fills more of them

    def check(self, order: Order) -> None:
        """Raise ConfigError for what cannot be made."""
        place = f"synthesis.{spelled(self.name)}"
        least = {"train": 0, "test": 0, "image_size": 32, "identities": 1, "pairs": 1}
        least |= {split: count for split, count in self.min_pictures.items() if split in self.splits}
        for key, low in least.items():
            value = getattr(order, key)
            if value is None and key in self.needs:
                raise ConfigError(f"{place}.{key}: missing, expected a count of at least {low}")
            if value is not None and value < low:
                raise ConfigError(f"{place}.{key}: expected at least {low}, found {value}")
            if value is not None and key in {"identities", "pairs"} - set(self.needs):
                raise ConfigError(f"{place}.{key}: this data set has none, found {value}; remove the key")
        for split, value in order.counts.items():
            if value > 0 and split not in self.splits:
                raise ConfigError(f"{place}.{split}: this data set has no {split} part, expected 0, found {value}")
        for split, most in self.max_pictures.items():
            if (value := order.counts[split]) > most:
                raise ConfigError(f"{place}.{split}: expected at most {most} faces, found {value}")
        if order.train + order.test == 0:
            raise ConfigError(f"{place}: train and test are both 0, ask for at least one face")

    def plan(self, order: Order) -> list[Shot]:
        """All pictures, in the order of the label files."""
        return list(self.shots(order))

    @abstractmethod
    def shots(self, order: Order) -> Iterator[Shot]:
        """One picture after the other."""

    def shot(self, order: Order, part: str, n: int, **more: Any) -> Shot:
        """A picture of the n-th person of a part, with `more` fields; a validation part belongs to training."""
        fields = {
            "split": "test" if part == "test" else "train",
            "person": self.person(part, n),
            "size": self.size(order),
            "frame": self.frame,
            "maps": self.maps,
            "zoom": self.zoom,
        }
        return Shot(**(fields | more))

    @abstractmethod
    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> Any:
        """Write the files of one shot below root; return what `write` needs (small, picklable)."""

    def write(self, order: Order, shots: Sequence[Shot], rows: Iterator[Any], root: Path) -> None:
        """Write the label files, if any; rows come in the order of the shots."""
        return

    @abstractmethod
    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        """The picture with the labels as written."""

    def shown(self, shots: Sequence[Shot], count: int) -> list[int]:
        """Indices of the shots on the contact sheet, spread evenly."""
        return spread(len(shots), count)

    def person(self, part: str, n: int) -> int:
        return person(self.name, part, int(n))

    def counts(self, shots: Sequence[Shot]) -> dict[str, int]:
        """Pictures per split."""
        return dict(Counter(shot.split for shot in shots for _ in range(shot.counted)))

    def size(self, order: Order) -> tuple[int, int]:
        """(height, width) of a picture whose longer side is what the order asks."""
        longer = order.image_size or self.default_size
        return (longer, round(longer * self.aspect)) if self.aspect <= 1 else (round(longer / self.aspect), longer)

    def take(self, shot: Shot, seed: int, root: Path, *, show: bool) -> tuple[Any, Tile | None]:
        """Draw a shot: its row for the label files, and a tile if the contact sheet shows it."""
        face = sample_face(seed, identity=shot.person, sample=shot.sample, **shot.fixed)
        canvas = tuple(round(side * shot.zoom) for side in shot.size)
        portrait = cut(render(face, size=canvas, frame=shot.frame, maps=shot.maps), shot.size)
        row = self.draw(shot, portrait, root)
        return row, self.tile(shot, portrait) if show else None


def cut(portrait: Portrait, size: tuple[int, int]) -> Portrait:
    """The part of a portrait that has this (height, width), about the face as far as the picture reaches."""
    height, width = portrait.image.shape[:2]
    if (height, width) == tuple(size):
        return portrait
    x1, y1, x2, y2 = portrait.box
    left = int(np.clip(round((x1 + x2 - size[1]) / 2), 0, width - size[1]))
    top = int(np.clip(round((y1 + y2 - size[0]) / 2), 0, height - size[0]))
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    shift = np.float32([left, top])
    return replace(
        portrait,
        image=portrait.image[rows, columns],
        landmarks={key: points - shift for key, points in portrait.landmarks.items()},
        points5=portrait.points5 - shift,
        solid=portrait.solid - np.float32([left, top, 0]),
        centre=portrait.centre - shift,
        box=portrait.box - np.tile(shift, 2),
        parts={key: mask[rows, columns] for key, mask in portrait.parts.items()},
        classes19=None if portrait.classes19 is None else portrait.classes19[rows, columns],
        classes11=None if portrait.classes11 is None else portrait.classes11[rows, columns],
    )


def closeup(portrait: Portrait, scheme: str = "", **labels: Any) -> Tile:
    """A tile of the face alone, with fields of `Tile`: its box with a margin, as far as the picture reaches.

    `scheme` adds the landmarks of that name, hollow where they cannot be seen.
    """
    if scheme:
        labels |= {"landmarks": portrait.landmarks[scheme], "hidden": ~portrait.visible[scheme]}
    low, high = portrait.box[:2], portrait.box[2:]
    half = (high - low).max() * (0.5 + _MARGIN)
    left, top = np.maximum(((low + high) / 2 - half).round().astype(int), 0)
    right, bottom = ((low + high) / 2 + half).round().astype(int)
    for name, shift in (("landmarks", [left, top]), ("axes", [left, top]), ("box", [left, top, left, top])):
        if name in labels:
            labels[name] = labels[name] - np.array(shift)
    if "mask" in labels:
        labels["mask"] = labels["mask"][top:bottom, left:right]
    return Tile(image=portrait.image[top:bottom, left:right], **labels)


def axes(portrait: Portrait) -> np.ndarray:
    """(4, 2) pixels: the middle of the head and the tips of its axes, one and a half half-widths of a head long."""
    tips = 1.5 * portrait.unit * rotation(*portrait.pose)[:2].T
    return np.concatenate([portrait.centre[None], portrait.centre + tips])


# --- people and labels ----------------------------------------------------------------------------------------------


def albums(count: int, mean: float, rng: np.random.Generator, most: int | None = None) -> list[tuple[int, int]]:
    """(person, picture of that person), both from 0, for `count` pictures with `mean` pictures per person."""
    pairs: list[tuple[int, int]] = []
    n = 0
    while len(pairs) < count:
        size = min(int(rng.geometric(1 / mean)), most or count)
        pairs += [(n, sample) for sample in range(size)]
        n += 1
    return pairs[:count]


def shares(count: int, weights: Sequence[float]) -> list[int]:
    """Split a count by weights (largest remainder), no part empty while there is enough; the sum is exact."""
    exact = count * np.asarray(weights, float) / np.sum(weights)
    few = (exact < 1) & (exact > 0)
    if count >= len(exact) and few.any():
        rest = shares(count - int(few.sum()), np.where(few, 0, weights))
        return [1 if alone else part for part, alone in zip(rest, few, strict=True)]
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: count - parts.sum()]] += 1
    return parts.tolist()


def mixed(count: int, weights: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """`count` class numbers whose frequencies follow the weights as closely as whole numbers can, shuffled."""
    return rng.permutation(np.repeat(np.arange(len(weights)), shares(count, weights)))


# --- files ----------------------------------------------------------------------------------------------------------


def jpeg(rgb: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality=JPEG_QUALITY, colorspace="RGB")


def png(image: np.ndarray) -> bytes:
    """PNG bytes of an RGB (H, W, 3) or a single-channel (H, W) image."""
    image = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", np.ascontiguousarray(image), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape} and type {image.dtype} as PNG")
    return data.tobytes()


def put(path: Path, content: str | np.ndarray) -> None:
    """Write a file, making its folder: text in UTF-8 with the line ends it has, or a picture, PNG or JPEG by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8", newline="")
    else:
        path.write_bytes(png(content) if path.suffix == ".png" else jpeg(content))


def lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def described(attributes: dict[str, bool | None]) -> str:
    """The attributes that are present, one after the other, for a caption."""
    return ", ".join(name.replace("_", " ") for name, yes in attributes.items() if yes)
