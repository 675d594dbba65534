"""Colours of skin, hair, eyes and things worn, RGB 0..255."""

from dataclasses import dataclass

import numpy as np

from faceptor.synthesis.face import Face
from faceptor.synthesis.identity import clip

# Skin from very light to very dark, at equal steps of `Identity.skin`.
_SKIN = np.array([[250, 218, 196], [236, 190, 158], [206, 150, 112], [156, 104, 72], [104, 66, 46], [74, 47, 35]])
_SKIN_STEPS = np.linspace(0, 1, len(_SKIN))
_HAIR = {"black": (30, 26, 26), "brown": (92, 60, 38), "blond": (214, 178, 112), "red": (156, 74, 34)}
_GREY_HAIR, _GREY_BROW = np.array([196.0, 196.0, 198.0]), np.array([105.0, 103.5, 102.0])
_WHITE_BROW = np.array([172.0, 170.0, 166.0])
_LIPS = np.array([170.0, 56.0, 62.0])
_LIPSTICKS = np.array([[190, 22, 44], [150, 20, 60], [214, 60, 90]], float)
IRIS = {
    "dark brown": (52, 32, 22),
    "brown": (112, 70, 36),
    "blue": (84, 130, 178),
    "green": (92, 128, 84),
    "grey": (124, 136, 144),
}
FRAMES = ((20, 20, 24), (90, 60, 36), (150, 150, 156), (120, 24, 36))
THIN_FRAME = 2  # the metal one
CLOTHES = ((40, 46, 64), (150, 40, 44), (60, 110, 80), (190, 186, 176), (70, 90, 150), (30, 30, 32), (170, 130, 70))
TIES = ((150, 24, 34), (26, 44, 110), (60, 20, 70), (20, 80, 60))


@dataclass(frozen=True, kw_only=True)
class Palette:
    """(3,) float colours of one face."""

    skin: np.ndarray
    shadow: np.ndarray  # creases and hollows of the skin
    light: np.ndarray  # what swells beside a crease
    hair: np.ndarray
    brow: np.ndarray
    lips: np.ndarray

    @classmethod
    def of(cls, face: Face) -> "Palette":
        p = face.person
        skin = np.array([np.interp(p.skin, _SKIN_STEPS, channel) for channel in _SKIN.T])
        skin = skin * (1 + 0.02 * p.skin_hue * np.array([1, -0.3, -1]))
        skin = skin + 0.3 * face.aged * (0.95 * skin.mean() - skin)  # skin turns sallow and lips fade with the years
        base = np.array(_HAIR[face.hair_colour], float)
        hair = base + 0.92 * face.grey * (_GREY_HAIR - base)
        brow = 0.75 * base * (1 - 0.5 * face.grey) + 0.5 * face.grey * _GREY_BROW
        brow = brow + clip(2.5 * (face.aged - 0.75), 0.0, 0.8) * (_WHITE_BROW - brow)  # from the late fifties on
        lips = skin + (0.45 + 0.2 * face.youth - 0.32 * face.aged) * (_LIPS - skin)
        if face.lipstick:
            lips = 0.2 * skin + 0.8 * _LIPSTICKS[face.texture % len(_LIPSTICKS)]
        return cls(skin=skin, shadow=0.55 * skin, light=1.25 * skin + 20, hair=hair, brow=brow, lips=lips)


def hat_colour(face: Face) -> np.ndarray:
    return np.array(CLOTHES[(face.texture // 7) % len(CLOTHES)], float)
