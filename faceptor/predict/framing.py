"""How much around a face a task's training pictures show, measured on them (see `faceptor.transforms.framing`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from faceptor.datasets.labels import landmark_scheme
from faceptor.datasets.subset import spread
from faceptor.errors import DataError
from faceptor.predict.detector import detect_faces, detector_version
from faceptor.tasks.base import TaskSpec
from faceptor.transforms import crop as cropping
from faceptor.transforms import framing as framings
from faceptor.transforms import geometry
from faceptor.transforms.crop import CropSpec, PlacedCrop
from faceptor.transforms.framing import Framing, face_box_of_points5, framing_of, square
from faceptor.transforms.geometry import transform

MIN_LOCATED = 5  # pictures with a known face box that a measurement needs


def measure_framing(spec: TaskSpec, split: Sequence, crop: CropSpec, *, limit: int = 60) -> Framing | None:
    """Median framing over up to `limit` evenly spaced samples of a prepared split, cut as `crop` cuts them.

    The face box comes from the first label that tells it (landmarks, five points, class map), else from the detector.
    None if too few samples show a face: pictures this small or this drawn are no photographs.
    """
    edges = []
    for index in spread(len(split), limit):
        sample = split[index]
        face = face_box(spec, sample)
        if face is not None:
            placed = crop.place_sample(sample)
            edges.append(framing_of(_seen(placed), face).to_list())
    return Framing(*np.median(edges, axis=0).tolist()) if len(edges) >= min(MIN_LOCATED, len(split)) else None


def _seen(crop: PlacedCrop) -> np.ndarray:
    """The rectangle (4,) of the image that a crop shows before its warp; of a turned crop its upright likeness."""
    low, high = -0.5, crop.size - 0.5
    frame = np.array([[low, low], [high, low], [low, high], [high, high]])
    corners = transform(frame, np.linalg.inv(crop.matrix))
    half = np.array([np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[0])]) / 2
    return np.concatenate([corners.mean(0) - half, corners.mean(0) + half])


def _of_landmarks(spec: TaskSpec, sample: Mapping) -> np.ndarray | None:
    scheme = _SCHEMES.get(len(sample["landmarks"]))
    if scheme is None:
        return None
    points, facts = np.asarray(sample["landmarks"], np.float64), landmark_scheme(scheme)
    if not {"jaw", "contour"}.isdisjoint(facts.groups):
        return square(np.concatenate([points.min(0), points.max(0)]))
    return face_box_of_points5(facts.five_points(points))


def _of_points5(spec: TaskSpec, sample: Mapping) -> np.ndarray:
    return face_box_of_points5(sample["points5"])


def _of_mask(spec: TaskSpec, sample: Mapping) -> np.ndarray | None:
    """From the brows down to the chin, as wide as the skin between."""
    mask, names = np.asarray(sample["mask"]), spec.labels
    brows = np.isin(mask, [i for i, name in enumerate(names) if name in ("lb", "rb")])
    skin = np.isin(mask, [i for i, name in enumerate(names) if name.startswith("face")])
    if not brows.any() or not skin.any():
        return None
    top = np.flatnonzero(brows.any(1))[0]
    rows, columns = (np.flatnonzero(skin[top:].any(axis)) for axis in (1, 0))
    return square(np.array([columns[0], top, columns[-1], top + rows[-1]])) if len(rows) else None


def _of_detector(spec: TaskSpec, sample: Mapping) -> np.ndarray | None:
    found = detect_faces(np.asarray(sample["image"]))
    return found[0].box if found else None


_NAMES = ("300W", "WFLW", "COFW", "AFLW-19", "LaPa-106", "FaceSynthetics")
_SCHEMES = {landmark_scheme(name).count: name for name in _NAMES}
_SOURCES = {"landmarks": _of_landmarks, "points5": _of_points5, "mask": _of_mask, "image": _of_detector}


def face_box(spec: TaskSpec, sample: Mapping) -> np.ndarray | None:
    """Face box of a sample from the first source that it has."""
    return _SOURCES[face_source(sample)](spec, sample)


def face_source(sample: Mapping) -> str:
    """By what the face of a sample is found: "landmarks", "points5", "mask", or "image": by the detector."""
    source = next((name for name in _SOURCES if sample.get(name) is not None), None)
    if source is None:
        raise DataError(f"{sample.get('key', '?')}: no landmarks, points5, mask or image to find the face by")
    return source


@cache
def framing_version() -> str:
    """Of all code that a measurement depends on, the detector's included: a hash, 16 hexadecimal digits."""
    files = [Path(__file__), *(Path(module.__file__ or "") for module in (cropping, framings, geometry))]
    code = [file.read_bytes() for file in files]
    return hashlib.sha256(b"\0".join([*code, detector_version().encode()])).hexdigest()[:16]
