"""300VW: short videos of one person each, as numbered frames, with one `.pts` file per frame (1-based)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from faceptor.datasets.readers.w300vw import CATEGORIES, FRAMES
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import swaying
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, closeup, put, shares
from faceptor.synthesis.writers.w300 import pts

_ROOT = "300VW_Dataset_2015_12_14"
_MIN_FRAMES = 8  # of a video, at least
# Published frames of the three categories, and what makes each harder than the one before.
_PUBLISHED = {"category_1": 62135, "category_2": 32805, "category_3": 26338}
_SETTINGS = {
    "category_1": {"yaw": 25, "light_strength": 0.4, "occluder": "", "blur": 0.0},
    "category_2": {"yaw": 30, "light_strength": 0.95, "occluder": "", "blur": 0.0},
    "category_3": {"yaw": 50, "light_strength": 0.9, "occluder": "hand", "blur": 0.015},
}


class W300VWLayout(Layout):
    """Frames lie extracted in `imgs`, as most readers want them, instead of in a video file."""

    name = "300vw"
    title = "300VW: 68 landmarks on video frames (hollow: hidden)"
    default_size = 224
    frame = "wild"
    min_pictures: ClassVar = {"test": 1}
    splits = ("test",)

    def shots(self, order: Order) -> Iterator[Shot]:
        n = 0
        for category, frames in zip(_PUBLISHED, shares(order.test, list(_PUBLISHED.values())), strict=True):
            videos = CATEGORIES[category][: max(1, frames // _MIN_FRAMES)]
            for video, count in zip(videos, shares(frames, [1] * len(videos)), strict=True):
                yield from self._video(order, category, video, n, count)
                n += 1

    def _video(self, order: Order, category: str, video: str, person: int, count: int) -> Iterator[Shot]:
        settings = dict(_SETTINGS[category])
        rng = order.rng("pose", video)
        poses = swaying(rng, count, yaw=settings.pop("yaw"), pitch=15, roll=12)
        talking = 0.5 + 0.5 * rng.random(2)  # how fast, how far
        for frame, pose in enumerate(poses):
            key, talk = f"{video}/{frame + 1:06d}", float(talking[1] * _triangle(frame * talking[0] / 10))
            fixed = pose | settings | {"mouth_open": talk}
            yield self.shot(order, "test", person, key=key, fixed=fixed, note={"category": category})

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> None:
        video, frame = shot.key.split("/")
        put(root / _ROOT / video / FRAMES[0] / f"{frame}.jpg", portrait.image)
        put(root / _ROOT / video / "annot" / f"{frame}.pts", pts(portrait.landmarks["68"]))

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        video, frame = shot.key.split("/")
        group = f"{shot.note['category'].replace('_', ' ')}: video {video}"
        return closeup(portrait, "68", group=group, caption=f"frame {int(frame)}")

    def shown(self, shots: Sequence[Shot], count: int) -> list[int]:
        """Frames of one video of each category, in their order."""
        chosen = []
        for category in _PUBLISHED:
            members = [i for i, shot in enumerate(shots) if shot.note["category"] == category]
            first = [i for i in members if shots[i].key[:3] == shots[members[0]].key[:3]] if members else []
            chosen += first[: max(1, count // len(_PUBLISHED))]
        return chosen


def _triangle(x: float) -> float:
    """0, up to 1 and back once per unit of x."""
    return 1 - abs(2 * (x % 1) - 1)
