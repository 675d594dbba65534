"""One photograph's worth of parameters: a person at an age, with an expression, a pose, hair, things worn and light."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from faceptor.datasets.labels import EXPRESSIONS
from faceptor.errors import ConfigError
from faceptor.synthesis.identity import HABITS, IDENTITY_FIELDS, Identity, clip, pick, sample_identity

EXPRESSION_SHARES = (0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1)  # in the order of EXPRESSIONS
YOUNGEST, OLDEST = 16.0, 77.0
MAX_YAW, MAX_PITCH, MAX_ROLL = 60.0, 25.0, 25.0
HATS = ("beanie", "cap", "brim")
BACKGROUNDS = ("studio", "indoor", "outdoor")
OCCLUDERS = ("hand", "bar")


@dataclass(frozen=True, kw_only=True)
class Face:
    """All that the drawing and the labels are computed from; angles in degrees, age in years.

    Head pose is Tait-Bryan as used by 300W-LP and BIWI readers: positive yaw turns the nose to image-left, positive
    pitch raises it, positive roll turns the head clockwise in the image.
    """

    seed: int
    sample: int
    person: Identity
    age: float
    expression: int
    intensity: float
    yaw: float
    pitch: float
    roll: float
    mouth_open: float  # extra jaw drop (talking), 0..1
    eyes_closed: bool
    gaze_x: float  # -1 (image-left of the head) .. 1
    gaze_y: float
    hair_length: str  # "short" | "medium" | "long"
    hair_volume: float
    hair_colour: str  # "black" | "brown" | "blond" | "red", before greying
    grey: float  # share of grey hair, 0..1
    bald: bool
    receding: float  # 0..1
    bangs: bool
    mustache: bool
    goatee: bool
    beard: bool
    sideburns: bool
    stubble: bool
    eyeglasses: bool  # see-through spectacles
    sunglasses: bool
    glasses_style: float  # 0 round .. 1 square
    glasses_colour: int
    hat: str  # "" or one of HATS
    lipstick: bool
    heavy_makeup: bool
    rosy_cheeks: bool
    flushed: bool
    shiny: bool
    earrings: bool
    necklace: bool
    necktie: bool
    light_azimuth: float  # degrees, 0 = from the camera, positive = from image-right
    light_elevation: float
    light_strength: float  # 0 flat .. 1 hard
    exposure: float
    warmth: float  # -1 blue .. 1 yellow
    flash: bool
    background: str
    occluder: str  # "" or one of OCCLUDERS
    blur: float  # Gaussian sigma as a share of the face width
    noise: float  # standard deviation in grey levels
    grayscale: bool
    texture: int  # seed of everything that is only texture

    @property
    def identity(self) -> int:
        return self.person.number

    @property
    def male(self) -> bool:
        return self.person.male

    @property
    def apparent_age(self) -> float:
        """The age that the drawing shows: people look a little older or younger than they are."""
        return clip(self.age + self.person.looks_older, 0.0, 100.0)

    @property
    def youth(self) -> float:
        """What is left of a young face's roundness: 1 up to 16 years, 0 from 30 on."""
        return clip((30.0 - self.apparent_age) / 14.0, 0.0, 1.0)

    @property
    def aged(self) -> float:
        """Strength of the signs of age: 0 up to 17 years, 0.4 at 36, 1 at 72, at most 1.2."""
        return clip((self.apparent_age - 17.0) / 55.0, 0.0, 1.25) ** 0.9


# Uniforms behind hair, beard and glasses: mostly the person's own, else this picture's.
_BY_HABIT, _WHETHER, _USUAL = [7, 8, 10, 11, 12, 13, 14, 16, 18, 19], slice(40, 40 + HABITS), 0.9
FACE_FIELDS = frozenset(Face.__dataclass_fields__) - {"seed", "sample", "person"}


def _reflect(value: float, low: float, high: float) -> float:
    """Fold `value` back into [low, high], which keeps a uniform distribution uniform."""
    span = high - low
    folded = (value - low) % (2 * span)
    return low + (folded if folded <= span else 2 * span - folded)


def sample_face(seed: int, *, identity: int, sample: int = 0, **fixed) -> Face:
    """Draw picture `sample` of person `identity`; `fixed` overrides any field of `Face` or `Identity`.

    The same (seed, identity) is the same person in every sample; fixing a field leaves the others as they would have
    been, except those that follow from it (an age greys hair, a hat covers bangs).
    """
    unknown = set(fixed) - FACE_FIELDS - IDENTITY_FIELDS
    if unknown:
        raise ConfigError(
            f"sample_face: unknown field {sorted(unknown)[0]!r}; use a field of Face or Identity, "
            f"for instance age, expression, yaw, male, eyeglasses"
        )
    person = sample_identity(seed, identity, **{k: v for k, v in fixed.items() if k in IDENTITY_FIELDS})
    rng = np.random.default_rng(np.random.SeedSequence((seed, identity, 1, sample)))
    u, n = rng.random(64), np.clip(rng.standard_normal(32), -2.5, 2.5)
    u[_BY_HABIT] = np.where(u[_WHETHER] < _USUAL, person.habits, u[_BY_HABIT])
    u, n = u.tolist(), n.tolist()
    age = float(fixed.get("age", _reflect(person.base_age + 4.0 * n[0], YOUNGEST, OLDEST)))
    values = {"seed": seed, "sample": sample, "person": person, "age": age, "texture": int(rng.integers(2**31))}
    values |= _pose_and_expression(u, n) | _hair(u, person, age) | _worn(u, person, age) | _picture(u, n)
    values |= {k: v for k, v in fixed.items() if k in FACE_FIELDS}
    return Face(**_consistent(values, fixed))


def _pose_and_expression(u: list[float], n: list[float]) -> dict:
    return {
        "expression": EXPRESSIONS.index(pick(u[0], EXPRESSIONS, EXPRESSION_SHARES)),
        "intensity": 0.75 + 0.25 * u[1],
        # A mixture: most pictures are near-frontal, a quarter are turned far.
        "yaw": n[1] * 13.0 if u[2] < 0.7 else MAX_YAW * (2 * u[3] - 1),
        "pitch": clip(n[2] * 8.0, -MAX_PITCH, MAX_PITCH),
        "roll": clip(n[3] * 7.0, -MAX_ROLL, MAX_ROLL),
        "mouth_open": max(0.0, u[4] - 0.75) / 0.25 * 0.7,
        "eyes_closed": u[5] < 0.12,
        "gaze_x": n[4] * 0.35,
        "gaze_y": n[5] * 0.2,
    }


def _hair(u: list[float], person: Identity, age: float) -> dict:
    male, adult = person.male, age >= 18
    greying = clip((age - person.grey_onset) / 38.0, 0.0, 1.0)
    dyed = u[6] < (0.03 if male else 0.06)
    balding = clip((age - person.bald_onset) / 18.0, 0.0, 1.0)
    receding = clip((age - 24.0) / 48.0 + 0.25 * person.hairline, 0.0, 0.85) if male else 0.0
    weights = (0.75, 0.15, 0.1) if male else (0.15, 0.35, 0.5)
    return {
        "hair_length": pick(u[7], ("short", "medium", "long"), weights),
        "hair_volume": u[8],
        "hair_colour": person.hair_base,
        "grey": 0.0 if dyed else greying,
        "bald": bool(male and (balding > 0.6 or (u[9] < 0.12 and adult))),
        "receding": max(receding, balding),
        "bangs": u[10] < (0.12 if male else 0.28),
        "mustache": bool(male and adult and u[11] < 0.16),
        "goatee": bool(male and adult and u[12] < 0.18),
        "beard": bool(male and adult and u[13] < 0.2),
        "sideburns": bool(male and adult and u[14] < 0.25),
        "stubble": bool(male and adult and u[15] < 0.3),
    }


def _worn(u: list[float], person: Identity, age: float) -> dict:
    male, adult = person.male, age >= 15
    painted = not male and adult
    return {
        "eyeglasses": u[16] < 0.14,
        "sunglasses": u[17] < 0.05,
        "glasses_style": u[18],
        "glasses_colour": int(u[19] * 4),
        "hat": pick(u[21], HATS, (1, 1, 1)) if u[20] < 0.1 else "",
        "lipstick": bool(painted and u[22] < 0.7),
        "heavy_makeup": bool(painted and u[23] < 0.45),
        "rosy_cheeks": u[24] < (0.04 if male else 0.2),
        "flushed": u[25] < 0.1,
        "shiny": u[26] < 0.2,
        "earrings": u[27] < (0.04 if male else 0.4),
        "necklace": u[28] < (0.04 if male else 0.3),
        "necktie": bool(adult and u[29] < (0.15 if male else 0.01)),
    }


def _picture(u: list[float], n: list[float]) -> dict:
    flash = u[30] < 0.2
    return {
        "light_azimuth": 0.0 if flash else n[6] * 35.0,
        "light_elevation": 8.0 if flash else 28.0 + 14.0 * n[7],
        "light_strength": u[31],
        "exposure": 1.0 + 0.1 * n[8],
        "warmth": 0.5 * n[9],
        "flash": flash,
        "background": pick(u[32], BACKGROUNDS, (0.3, 0.35, 0.35)),
        "occluder": pick(u[34], OCCLUDERS, (0.6, 0.4)) if u[33] < 0.05 else "",
        "blur": 0.01 + 0.02 * u[36] if u[35] < 0.15 else 0.0,
        "noise": 1.0 + 5.0 * u[37] ** 2,
        "grayscale": u[38] < 0.08,
    }


def _consistent(values: dict, fixed: dict) -> dict:
    """Settle what excludes what; a field the caller fixed wins over one that was drawn."""

    def settle(**states: Any) -> None:
        values.update((name, state) for name, state in states.items() if name not in fixed)

    if values["sunglasses"]:
        settle(eyeglasses=False)
        values["sunglasses"] = not values["eyeglasses"]
    if values["hat"]:
        settle(bald=False, bangs=False, receding=0.0)
    if values["bald"]:
        settle(bangs=False, hair_length="short", receding=1.0)
    if values["bangs"]:
        settle(receding=0.0)
    elif values["receding"] > 0.95 and not values["bald"]:
        settle(receding=0.9)
    if values["beard"]:
        settle(sideburns=True, mustache=True, goatee=False, stubble=False)
    if values["bald"] or values["hair_length"] != "short":  # they would not be seen
        settle(sideburns=False)
    return values
