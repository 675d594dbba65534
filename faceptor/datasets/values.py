"""Small checks and rules that all readers share: text that can be shown, numbers that can be used, boxes, draws.

What cannot be used is a `BadSample`. Points and boxes as in `faceptor.datasets.reader`, which hands all of this on.
"""

import hashlib
import math
import re
from collections.abc import Iterable

import numpy as np

MAX_COORDINATE = 1e6  # pixels; no published image is a hundredth as large
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # characters that end a line or steer a terminal
MAX_TEXT_CHARACTERS = 400  # characters of a key, a place or a reason in the list of rejects


class BadSample(Exception):
    """One sample cannot be used; readers turn it into a Reject."""


def printable(text: str) -> str:
    """One line of text that can be stored as UTF-8: bytes that were not UTF-8 and line ends appear as \\xNN."""
    try:
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a character that takes two codes
        text = text.encode("utf-8", "backslashreplace").decode()
    return CONTROL_CHARACTERS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def brief(text: str) -> str:
    """As `printable`, and not longer than a message should be: hostile names have thousands of characters."""
    text = printable(text)
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    return f"{text[: MAX_TEXT_CHARACTERS - 40]} ... ({len(text)} characters)"


def number(text: str | bytes) -> float:
    """A finite float, else BadSample. Other digits than 0..9 and the `_` of Python's own notation are no numbers."""
    try:
        if not text.isascii() or ("_" if isinstance(text, str) else b"_") in text:
            raise ValueError
        value = float(text)
    except ValueError:
        raise BadSample(f"expected a number, found {text[:40]!r}") from None
    if not math.isfinite(value):
        raise BadSample(f"expected a finite number, found {text[:40]!r}")
    return value


def integer(text: str | bytes, *, low: int, high: int, what: str) -> int:
    """A whole number in [low, high], else BadSample. Accepts "3" and "3.0"."""
    value = number(text)
    if value != int(value) or not low <= value <= high:
        raise BadSample(f"{what}: expected a whole number in {low}..{high}, found {text[:40]!r}")
    return int(value)


def points(values: Iterable, count: int) -> np.ndarray:
    """(count, 2) float32 from x, y pairs; BadSample when there are more, fewer or not all are finite."""
    xy = np.asarray(values, np.float64).reshape(-1, 2)
    if len(xy) != count:
        raise BadSample(f"expected {count} points, found {len(xy)}")
    if not np.isfinite(xy).all():
        raise BadSample("a coordinate is not finite")
    if np.abs(xy).max(initial=0) > MAX_COORDINATE:
        raise BadSample(f"a coordinate is beyond {MAX_COORDINATE:.0f} pixels")
    return xy.astype(np.float32)


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """(4,) float32; BadSample for numbers that are no coordinates."""
    return points([x1, y1, x2, y2], 2).ravel()


def landmark_box(xy: np.ndarray) -> np.ndarray:
    """Square box of landmarks: whole-pixel bounds, their centre, the longer side. (4,) float32.

    This is the rule behind the `scale` and `center` columns of the csv lists used for 300W, WFLW and COFW.
    """
    return square(np.floor(xy.min(axis=0)), np.ceil(xy.max(axis=0)))


def square(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(4,) float32: the square of the longer side about the middle of the box from `low` to `high`, both (2,)."""
    centre, half = (low + high) / 2, (high - low).max() / 2
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def share(seed: int, text: str) -> float:
    """A number in [0, 1) that depends on seed and text alone: the coin of every seeded split."""
    digest = hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
