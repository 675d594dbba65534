"""Expressions as muscle actions, after the facial action coding system: what each one moves, in head units."""

from types import SimpleNamespace

from faceptor.synthesis.face import Face

# Displacements in head units unless said otherwise (positive = up, outward or open), of neutral, happy, sad, surprise,
# fear, disgust and anger, as in `labels.EXPRESSIONS`.
_FULL = {
    "inner_brow": (0.0, 0.0, 0.13, 0.15, 0.16, -0.07, -0.18),
    "outer_brow": (0.0, 0.01, -0.07, 0.15, 0.03, -0.02, 0.06),
    "squeeze": (0.0, 0.0, 0.03, 0.0, 0.06, 0.03, 0.1),  # brows pulled together
    "upper_lid": (0.0, 0.0, -0.25, 0.38, 0.42, -0.12, 0.0),  # share of eye height
    "lower_lid": (0.0, 0.3, 0.0, 0.0, 0.0, 0.45, 0.35),  # share of eye height by which the lower lid rises
    "cheek": (0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0),  # 0..1
    "nose": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.3),  # nose wrinkling, 0..1
    "upper_lip": (0.0, 0.03, 0.0, 0.04, 0.01, 0.09, 0.05),  # middle of the upper lip raised
    "lower_lip": (0.0, 0.07, -0.03, 0.13, 0.09, -0.01, 0.13),  # middle of the lower lip lowered (negative: pushed up)
    "corner_up": (0.0, 0.12, -0.12, -0.06, -0.09, -0.05, -0.08),
    "stretch": (0.0, 0.12, -0.02, -0.11, 0.12, 0.0, -0.03),  # corners outward
    "jaw": (0.0, 0.05, 0.0, 0.3, 0.12, 0.0, 0.16),  # chin lowered
    "press": (0.0, 0.0, 0.15, 0.0, 0.0, 0.0, 0.45),  # lips rolled in, 0..1
    "teeth": (0.0, 0.9, 0.0, 0.0, 0.3, 0.85, 0.5),  # share of the opening filled by upper teeth
    "lower_teeth": (0.0, 0.0, 0.0, 0.0, 0.8, 0.0, 1.0),
}


def action_of(face: Face) -> SimpleNamespace:
    """The face's expression at its intensity, plus talking (`mouth_open`) unless the lips are pressed: a number for
    each row of the table."""
    full = {name: amounts[face.expression] for name, amounts in _FULL.items()}
    scaled = {name: amount * face.intensity for name, amount in full.items()}
    talk = face.mouth_open * (1.0 - min(1.0, full["press"] + 0.7 * (full["jaw"] > 0.2)))
    scaled["jaw"] += 0.16 * talk
    scaled["lower_lip"] += 0.10 * talk
    scaled["upper_lip"] += 0.015 * talk
    scaled["teeth"] = max(full["teeth"], 0.4 * (talk > 0))
    scaled["lower_teeth"] = full["lower_teeth"]
    return SimpleNamespace(**scaled)
