"""Where eyes, brows, nose and mouth lie: curves in the frontal plane of the head that are drawn and labelled."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from faceptor.synthesis.head import Head
from faceptor.synthesis.identity import clip

MIRROR = np.array([-1.0, 1.0])
EYE_POINTS, LIP_POINTS = 9, 13
LIP_SEAM = 0.94
"""Where the inner lip line ends, as a share of the mouth's half width."""

_EYE_S = np.linspace(-1, 1, EYE_POINTS)  # -1 = outer corner, 1 = inner
_EYE_ARC = (1 - np.abs(_EYE_S) ** 2.2) ** 0.8
_BROW_T = np.linspace(0, 1, EYE_POINTS)  # outer to inner end
_BROW_ARCH = np.sin(np.pi * np.clip(_BROW_T * 0.95, 0, 1)) ** 1.2
_LIP_S = np.linspace(-1, 1, LIP_POINTS)
_LIP_FULL = 1 - _LIP_S**2
_CUPID = np.interp(np.abs(_LIP_S), [0, 0.2, 0.35, 1], [0.86, 1.0, 0.93, 0.0])

Pair = tuple[np.ndarray, np.ndarray]
"""The same curve on the image-left and the image-right side; both run from image-left to image-right."""


def at_shares(curve: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """(K, 2) points of a curve of evenly numbered points at `shares` (0..1) of its length in points."""
    left, beyond = _steps(shares, len(curve))
    start = curve.take(left, axis=0)
    return start + beyond * (curve.take(left + 1, axis=0) - start)


@cache
def _steps(shares: tuple[float, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    """(K,) the point of `count` before each share, and (K, 1) how far beyond that the share lies."""
    position = np.array(shares) * (count - 1)
    left = np.minimum(position.astype(int), count - 2)
    return left, (position - left)[:, None]


def loop(upper: np.ndarray, lower: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Closed outline as annotated: from the image-left corner along `upper`, then back along `lower`."""
    return np.concatenate([upper[:1], at_shares(upper, shares), upper[-1:], at_shares(lower, shares[::-1])])


def ring(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Closed polygon between two curves of the same direction."""
    return np.concatenate([upper, lower[::-1]])


def _both(curve: np.ndarray) -> Pair:
    return curve, (curve * MIRROR)[::-1]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Curves (N, 2) in head units: x to image-right, y down, origin between the eyes at eye height."""

    eye_width: float  # half the distance of an eye's corners
    eye_open: float  # height of the opening at its middle; negative or tiny when closed
    upper_lid: Pair
    lower_lid: Pair
    pupil: Pair  # (2,) each
    brow_top: Pair
    brow_low: Pair
    ridge: np.ndarray  # (4, 2) from between the eyes to the nose tip
    nose_base: np.ndarray  # (5, 2) below the nostrils
    nose_side: np.ndarray  # (5, 2) image-left side from the eye to below the nostril
    mouth_gap: float  # opening between the lips
    teeth: float  # share of the opening filled by upper teeth
    lip_top: np.ndarray  # (13, 2) upper edge of the upper lip, and so on downwards
    seam_upper: np.ndarray
    seam_lower: np.ndarray
    lip_bottom: np.ndarray

    @classmethod
    def of(cls, head: Head) -> "Features":
        return cls(**_eyes(head), **_brows(head), **_nose(head), **_mouth(head))

    def eye(self, side: int, shares: tuple[float, ...]) -> np.ndarray:
        """Outline of an eye; `shares` are the places of the points between the corners."""
        return loop(self.upper_lid[side], self.lower_lid[side], shares)

    def eye_ring(self, side: int) -> np.ndarray:
        return ring(self.upper_lid[side], self.lower_lid[side])

    def brow(self, side: int) -> np.ndarray:
        """(9, 2) outline in WFLW order: five points along the top from image-left, then back along the lower edge."""
        top, low = self.brow_top[side][::2], self.brow_low[side][::2]
        if side == 0:  # the pointed end is the outer one
            return np.concatenate([(top[:1] + low[:1]) / 2, top[1:], low[::-1][:4]])
        return np.concatenate([top[:4], (top[-1:] + low[-1:]) / 2, low[::-1][1:]])

    def brow_line(self, side: int) -> np.ndarray:
        """(5, 2) points along the middle of a brow, as 300W marks it."""
        return (0.55 * self.brow_top[side] + 0.45 * self.brow_low[side])[::2]


def _eyes(head: Head) -> dict:
    face, p, a = head.face, head.face.person, head.action
    width = 0.205 + 0.012 * p.eye_size
    ageing = (1 + 0.2 * head.child + 0.12 * face.youth) * (1 - 0.15 * head.aged)
    height = (0.078 + 0.009 * p.eye_size + 0.016 * p.eye_open) * ageing
    up = max(0.012, height * (1 + 0.9 * a.upper_lid))
    low = max(0.01, 0.75 * height * (1 - 0.9 * a.lower_lid))
    if face.eyes_closed:  # both lids meet on the lower one
        up, low = -0.03, 0.045
    y = 0.02 + 0.015 * p.eye_height
    tilt = (0.05 + 0.03 * p.eye_tilt) * width
    x, level = _EYE_S * width - head.eye_x, y - tilt * (1 - _EYE_S)
    middle = y - tilt + (low - up) * 0.3
    gaze = np.array([0.07 * clip(face.gaze_x, -1, 1), 0.03 * face.gaze_y])
    return {
        "eye_width": width,
        "eye_open": up + low,
        "upper_lid": _both(np.stack([x, level - up * _EYE_ARC], 1)),
        "lower_lid": _both(np.stack([x, level + low * _EYE_ARC], 1)),
        "pupil": (np.array([-head.eye_x, middle]) + gaze, np.array([head.eye_x, middle]) + gaze),
    }


def _brows(head: Head) -> dict:
    p, a = head.face.person, head.action
    width = 0.205 + 0.012 * p.eye_size
    t = _BROW_T
    half = width * (1.32 + 0.08 * p.brow_length)
    level = -0.25 + 0.015 * p.eye_height - 0.02 * p.brow_height
    rise = a.outer_brow * (1 - t) + a.inner_brow * t
    arch = (0.055 + 0.034 * p.brow_arch) * _BROW_ARCH * (1.25 - 0.5 * t)
    x = -head.eye_x + half * (1.9 * t - 0.98) + a.squeeze * t
    y = level - rise - arch + (0.02 + 0.02 * p.brow_tilt) * (t - 0.5) + 0.03 * (1 - t)
    thick = (0.046 + 0.018 * p.brow_thickness) * (0.35 + 0.65 * np.minimum(1, t * 2.2))
    return {"brow_top": _both(np.stack([x, y - thick], 1)), "brow_low": _both(np.stack([x, y + thick], 1))}


def _nose(head: Head) -> dict:
    n = head.nose
    wing, base = n.wing_x + 0.06, n.base_y
    across = [-0.13, -0.17, -wing, -wing * 0.8, -wing * 0.42]
    down = [0.06, n.wing_y - 0.16, n.wing_y + 0.01, base - 0.01, base + 0.01]
    below = np.array([[-0.85, -0.03], [-0.42, 0.005], [0, 0.025], [0.42, 0.005], [0.85, -0.03]])
    return {
        "ridge": np.stack([np.zeros(4), np.linspace(0.03, n.tip_y, 4)], 1),
        "nose_base": below * [wing, 1.0] + [0.0, base],
        "nose_side": np.stack([across, down], 1),
    }


def _mouth(head: Head) -> dict:
    p, a = head.face.person, head.action
    half = 0.345 + 0.028 * p.mouth_width + a.stretch
    corner = head.mouth_y - a.corner_up
    rolled = 1 - 0.55 * a.press  # pressed lips roll inwards and look thin
    upper, lower = (0.095 + 0.027 * p.lip_upper) * rolled, (0.115 + 0.03 * p.lip_lower) * rolled
    seam_upper = head.mouth_y - a.upper_lip
    seam_lower = max(head.mouth_y - min(0.0, a.upper_lip) + a.lower_lip + 0.55 * a.jaw, seam_upper)
    x = _LIP_S * half
    top = corner + (seam_upper - corner) * _LIP_FULL
    bottom = np.maximum(corner + (seam_lower - corner) * _LIP_FULL, top)
    return {
        "mouth_gap": max(0.0, a.upper_lip) + max(0.0, a.lower_lip) + 0.5 * a.jaw,
        "teeth": a.teeth,
        "lip_top": np.stack([x, top - upper * _CUPID], 1),
        "seam_upper": np.stack([x * LIP_SEAM, top], 1),
        "seam_lower": np.stack([x * LIP_SEAM, bottom], 1),
        "lip_bottom": np.stack([x, bottom + lower * _LIP_FULL**0.8], 1),
    }
