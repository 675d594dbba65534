"""How heads are held in pictures, by the way their owner collected them: yaw, pitch and roll in degrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from faceptor.synthesis.face import HATS, MAX_PITCH, MAX_ROLL, MAX_YAW


def sitting(rng: np.random.Generator) -> dict[str, Any]:
    """A face that looks into the camera, more or less, as in sets whose owners detected, aligned and cropped it.

    One picture in ten is turned up to 60 degrees; occluders and blur are rare.
    """
    turned = rng.random() < 0.1
    return {
        "yaw": float(rng.uniform(-60, 60) if turned else rng.normal(0, 11)),
        "pitch": float(np.clip(rng.normal(0, 6), -25, 25)),
        "roll": float(np.clip(rng.normal(0, 4), -25, 25)),
        "occluder": "hand" if rng.random() < 0.02 else "",
        "blur": float(rng.uniform(0.01, 0.03)) if rng.random() < 0.08 else 0.0,
        "grayscale": bool(rng.random() < 0.05),
    }


def facing(rng: np.random.Generator, *, yaw: float, pitch: float = 7.0, roll: float = 6.0) -> dict[str, Any]:
    """Head pose of sets that only a face detector filtered: normal about the camera, spreads in degrees.

    Clipped at 2.5 deviations and at what `Face` can show, so that no single picture decides the mean face.
    """
    spreads = {"yaw": (yaw, MAX_YAW), "pitch": (pitch, MAX_PITCH), "roll": (roll, MAX_ROLL)}
    score = np.clip(rng.standard_normal(3), -2.5, 2.5)
    return {
        angle: float(np.clip(spread * n, -most, most))
        for n, (angle, (spread, most)) in zip(score, spreads.items(), strict=True)
    }


def adorned(rng: np.random.Generator) -> dict[str, Any]:
    """What portraits for parsing show often enough to be learned: glasses, hats, earrings, chains, ties."""
    names, often = ("eyeglasses", "earrings", "necklace", "necktie"), (0.25, 0.4, 0.4, 0.2)
    worn = {name: bool(rng.random() < share) for name, share in zip(names, often, strict=True)}
    return worn | {"hat": str(rng.choice(HATS)) if rng.random() < 0.15 else ""}


def turned(rng: np.random.Generator, *, most: float = 85.0) -> dict[str, Any]:
    """Head pose of sets that look for large poses: two thirds within 30 degrees of yaw, an eighth beyond 60."""
    low, high = ((0, 30), (30, 60), (60, most))[rng.choice(3, p=(0.65, 0.23, 0.12))]
    pitch, roll = np.clip(rng.standard_normal(2), -2.5, 2.5) * 12
    return {"yaw": float(rng.choice((-1, 1)) * rng.uniform(low, high)), "pitch": float(pitch), "roll": float(roll)}


def swaying(rng: np.random.Generator, count: int, *, yaw: float, pitch: float, roll: float) -> list[dict[str, Any]]:
    """Poses of `count` frames of a turning head: slow sines about a pose of its own, reaching those degrees at most."""
    most = np.array([yaw, pitch, roll])
    middle, reach = most * rng.uniform(-0.3, 0.3, 3), most * rng.uniform(0.4, 0.7, 3)
    turns, phase = rng.uniform(0.02, 0.05, 3), rng.uniform(0, 1, 3)  # turns per frame
    angles = middle + reach * np.sin(2 * np.pi * (np.arange(count)[:, None] * turns + phase))
    return [dict(zip(("yaw", "pitch", "roll"), map(float, row), strict=True)) for row in angles]
