"""Where the faces of a photograph are: a detector that needs no download. Boxes are face boxes, (x1, y1, x2, y2), as
`faceptor.transforms.framing` has them.

The detector is the cascade of local binary patterns that ships with scikit-image. Alone it also fires on clouds and
cups, so every candidate must be found again in altered copies (mirrored, turned, blurred, with noise) and must have
detail at the scale of eyes and mouth. Near-frontal faces of 5 % of the picture's longer side and more are found, turned
in the picture by up to 30 degrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import cv2
import numpy as np

from faceptor.transforms.geometry import rotation

# The cascade's window in the same proportions: averaged over a hundred small faces (and the same on a sharp
# photograph) the eyes lie at 0.35 of its height, the brows at 0.21, the chin at 1.06, the cheeks at 0.06 and 0.94.
CASCADE_CENTRE, CASCADE_SIDE = (0.5, 0.635), 0.88

WINDOW = 24  # pixels, the smallest face the cascade can see
# One after the other until a face is found: the longer side of the searched picture, how far it is turned in degrees
# (the cascade itself stands about 12 either way), and what is added to the score asked for: every further look is
# another chance to be fooled, and turned pictures without faces reach 0.92.
SEARCHES = ((640, (0,), 0.0), (640, (22, -22), 0.25), (1280, (0,), 0.0))
PATCH, PATCH_FACE = 128, 64  # altered copies: side of the patch and of the face in it, pixels
HITS_PER_COPY = 4  # that count as "found again" in one altered copy; more add nothing
MAX_CANDIDATES = 40  # of the first search, the best supported
MIN_SUPPORT = 3  # windows of the first search that must agree
MIN_SCORE = 0.7  # of a hundred 25-pixel faces 94 pass; photographs without faces reach 0.62
MIN_DETAIL = 0.17  # faces have 0.20 and more, smooth blobs 0.14 and less


@dataclass(frozen=True)
class Detection:
    """box: (4,) float64 face box; score in [0, 1]: share of the altered copies that show the face too.

    roll: degrees by which the face is turned about the box's centre, from x towards y (clockwise as seen).
    """

    box: np.ndarray
    score: float
    roll: float = 0.0


# --- boxes -----------------------------------------------------------------------------------------------------------


def face_box_of_cascade(window: np.ndarray) -> np.ndarray:
    """Face box (4,) from a window (x1, y1, x2, y2) of the cascade."""
    window = np.asarray(window, np.float64)
    side = window[2:] - window[:2]
    centre = window[:2] + np.array(CASCADE_CENTRE) * side
    return np.concatenate([centre - CASCADE_SIDE * side / 2, centre + CASCADE_SIDE * side / 2])


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with boxes (n, 4)."""
    size = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    return size / (np.prod(box[2:] - box[:2]) + (boxes[:, 2:] - boxes[:, :2]).prod(1) - size)


# --- detection -------------------------------------------------------------------------------------------------------


def detect_faces(image: np.ndarray, *, min_score: float = MIN_SCORE) -> list[Detection]:
    """Faces of an (H, W, 3) or (H, W) uint8 image, largest first; an empty list if there is none."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else np.ascontiguousarray(image)
    longer = max(grey.shape)
    grown = max(1.0, 4 * WINDOW / min(grey.shape))  # so that a face that fills a small picture is a few windows wide
    for side, turns, extra in SEARCHES:
        if side > SEARCHES[0][0] and grown * longer <= SEARCHES[0][0]:
            continue  # seen at full size already
        scale = min(side / longer, grown)
        shrunk = _resized(grey, scale)
        tries = {roll: _search(_turned(shrunk, roll), min_score + extra) for roll in turns}
        roll, found = max(tries.items(), key=lambda item: max((one.score for one in item[1]), default=0))
        if found:
            return [_placed_back(one, grey.shape, scale, roll) for one in found]
    return []


def _turned(grey: np.ndarray, roll: float) -> np.ndarray:
    """The picture turned about its centre by -roll degrees, so that faces turned by roll stand upright."""
    if roll == 0:
        return grey
    height, width = grey.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), roll, 1)  # its angles run against ours
    return cv2.warpAffine(grey, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _placed_back(found: Detection, shape: tuple[int, int], scale: float, roll: float) -> Detection:
    """From the scaled and turned picture to the original's pixels."""
    centre, half = (found.box[:2] + found.box[2:]) / 2, (found.box[2] - found.box[0]) / 2
    height, width = (round(n * scale) for n in shape)
    middle = np.array([width - 1, height - 1]) / 2
    centre = (rotation(np.deg2rad(roll)) @ (centre - middle) + middle + 0.5) / scale - 0.5
    return Detection(np.concatenate([centre - half / scale, centre + half / scale]), found.score, float(roll))


def _search(grey: np.ndarray, min_score: float) -> list[Detection]:
    margin = min(grey.shape) // 6  # a face may touch the frame
    padded = cv2.copyMakeBorder(grey, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    hits = _hits(padded, WINDOW, min(padded.shape), 1.1)
    groups = sorted((g for g in _groups(hits) if len(g) >= MIN_SUPPORT), key=len, reverse=True)[:MAX_CANDIDATES]
    judged = [_judge(padded, np.median(group, axis=0)) for group in groups]
    sure = [(window, score) for window, score in judged if score >= min_score and _detail(padded, window) >= MIN_DETAIL]
    found = [Detection(face_box_of_cascade(window - margin), score) for window, score in sure]
    return sorted(_distinct(found), key=lambda d: d.box[2] - d.box[0], reverse=True)


@cache
def _cascade():
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _hits(grey: np.ndarray, smallest: int, largest: int, growth: float) -> np.ndarray:
    """(n, 4) windows in which the cascade sees a face, unmerged."""
    if min(grey.shape) <= WINDOW:
        return np.zeros((0, 4))
    found = _cascade().detect_multi_scale(
        grey, scale_factor=growth, step_ratio=1, min_size=(smallest, smallest), max_size=(largest, largest),
        min_neighbor_number=1, intersection_score_threshold=1.01,  # above 1: its own merging loses the counts
    )  # fmt: skip
    return np.array([(d["c"], d["r"], d["c"] + d["width"], d["r"] + d["height"]) for d in found], float).reshape(-1, 4)


def _groups(boxes: np.ndarray, least: float = 0.4) -> Iterator[np.ndarray]:
    """Boxes that overlap one another, the best supported group first."""
    while len(boxes):
        near = np.stack([overlap(box, boxes) for box in boxes]) > least
        members = near[near.sum(1).argmax()]
        yield boxes[members]
        boxes = boxes[~members]


def _judge(grey: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, float]:
    """Look again in altered copies: the median window of what is seen there, and the score."""
    centre, scale = (window[:2] + window[2:]) / 2, PATCH_FACE / (window[2] - window[0])
    expected = np.array([PATCH - PATCH_FACE] * 2 + [PATCH + PATCH_FACE] * 2) / 2
    smooth = grey if scale > 0.8 else cv2.GaussianBlur(grey, (0, 0), 0.4 / scale)
    votes, seen = [], []
    copies = list(product(ALTERED, (-8, 8), (1, -1)))
    for number, (alter, degrees, mirror) in enumerate(copies, start=1):
        a = rotation(np.deg2rad(degrees)) * scale * [mirror, 1]
        shift = PATCH / 2 - a @ centre
        patch = cv2.warpAffine(smooth, np.c_[a, shift], (PATCH, PATCH), borderMode=cv2.BORDER_REPLICATE)
        hits = _hits(alter(patch), 46, 90, 1.08)
        hits = hits[overlap(expected, hits) > 0.4]
        votes.append(min(len(hits), HITS_PER_COPY))
        if len(hits):
            back = ((hits[:, :2] + hits[:, 2:]) / 2 - shift) @ np.linalg.inv(a).T
            half = (hits[:, 2:] - hits[:, :2]) / 2 / scale
            seen.append(np.hstack([back - half, back + half]))
        if number == 4 and sum(votes) < number * HITS_PER_COPY / 3:  # most candidates fail at once
            break
    score = sum(votes) / (HITS_PER_COPY * len(copies))
    return (np.median(np.concatenate(seen), axis=0) if seen else window), score


def _noisy(amount: float):
    noise = np.random.default_rng(0).normal(0, amount, (PATCH, PATCH))
    return lambda patch: np.clip(patch + noise, 0, 255).astype(np.uint8)


ALTERED = (lambda patch: patch, lambda patch: cv2.GaussianBlur(patch, (0, 0), 1.5), _noisy(4), _noisy(8))


def _detail(grey: np.ndarray, window: np.ndarray) -> float:
    """Contrast at the scale of eyes and mouth, as a share of all contrast in the window."""
    x1, y1, x2, y2 = np.clip(np.rint(window), 0, [*grey.shape[::-1]] * 2).astype(int)
    face = cv2.resize(grey[y1:y2, x1:x2], (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    band = cv2.GaussianBlur(face, (0, 0), 2) - cv2.GaussianBlur(face, (0, 0), 5)
    return float(band[10:54, 10:54].std() / max(face.std(), 1e-6))


def _distinct(found: list[Detection]) -> list[Detection]:
    """Of overlapping faces, or one inside another, the surest (the larger if equally sure)."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda d: (round(d.score, 2), d.box[2] - d.box[0]), reverse=True):
        centre = (one.box[:2] + one.box[2:]) / 2
        inside = any((other.box[:2] < centre).all() and (centre < other.box[2:]).all() for other in kept)
        if not inside and not any(overlap(one.box, other.box[None])[0] > 0.2 for other in kept):
            kept.append(one)
    return kept


def _resized(grey: np.ndarray, scale: float) -> np.ndarray:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if scale == 1:
        return grey
    if min(grey.shape) * scale < 1:  # a strip: its short side stays one pixel wide
        return cv2.resize(grey, tuple(max(1, round(side * scale)) for side in grey.shape[::-1]), interpolation=method)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=method)
