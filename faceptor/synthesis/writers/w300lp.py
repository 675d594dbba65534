"""300W-LP: photographs turned to large poses, `<part>/<name>.jpg` with a `.mat`, and their mirror images."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import landmark_scheme
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.writers.head_poses import facing
from faceptor.synthesis.writers.layout import Layout, Order, Shot, Tile, axes, closeup, put, shares
from faceptor.synthesis.writers.write_matlab import save_v5_mat

_PARTS = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}  # published pictures without mirror images
_STEMS = {"AFW": "AFW_{}_1", "HELEN": "HELEN_{}_1", "IBUG": "IBUG_image_{:03d}_1", "LFPW": "LFPW_image_train_{:04d}"}
_POSES_PER_PHOTOGRAPH = 3
_MAX_YAW_DEG = 85.0


class W300LPLayout(Layout):
    """As the owner, who turned each photograph of 300W further and further to its side, and mirrored every result."""

    name = "300wlp"
    title = "300W-LP: head pose, 68 landmarks"
    default_size = 176
    frame = "wild"
    splits = ("train",)

    def shots(self, order: Order) -> Iterator[Shot]:
        pictures = -(-order.train // 2)  # the other half are mirror images
        numbers, photograph = itertools.count(), 0
        for part, count in zip(_PARTS, shares(pictures, list(_PARTS.values())), strict=True):
            for n in range(count):
                taken, step = divmod(n, _POSES_PER_PHOTOGRAPH)
                mirrored = next(numbers) < order.train // 2
                yield self.shot(
                    order,
                    "train",
                    photograph + taken,
                    key=f"{part}/{_STEMS[part].format(1000 + taken)}_{step}",
                    counted=1 + mirrored,
                    fixed=_pose(order.rng(part, taken), step),
                    note={"mirrored": mirrored},
                )
            photograph += -(-count // _POSES_PER_PHOTOGRAPH)

    def draw(self, shot: Shot, portrait: Portrait, root: Path) -> None:
        base, (part, stem), parameters = root / "300W_LP", shot.key.split("/"), pose_parameters(portrait)
        _save(base / f"{shot.key}.jpg", portrait.image, portrait.landmarks["68"], parameters)
        points = base / "landmarks" / part / f"{stem}_pts.mat"
        points.parent.mkdir(parents=True, exist_ok=True)
        save_v5_mat(points, pts_2d=portrait.landmarks["68"].astype(float), pts_3d=portrait.solid[:, :2].astype(float))
        if shot.note["mirrored"]:
            width = portrait.image.shape[1]
            xy = landmark_scheme("300W").mirrored(portrait.landmarks["68"], width)
            parameters[0, 1:3] *= -1  # yaw and roll
            parameters[0, 3] = width - 1 - parameters[0, 3]
            _save(base / f"{part}_Flip/{stem}.jpg", portrait.image[:, ::-1], xy, parameters)

    def tile(self, shot: Shot, portrait: Portrait) -> Tile:
        return closeup(portrait, landmarks=portrait.landmarks["68"], axes=axes(portrait), caption=angles(portrait))


def angles(portrait: Portrait) -> str:
    yaw, pitch, roll = portrait.pose
    return f"pitch {pitch:.0f}, yaw {yaw:.0f}, roll {roll:.0f}"


def pose_parameters(portrait: Portrait) -> np.ndarray:
    """`Pose_Para`, (1, 7): pitch, yaw, roll in radians, position and scale (here pixels to half a head's width)."""
    yaw, pitch, roll = np.deg2rad(portrait.pose)
    return np.array([[pitch, yaw, roll, *portrait.centre, 0.0, portrait.unit]], float)


def _save(path: Path, image: np.ndarray, xy: np.ndarray, parameters: np.ndarray) -> None:
    put(path, image)
    roi = np.concatenate([xy.min(axis=0), xy.max(axis=0)]).round()[None]
    save_v5_mat(path.with_suffix(".mat"), Pose_Para=parameters, pt2d=xy.T.astype(float), roi=roi.astype(float))


def _pose(rng: np.random.Generator, step: int) -> dict:
    """The photograph as taken (step 0), then turned on to the side it looks to."""
    pose = facing(rng, yaw=18, pitch=9, roll=9)
    side = 1 if pose["yaw"] >= 0 else -1
    reached = np.sort(rng.uniform(abs(pose["yaw"]), _MAX_YAW_DEG, _POSES_PER_PHOTOGRAPH - 1))
    return pose if step == 0 else pose | {"yaw": float(side * reached[step - 1])}
