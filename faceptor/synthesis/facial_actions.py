"""Expressions as muscle actions, after the facial action coding system: what each one moves, in head units."""

from dataclasses import dataclass, fields

from faceptor.synthesis.face import Face


@dataclass(frozen=True)
class Action:
    """Displacements in head units unless said otherwise; positive = up, outward or open."""

    inner_brow: float = 0.0
    outer_brow: float = 0.0
    squeeze: float = 0.0  # brows pulled together
    upper_lid: float = 0.0  # share of eye height
    lower_lid: float = 0.0  # share of eye height by which the lower lid rises
    cheek: float = 0.0  # 0..1
    nose: float = 0.0  # nose wrinkling, 0..1
    upper_lip: float = 0.0  # middle of the upper lip raised
    lower_lip: float = 0.0  # middle of the lower lip lowered (or pushed up when negative)
    corner_up: float = 0.0
    stretch: float = 0.0  # corners outward
    jaw: float = 0.0  # chin lowered
    press: float = 0.0  # lips rolled in, 0..1
    teeth: float = 0.0  # share of the opening filled by upper teeth
    lower_teeth: float = 0.0


ACTIONS: tuple[Action, ...] = (
    Action(),
    Action(
        lower_lid=0.3,
        cheek=1.0,
        upper_lip=0.03,
        lower_lip=0.07,
        corner_up=0.12,
        stretch=0.12,
        jaw=0.05,
        teeth=0.9,
        outer_brow=0.01,
    ),
    Action(
        inner_brow=0.13,
        outer_brow=-0.07,
        squeeze=0.03,
        upper_lid=-0.25,
        corner_up=-0.12,
        stretch=-0.02,
        lower_lip=-0.03,
        press=0.15,
    ),
    Action(
        inner_brow=0.15,
        outer_brow=0.15,
        upper_lid=0.38,
        upper_lip=0.04,
        lower_lip=0.13,
        stretch=-0.11,
        jaw=0.30,
        corner_up=-0.06,
    ),
    Action(
        inner_brow=0.16,
        outer_brow=0.03,
        squeeze=0.06,
        upper_lid=0.42,
        stretch=0.12,
        corner_up=-0.09,
        upper_lip=0.01,
        lower_lip=0.09,
        jaw=0.12,
        teeth=0.3,
        lower_teeth=0.8,
    ),
    Action(
        inner_brow=-0.07,
        outer_brow=-0.02,
        squeeze=0.03,
        upper_lid=-0.12,
        lower_lid=0.45,
        cheek=0.5,
        nose=1.0,
        upper_lip=0.09,
        lower_lip=-0.01,
        corner_up=-0.05,
        stretch=0.0,
        teeth=0.85,
    ),
    Action(
        inner_brow=-0.18,
        outer_brow=0.06,
        squeeze=0.1,
        lower_lid=0.35,
        nose=0.3,
        upper_lip=0.05,
        lower_lip=0.13,
        corner_up=-0.08,
        stretch=-0.03,
        jaw=0.16,
        press=0.45,
        teeth=0.5,
        lower_teeth=1.0,
    ),
)
"""In the order of `labels.EXPRESSIONS`."""


def action_of(face: Face) -> Action:
    """The face's expression at its intensity, plus talking (`mouth_open`) unless the lips are pressed."""
    full = ACTIONS[face.expression]
    scaled = {f.name: getattr(full, f.name) * face.intensity for f in fields(Action)}
    talk = face.mouth_open * (1.0 - min(1.0, full.press + 0.7 * bool(full.jaw > 0.2)))
    scaled["jaw"] += 0.16 * talk
    scaled["lower_lip"] += 0.10 * talk
    scaled["upper_lip"] += 0.015 * talk
    scaled["teeth"] = max(full.teeth, 0.4 * (talk > 0))
    scaled["lower_teeth"] = full.lower_teeth
    return Action(**scaled)
