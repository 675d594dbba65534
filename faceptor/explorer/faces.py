"""What is looked at: faces drawn on the spot, and photographs that are uploaded or lie on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from faceptor.datasets.labels import EXPRESSIONS
from faceptor.errors import DataError
from faceptor.predict.detector import Detection, detect_faces
from faceptor.predict.photographs import Photo
from faceptor.predict.predictor import open_photo, photo_of
from faceptor.synthesis.draw import render
from faceptor.synthesis.face import sample_face
from faceptor.synthesis.writers.layout import person
from faceptor.transforms.framing import square

SIDE = 256  # pixels of a drawn picture
FIRST_PERSON = 1 << 23  # of the test people of a data set; no data set draws so many, so no model has seen these
PEOPLE = 500
MAX_SIDE = 1280  # of a photograph, in pixels: as much as the detector uses; every further pixel only costs time


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its faces.

    pixels  (H, W, 3) uint8 RGB
    faces   where they are, largest first; boxes in these pixels
    drawn   by this program; else it is a photograph
    about   one line for people
    """

    name: str
    pixels: np.ndarray
    faces: tuple[Detection, ...]
    drawn: bool
    about: str


def drawn_picture(number: int, seed: int = 1) -> Picture:
    """The face of test person `number` (from 0, below PEOPLE), whom no data set holds; the same face every time."""
    face = sample_face(seed, identity=person("300w", "test", FIRST_PERSON + number))
    portrait = render(face, size=(SIDE, SIDE))
    points = portrait.landmarks["68"].astype(np.float64)
    box = square(np.concatenate([points.min(0), points.max(0)]))
    truth = f"{portrait.age:.0f} years, {EXPRESSIONS[portrait.expression].replace('_', ' ')}"
    about = f"drawn face {number}: {truth}, {turned(portrait.pose[0])}"
    return Picture(f"drawn face {number}", portrait.image, (Detection(box, 1.0),), True, about)


def turned(yaw: float) -> str:
    """Which way a head looks, as seen. yaw: degrees, positive to the left of the picture."""
    side = "left" if yaw > 0 else "right"
    return "frontal" if abs(yaw) < 5 else f"turned {abs(yaw):.0f}° to the {side}"


def uploaded_picture(data: bytes, name: str) -> Picture:
    """A photograph from its encoded bytes. DataError, one line, for what is no picture, too large or without a face."""
    return _picture(photo_of(data, name), name)


def picture_at(path: str | Path) -> Picture:
    """A photograph from its file, likewise."""
    return _picture(open_photo(path)[0], Path(path).name)


def _picture(photo: Photo, name: str) -> Picture:
    pixels = photo.pixels
    scale = MAX_SIDE / max(pixels.shape[:2])
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in pixels.shape[1::-1])
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    faces = tuple(detect_faces(pixels))
    if not faces:
        raise DataError(
            f"{name}: no face found (the detector sees faces of 2 % of the picture's longer side and more); "
            "give another photograph"
        )
    reduced = f", looked at with {pixels.shape[1]} x {pixels.shape[0]}" if pixels.shape[:2] != photo.size else ""
    found = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    about = f"{name}: a photograph of {photo.size[1]} x {photo.size[0]} pixels{reduced}, {found}"
    return Picture(name, pixels, faces, False, about)
