"""What stays the same between two pictures of one person: bone, skin, eyes, brows, hair and how they age."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache

import numpy as np

EYE_COLOURS = ("dark brown", "brown", "blue", "green", "grey")
HAIR_COLOURS = ("black", "brown", "blond", "red")
HAIR_TEXTURES = ("straight", "wavy", "curly")
MAX_DEVIATIONS = 2.0  # of a shape coefficient


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What is a score: 0 = the middle, deviation about 1, clipped at +-2.

    The order is part of the seed's meaning: append new ones at the end.
    """

    face_width: float
    jaw_width: float
    jaw_shape: float
    chin_length: float
    cheekbone: float
    forehead: float
    fat: float
    eye_spacing: float
    eye_size: float
    eye_tilt: float
    eye_open: float
    eye_height: float
    lid_fold: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    brow_height: float
    brow_length: float
    nose_width: float
    nose_length: float
    nose_height: float
    nose_tip: float
    mouth_width: float
    mouth_height: float
    lip_upper: float
    lip_lower: float
    ear_size: float
    skin_hue: float
    hairline: float


@dataclass(frozen=True, kw_only=True)
class Identity(Scores):
    """Seeded, person-level parameters.

    `skin` is 0 (very light) to 1 (very dark); the `*_onset` fields are ages in years; `marks` are moles as (u, v,
    radius) on the head surface; `spots` are those of old age in the order in which they come, as (x, y, size) on the
    frontal plane; `habits` in 0..1 say how the person mostly wears hair, beard and glasses.
    """

    number: int
    male: bool
    skin: float
    freckles: float
    eye_colour: str
    hair_base: str
    hair_texture: str
    grey_onset: float
    bald_onset: float
    base_age: float
    looks_older: float
    marks: tuple[tuple[float, float, float], ...]
    spots: tuple[tuple[float, float, float], ...]
    habits: tuple[float, ...]


_SCORES = tuple(Scores.__dataclass_fields__)
# Share of people below -> skin: a gap between pale and other skins, so that light cannot take one for the other.
_SKIN_TONES = (0.0, 0.2, 0.2001, 1.0), (0.0, 0.1, 0.24, 1.0)
# Shifts in deviations: as in photographs, few people are stout, have bushy or arched brows, narrow eyes, broad or
# pointed noses, full lips.
_MEAN_SHIFTS = {
    "brow_arch": -0.5, "brow_thickness": -1.1, "fat": -1.4, "eye_open": 1.0, "cheekbone": -0.5,
    "nose_width": -0.6, "nose_tip": -0.4, "lip_upper": -0.6, "lip_lower": -0.6,
}  # fmt: skip
# Men and women differ by these in the mean, to either side; the rest of the spread is common.
_SEX_SHIFTS = {
    "jaw_width": 0.45, "brow_thickness": 0.6, "nose_width": 0.25, "chin_length": 0.3, "lip_upper": -0.4,
    "lip_lower": -0.4, "brow_arch": -0.55, "eye_size": -0.3, "brow_height": -0.35, "jaw_shape": 0.35,
}  # fmt: skip
HABITS = 10
IDENTITY_FIELDS = frozenset(Identity.__dataclass_fields__) - {"number"}


def _distinct(normal: float) -> float:
    """A score seldom near the average: a nose is broad or narrow, and a small picture shows which."""
    return clip(math.copysign(1.2 * math.sqrt(abs(normal)), normal), -MAX_DEVIATIONS, MAX_DEVIATIONS)


def clip(value: float, low: float, high: float) -> float:
    """One number held between two others; np.clip is for arrays, on a number it takes ten times as long."""
    return min(max(value, low), high)


def pick(uniform: float, names: tuple, weights: tuple[float, ...]):
    """The name whose share of [0, 1) holds `uniform`."""
    return names[min(bisect_right(_edges(weights), uniform), len(names) - 1)]


@cache
def _edges(weights: tuple[float, ...]) -> list[float]:
    """Where each share of [0, 1) ends."""
    return (np.cumsum(weights) / np.sum(weights)).tolist()


def sample_identity(seed: int, identity: int, **fixed) -> Identity:
    """Draw person `identity` of the population `seed`; `fixed` overrides single fields.

    All random numbers are drawn before any is used, so fixing one field never moves another.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, identity, 0)))
    normal = dict(zip(_SCORES, rng.standard_normal(len(_SCORES)).tolist(), strict=True))
    u = rng.random(24).tolist()
    marks, habits = rng.random((4, 3)).tolist(), rng.random(HABITS).tolist()
    ageing = np.random.default_rng(np.random.SeedSequence((seed, identity, 2)))
    spots = ageing.uniform([-0.9, -0.75, 0.5], [0.9, 0.9, 1.0], (30, 3))
    male = bool(fixed.get("male", u[0] < 0.5))
    shift = 1.0 if male else -1.0
    for name, size in _SEX_SHIFTS.items():
        normal[name] = 0.9 * normal[name] + shift * size
    normal["lip_lower"] = 0.8 * normal["lip_upper"] + 0.6 * normal["lip_lower"]  # full lips are mostly both full
    for name, size in _MEAN_SHIFTS.items():
        normal[name] += size
    values: dict = {name: _distinct(score) for name, score in normal.items()}
    skin = float(np.interp(u[1], *_SKIN_TONES))
    dark = skin > 0.55
    eye_weights = (0.55, 0.45, 0.02, 0.02, 0.02) if dark else (0.14, 0.3, 0.28, 0.16, 0.12)
    hair_weights = (0.64, 0.25, 0.08, 0.03) if dark else (0.19, 0.32, 0.39, 0.1)
    count = int(u[5] * 4.6)
    values |= {
        "number": identity,
        "male": male,
        "skin": skin,
        "freckles": max(0.0, (u[2] - 0.72) / 0.28) * (skin < 0.4),
        "eye_colour": pick(u[3], EYE_COLOURS, eye_weights),
        "hair_base": pick(u[4], HAIR_COLOURS, hair_weights),
        "hair_texture": pick(u[6], HAIR_TEXTURES, (0.42, 0.33, 0.25)),
        "grey_onset": 30.0 + 7.0 * u[7],
        "bald_onset": (32.0 + 60.0 * u[8]) if male else 200.0,
        "base_age": 16.0 + 61.0 * u[9],
        "looks_older": 1.6 * (u[10] + u[11] - 1.0),
        "marks": tuple((2.2 * (a - 0.5), -0.55 + 1.9 * b, 0.022 + 0.03 * c) for a, b, c in marks[:count]),
        "spots": tuple(map(tuple, spots.tolist())),
        "habits": tuple(habits),
    }
    return Identity(**(values | fixed))
