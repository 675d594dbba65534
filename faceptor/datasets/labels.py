"""Names, order and symmetry of every label, read once from `labels.yaml`.

Side convention everywhere: left and right are sides *as seen in the image* (image-left is the subject's right).
"""

import reprlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from faceptor.config.sections import AtKey, Count, Whole, all_explained
from faceptor.config.yaml12 import parse_yaml
from faceptor.errors import ConfigError


@cache
def facts() -> dict:
    """The whole of `labels.yaml`."""
    return parse_yaml((files("faceptor.datasets") / "labels.yaml").read_text(encoding="utf-8"))


MOST_POINTS = 10_000  # of a scheme


def _members(entry: Any) -> Any:
    if isinstance(entry, int):
        return (entry,)
    ends = entry if isinstance(entry, list | tuple) and len(entry) == 2 else ()
    if not ends or not all(type(end) is int and 0 <= end < MOST_POINTS for end in ends):
        raise ValueError("expected a point, or the first and the last of some")
    return tuple(range(ends[0], ends[1] + 1))


Members = Annotated[tuple[Whole, ...], BeforeValidator(_members), Field(min_length=1)]


class LandmarkScheme(BaseModel):
    """One convention of landmarks; all indices are 0-based.

    `flip[i]` is the index whose mirrored point becomes point i:
    `mirrored = points[flip]` with x -> (width - 1 - x).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    count: Annotated[Count, Field(le=MOST_POINTS)]
    flip: tuple[Whole, ...] = Field(validation_alias="flip_permutation")
    groups: dict[str, tuple[Whole, Whole]] = Field(default_factory=dict)  # name -> (first, last), both included
    names: tuple[str, ...] = ()
    inter_ocular: tuple[Whole, Whole] | None = None
    inter_pupil: tuple[Members, Members] | None = None  # points whose mean is each pupil
    five: tuple[Members, ...] = Field((), validation_alias="five_alignment_points")  # means of these points
    begins_with: str | None = None  # scheme whose points are the first ones of this

    @model_validator(mode="after")
    def _fits(self):
        check_mirror(self.flip, self.count, "flip_permutation")
        if len(self.names) not in (0, self.count):
            raise AtKey("names", f"expected {self.count}, found {len(self.names)}")
        if len(self.five) not in (0, 5):
            raise AtKey("five_alignment_points", f"expected five, found {len(self.five)}")
        pupils = self.inter_pupil or ()
        used = {
            **{f"groups.{name}": ends for name, ends in self.groups.items()},
            "inter_ocular": self.inter_ocular or (),
            "inter_pupil": [point for members in pupils for point in members],
            "five_alignment_points": [point for members in self.five for point in members],
        }
        for key, points in used.items():
            if points and max(points) >= self.count:
                raise AtKey(key, f"expected points below {self.count}, found {max(points)}")
        return self

    def group(self, name: str) -> range:
        """Indices of a named group."""
        if name not in self.groups:
            raise ConfigError(f"{self.name} landmarks: no group {name!r}; expected one of {', '.join(self.groups)}")
        first, last = self.groups[name]
        return range(first, last + 1)

    def five_points(self, points: np.ndarray) -> np.ndarray:
        """(K, 2) landmarks -> (5, 2): eyes, nose tip, mouth corners; image-left before image-right."""
        return np.stack([points[list(members)].mean(axis=0) for members in self.five]).astype(points.dtype)

    def mirrored(self, points: np.ndarray, width: float) -> np.ndarray:
        """(K, 2) pixel points of the horizontally mirrored image of that width."""
        points = points[list(self.flip)].copy()
        points[:, 0] = width - 1 - points[:, 0]
        return points


def landmark_scheme(name: str | Mapping) -> LandmarkScheme:
    """Scheme by its name in `labels.yaml`, such as "300W" or "LaPa-106"; or the facts themselves, as one of the entries
    there with a `name` (the schemes of users' own data sets are kept that way). Raises ConfigError for an unknown name,
    and for facts that cannot be."""
    if isinstance(name, str):
        return _published_scheme(name)
    try:
        return LandmarkScheme.model_validate(name)
    except ValidationError as error:
        raise ConfigError(all_explained(error, root=LandmarkScheme, origin="landmark scheme")) from None


@cache
def _published_scheme(name: str) -> LandmarkScheme:
    schemes = facts()["landmarks"]
    if name not in schemes:
        raise ConfigError(f"landmark scheme {name!r} is unknown; expected one of {', '.join(schemes)}")
    return LandmarkScheme.model_validate({"name": name, **schemes[name]})


def flip_classes(parsing: str | Mapping) -> tuple[int, ...]:
    """Class permutation of a mirrored mask: class c of the original becomes class `flip_classes(...)[c]`.

    parsing: a published table ("CelebAMask-HQ", "LaPa"), or facts of the same form. Raises ConfigError for neither.
    """
    known = facts()["parsing"]
    entry = known.get(parsing) if isinstance(parsing, str) else parsing
    if not isinstance(entry, Mapping) or not isinstance(entry.get("flip_permutation"), list | tuple):
        expected = f"expected one of {', '.join(known)}, or flip_permutation"
        raise ConfigError(f"parsing scheme: {expected}, found {reprlib.repr(parsing)}")
    return tuple(entry["flip_permutation"])


def check_mirror(flip: Sequence[int], count: int, key: str) -> None:
    """Raise AtKey unless `flip` says of `count` points or classes what stands where in the mirror: two mirrors give
    what was there before."""
    places = range(count)
    if len(flip) != count or any(place not in places or flip[place] != own for own, place in enumerate(flip)):
        raise AtKey(key, f"expected the numbers below {count}, each in the place of its mirror image")


def alignment_template(name: str) -> np.ndarray:
    """(5, 2) alignment points, eyes, nose tip, mouth corners, in pixels of the picture that they are given for:
    "arcface_112x112", or "farl_512x512_before_scaling"."""
    return np.asarray(facts()["alignment_templates"][name]["xy"], np.float64)


CELEBA_40: tuple[str, ...] = tuple(facts()["binary_attributes"]["CelebA_40"])
LFW_73: tuple[str, ...] = tuple(facts()["binary_attributes"]["LFW_73"])
EXPRESSIONS: tuple[str, ...] = tuple(facts()["expression"]["unified_7"])
EXPRESSIONS_8: tuple[str, ...] = tuple(facts()["expression"]["unified_8"])
RAFDB_TO_UNIFIED: dict[int, int] = dict(facts()["expression"]["RAF-DB_raw_to_unified"])
CELEBAMASK_19: tuple[str, ...] = tuple(facts()["parsing"]["CelebAMask-HQ"]["faceptor_order"])
CELEBAMASK_TO_LAPA = np.array(facts()["parsing"]["CelebAMask-HQ"]["to_LaPa"], np.uint8)  # class -> class
LAPA_11: tuple[str, ...] = tuple(facts()["parsing"]["LaPa"]["faceptor_order"])
FACESYNTHETICS_19: tuple[str, ...] = tuple(facts()["parsing"]["FaceSynthetics"]["names"])
FACESYNTHETICS_IGNORE: int = facts()["parsing"]["FaceSynthetics"]["ignore"]  # value of pixels without a class
AGES: tuple[int, ...] = tuple(range(facts()["age_bins_dldl"]["first"], facts()["age_bins_dldl"]["last"] + 1))
GENDERS: tuple[str, ...] = tuple(facts()["demographics"]["UTKFace_gender"])
FACEXFORMER_RACES: tuple[str, ...] = tuple(facts()["demographics"]["FaceXFormer_race"])
UTKFACE_RACES: tuple[str, ...] = tuple(facts()["demographics"]["UTKFace_race"])
FAIRFACE_RACES: tuple[str, ...] = tuple(facts()["demographics"]["FairFace_race"])
FAIRFACE_RACE_TO_FACEXFORMER: tuple[int, ...] = tuple(facts()["demographics"]["FairFace_race_to_FaceXFormer"])
FAIRFACE_AGES: tuple[str, ...] = tuple(facts()["demographics"]["FairFace_age"])
AGE_DECADES: tuple[str, ...] = tuple(facts()["demographics"]["FaceXFormer_age_bins"])
DECADE_STARTS: tuple[int, ...] = tuple(facts()["demographics"]["FaceXFormer_age_bins_first_year"])
FAIRFACE_AGE_TO_DECADE: tuple[int, ...] = tuple(facts()["demographics"]["FairFace_age_to_FaceXFormer_bin"])
FFHQ_AGES: tuple[str, ...] = tuple(facts()["demographics"]["FFHQ_Aging_age_groups_unconfirmed_strings"])
FFHQ_AGE_TO_DECADE: tuple[int | None, ...] = tuple(facts()["demographics"]["FFHQ_Aging_age_to_FaceXFormer_bin"])
FERPLUS_VOTES: tuple[str, ...] = tuple(facts()["expression"]["FERPlus_vote_columns"])
FERPLUS_TO_UNIFIED: dict[int, int] = dict(facts()["expression"]["FERPlus_column_to_unified"])
VERIFICATION: dict[str, int] = {name: entry["pairs"] for name, entry in facts()["verification_sets"].items()}
MAX_JUDGED_ANGLE = 99.0  # degrees, of a head's pose: faces turned further are left out of evaluation, as the field does
