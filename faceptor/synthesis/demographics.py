"""Who is in the picture where gender, age group and race are labels: the label is drawn first, the face follows it.

A convention of this drawing, not a statement about people. The names are the classes of the published label sets; each
stands for a spread of skin tones, hair and proportions around a centre of its own, chosen so that the classes can be
told apart in a small picture. Spreads overlap, as the published labels do.
"""

from dataclasses import dataclass

import numpy as np

from faceptor.synthesis.identity import EYE_COLOURS, HAIR_COLOURS, HAIR_TEXTURES, MAX_DEVIATIONS, pick, sample_identity

_SHARE_OF_SPREAD = 0.6  # of a shape score about the centre of its class; 1 is the whole population
_INFANT_BELOW, _CHILD_BELOW = 3, 13  # years


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """One class: range of `Identity.skin`, shares of hair and eyes, centres of shape scores (0 = average)."""

    skin: tuple[float, float]
    hair: tuple[float, ...]  # shares of HAIR_COLOURS
    texture: tuple[float, ...]  # shares of HAIR_TEXTURES
    eyes: tuple[float, ...]  # shares of EYE_COLOURS
    shape: dict[str, float]


_DARK_EYES, _ANY_EYES = (0.7, 0.28, 0.005, 0.01, 0.005), (0.06, 0.2, 0.36, 0.2, 0.18)
APPEARANCES: dict[str, Appearance] = {
    "White": Appearance(
        skin=(0.0, 0.16), hair=(0.06, 0.36, 0.42, 0.16), texture=(0.45, 0.4, 0.15), eyes=_ANY_EYES,
        shape={"nose_width": -0.6, "nose_height": 0.5, "lip_upper": -0.6, "lip_lower": -0.4},
    ),
    "Black": Appearance(
        skin=(0.78, 1.0), hair=(0.95, 0.05, 0.0, 0.0), texture=(0.04, 0.1, 0.86), eyes=_DARK_EYES,
        shape={"nose_width": 1.1, "lip_upper": 1.0, "lip_lower": 1.1, "nose_height": -0.4},
    ),
    "Latino_Hispanic": Appearance(
        skin=(0.3, 0.46), hair=(0.3, 0.68, 0.02, 0.0), texture=(0.15, 0.75, 0.1), eyes=(0.3, 0.6, 0.02, 0.05, 0.03),
        shape={"lip_upper": 0.4, "lip_lower": 0.5, "cheekbone": 0.5, "eye_size": 0.4},
    ),
    "East Asian": Appearance(
        skin=(0.1, 0.26), hair=(0.95, 0.05, 0.0, 0.0), texture=(0.95, 0.05, 0.0), eyes=_DARK_EYES,
        shape={"eye_open": -1.4, "eye_size": -0.6, "eye_tilt": 1.0, "lid_fold": -1.2, "nose_height": -1.0,
               "face_width": 0.8, "brow_thickness": -0.6},
    ),
    "Southeast Asian": Appearance(
        skin=(0.42, 0.58), hair=(0.97, 0.03, 0.0, 0.0), texture=(0.75, 0.25, 0.0), eyes=_DARK_EYES,
        shape={"eye_open": -1.1, "eye_tilt": 0.6, "nose_width": 0.9, "nose_height": -0.9, "lip_upper": 0.5,
               "lip_lower": 0.6, "face_width": 0.6},
    ),
    "Indian": Appearance(
        skin=(0.56, 0.76), hair=(0.97, 0.03, 0.0, 0.0), texture=(0.4, 0.58, 0.02), eyes=_DARK_EYES,
        shape={"eye_size": 0.9, "eye_open": 0.8, "brow_thickness": 0.8, "face_width": -0.5, "nose_length": 0.4},
    ),
    "Middle Eastern": Appearance(
        skin=(0.18, 0.34), hair=(0.8, 0.2, 0.0, 0.0), texture=(0.1, 0.45, 0.45), eyes=(0.4, 0.45, 0.02, 0.08, 0.05),
        shape={"brow_thickness": 1.5, "brow_length": 0.8, "nose_length": 1.2, "nose_height": 1.0, "face_width": -0.3},
    ),
}  # fmt: skip
# UTKFace has coarser classes, which gather several of these.
UTKFACE_APPEARANCES: dict[str, tuple[str, ...]] = {
    "White": ("White",),
    "Black": ("Black",),
    "Asian": ("East Asian", "Southeast Asian"),
    "Indian": ("Indian",),
    "Others": ("Latino_Hispanic", "Middle Eastern"),
}


def appearance_of(look: Appearance, *, seed: int, person: int, male: bool, rng: np.random.Generator) -> dict:
    """Fields of `Identity` that make a person look like a class; the rest stays the person's own."""
    own = sample_identity(seed, person, male=male)
    skin, *u = rng.random(4).tolist()
    tone = float(np.interp(skin, (0, 1), look.skin))
    shape = {name: float(np.clip(_SHARE_OF_SPREAD * getattr(own, name) + centre, -MAX_DEVIATIONS, MAX_DEVIATIONS))
             for name, centre in look.shape.items()}  # fmt: skip
    return {
        "male": male,
        "skin": tone,
        "freckles": own.freckles if tone < 0.3 else 0.0,
        "hair_base": pick(u[0], HAIR_COLOURS, look.hair),
        "hair_texture": pick(u[1], HAIR_TEXTURES, look.texture),
        "eye_colour": pick(u[2], EYE_COLOURS, look.eyes),
        **shape,
    }


def at_age(age: float) -> dict:
    """Fields of `Face` for somebody of that age, in years: infants have little hair, children wear no jewellery."""
    fields: dict = {"age": float(age)}
    if age < _CHILD_BELOW:
        fields |= {"earrings": False, "necklace": False, "necktie": False, "sunglasses": False}
    if age < _INFANT_BELOW:
        fields |= {"hair_length": "short", "hair_volume": 0.0, "bangs": False, "eyeglasses": False, "hat": ""}
        fields |= {"receding": 0.8}
    return fields


def age_ranges(names: tuple[str, ...], oldest: int = 90) -> list[tuple[int, int]]:
    """(first, last) whole years of age groups like "3-9" or "more than 70"; the last group ends at `oldest`."""
    first = [int("".join(filter(str.isdigit, name.split("-")[0]))) for name in names]
    return [(low, high - 1) for low, high in zip(first, [*first[1:], oldest + 1], strict=True)]
