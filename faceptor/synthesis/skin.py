"""Strokes that make a face of bare skin: complexion, age, beard, nose, mouth, eyes and brows, in painting order."""

from collections.abc import Iterator

import numpy as np

from faceptor.synthesis.canvas import BROW_L, EYE_L, LOWER_LIP, MOUTH, NO_POINTS, NOSE, UPPER_LIP, Stroke
from faceptor.synthesis.features import MIRROR, Features, ring
from faceptor.synthesis.head import Head
from faceptor.synthesis.identity import clip
from faceptor.synthesis.palette import IRIS, Palette

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 24)), np.sin(np.linspace(0, 2 * np.pi, 24))], axis=1)
_SIDES = (MIRROR, np.array([1.0, 1.0]))  # factors of x: image-left, image-right
_BLUSH_FACTORS = np.array([1.03, 0.73, 0.73])  # what blushing does to a skin colour
_AGE_SPOT_FACTORS = np.array([0.7, 0.58, 0.5])  # and the spots of old age
_SPAN = np.linspace(-1, 1, 9)


def skin_strokes(head: Head, f: Features, colours: Palette, rng: np.random.Generator) -> list[Stroke]:
    """Everything painted on the head except hair and hat."""
    return [
        *_complexion(head, colours),
        *_blemishes(head, colours, rng),
        *_wrinkles(head, f, colours),
        *_beard(head, f, colours),
        *_nose(head, f, colours),
        *_mouth(head, f, colours),
        *_eyes(head, f, colours),
    ]


def _disc(x: float, y: float, width: float, height: float) -> np.ndarray:
    return _CIRCLE * [width, height] + [x, y]


def _complexion(head: Head, c: Palette) -> Iterator[Stroke]:
    face, aged = head.face, head.aged
    red = 0.1 + 0.55 * face.rosy_cheeks + 0.15 * face.flushed
    # Cheeks are hollow below high cheekbones, and sink in with the years.
    hollow = clip(0.4 * max(face.person.cheekbone, 1.2 * head.action.cheek), 0, 0.45) + 0.2 * aged
    socket = min(0.22 + 0.4 * aged, 0.65)
    bag = np.stack([0.18 * _SPAN, 0.15 + 0.045 * (1 - _SPAN**2)], axis=1)
    for side in _SIDES:
        eye_x = side[0] * head.eye_x
        yield Stroke(points=_disc(0.58, 0.5, 0.2, 0.17) * side, colour=c.skin * _BLUSH_FACTORS, alpha=red, soft=0.08)
        yield Stroke(points=_disc(0.68, 0.82, 0.13, 0.2) * side, colour=c.shadow, alpha=hollow, soft=0.08)
        if face.flushed:
            yield Stroke(points=_disc(0.3, 0.55, 0.3, 0.3) * side, colour=c.skin * _BLUSH_FACTORS, alpha=0.3, soft=0.12)
        yield Stroke(points=_disc(eye_x, 0.0, 0.26, 0.15), colour=c.skin * 0.75, alpha=socket, soft=0.06)
        if face.heavy_makeup:
            yield Stroke(points=_disc(eye_x, -0.06, 0.25, 0.12), colour=(84, 50, 116), alpha=0.7, soft=0.04)
        yield Stroke(points=bag + np.array([eye_x, -0.03]), colour=c.light, alpha=0.45 * aged, line=0.04, soft=0.015)
        yield Stroke(points=bag + np.array([eye_x, 0.01]), colour=c.shadow, alpha=eye_bags(head), line=0.03, soft=0.012)
    if face.shiny:
        for x, y, r in ((0, -0.6, 0.16), (-0.5, 0.35, 0.09), (0.5, 0.35, 0.09), (0, head.nose.tip_y - 0.1, 0.05)):
            yield Stroke(points=_disc(x, y, 1.3 * r, r), colour=(255, 252, 246), alpha=0.5, soft=0.04)


def eye_bags(head: Head) -> float:
    """Strength of the bags under the eyes, 0.05..0.75."""
    return clip(0.1 + 0.75 * (head.aged - 0.3), 0.05, 0.75)


def _blemishes(head: Head, c: Palette, rng: np.random.Generator) -> Iterator[Stroke]:
    for x, y in rng.uniform([-0.7, 0.15], [0.7, 0.7], (int(60 * head.face.person.freckles), 2)):
        yield Stroke(points=_disc(x, y, 0.015, 0.015)[::4], colour=c.shadow, alpha=0.6)
    person = head.face.person
    for x, y, size in person.spots[: max(0, int(65 * (head.aged - 0.62)))]:  # one by one from fifty on
        spot = _disc(x, y, 0.055 * size, 0.045 * size)[::3]
        yield Stroke(points=spot, colour=c.skin * _AGE_SPOT_FACTORS, alpha=0.55, soft=0.01)
    for u, v, radius in person.marks:
        mole = _disc(0.6 * u, v, 0.6 * radius, 0.6 * radius)
        yield Stroke(points=NO_POINTS, around=mole, colour=c.shadow * 0.7, alpha=0.9)


def _crease(c: Palette, points: np.ndarray, strength: float, line: float = 0.03, soft: float = 0.01) -> Stroke:
    return Stroke(points=points, colour=0.85 * c.shadow, alpha=strength, line=line, soft=soft)


def _wrinkles(head: Head, f: Features, c: Palette) -> Iterator[Stroke]:
    """They deepen with the age shown; mimics add some."""
    a, aged = head.action, head.aged
    forehead = clip(aged - 0.2 + 2.5 * max(0.0, a.inner_brow), 0, 0.9)
    for i in range(2 + int(3 * min(aged, 1)) if forehead > 0.03 else 0):
        y = -0.5 - 0.115 * i + 0.012 * np.sin(3 * _SPAN + i) + 0.02 * _SPAN**2
        yield _crease(c, np.stack([_SPAN * (0.5 - 0.05 * i), y], 1), forehead * (0.9 - 0.1 * i), 0.02)
    for side in _SIDES:
        yield from _wrinkles_of_a_side(head, f, c, side)
    for y in (-0.02, 0.05) if a.nose > 0.3 else ():
        yield _crease(c, np.stack([0.1 * _SPAN, y + 0.02 * _SPAN**2], 1), 0.5)


def _wrinkles_of_a_side(head: Head, f: Features, c: Palette, side: np.ndarray) -> Iterator[Stroke]:
    a, aged, mouth_y = head.action, head.aged, head.mouth_y
    crow = clip(1.1 * (aged - 0.25) + 0.2 * a.cheek, 0, 0.95)
    frown = clip(0.8 * (aged - 0.4) + 8 * a.squeeze, 0, 0.75)
    eye_end, mouth_end = head.eye_x + f.eye_width + 0.04, f.lip_top[-1, 0] + 0.1
    for dy in (-0.1, -0.03, 0.04, 0.11) if crow > 0.03 else ():
        foot = np.array([[0, 0.01 + dy * 0.5], [0.08, 0.01 + dy], [0.16, 0.02 + dy * 1.6]])
        yield _crease(c, (foot + np.array([eye_end, 0])) * side, crow)
    x, y = head.nose.wing_x + 0.09, head.nose.wing_y - 0.02
    bend = np.array([[x, y], [x + 0.1, y + 0.1], [mouth_end, mouth_y - 0.08], [mouth_end + 0.02, mouth_y + 0.08]])
    lit = bend + np.array([0.055, -0.01])
    # The cheek swells over its fold and catches the light, on dark skin more visibly than the fold itself.
    yield Stroke(points=lit * side, colour=c.light, alpha=0.5 * aged, line=0.05, soft=0.02)
    yield _crease(c, bend * side, nasolabial(head), 0.04, 0.014)
    if aged > 0.5:
        yield _crease(c, [[mouth_end - 0.06, mouth_y + 0.1], [mouth_end, mouth_y + 0.3]] * side, 0.9 * (aged - 0.45))
    if aged > 0.65:
        yield _crease(c, [[0.62, 0.45], [0.72, 0.65], [0.7, 0.85]] * side, 0.7 * (aged - 0.55))
    if frown > 0.03:
        yield _crease(c, [[0.07, -0.3], [0.085, -0.14]] * side, frown)


def nasolabial(head: Head) -> float:
    """Strength of the fold from nose to mouth, 0..0.9."""
    return clip(0.08 + 0.75 * head.aged + 0.3 * head.action.cheek, 0, 0.9)


def _beard(head: Head, f: Features, c: Palette) -> Iterator[Stroke]:
    face, y, hair = head.face, head.mouth_y, 0.85 * c.hair
    jaw = head.contour[5:28]
    cheek = np.array([[0.68, y - 0.3], [0.45, y - 0.12], [0.3, y - 0.17]])
    upper = np.concatenate([cheek, [[0, y - 0.18]], (cheek * MIRROR)[::-1]])
    if face.stubble:
        yield Stroke(around=jaw, points=upper, colour=0.45 * c.skin + 0.55 * hair, alpha=0.6, soft=0.05)
    if face.beard:
        under = np.stack([jaw[:, 0], np.full(len(jaw), head.chin + 0.12)], axis=1)
        yield Stroke(around=jaw, points=upper, colour=hair, alpha=0.93, soft=0.03)
        yield Stroke(around=ring(jaw, under), points=NO_POINTS, colour=hair, alpha=0.93, soft=0.03)
    if face.goatee:
        low, chin = f.lip_bottom[6, 1] + 0.03, head.chin
        half = np.array([[0.2, low], [0.24, chin - 0.1], [0.14, chin - 0.005]])
        yield Stroke(points=ring(half, half * MIRROR), colour=hair, alpha=0.93, soft=0.02)
    if face.mustache:
        base, x, top = head.nose.base_y + 0.05, f.lip_top[:, 0] * 1.08, f.lip_top[:, 1]
        low = np.minimum(np.maximum(top, base + 0.03), top + 0.02) + 0.02
        outline = np.concatenate([np.stack([x, low], 1), [[0.25, base], [-0.25, base]]])
        yield Stroke(points=outline, colour=hair, alpha=0.95, soft=0.012)


def _nose(head: Head, f: Features, c: Palette) -> Iterator[Stroke]:
    tip, side = head.nose.tip_y, f.nose_side
    half = np.concatenate([[[-0.07, -0.02]], side, [[0, f.nose_base[2, 1]]]])
    yield Stroke(points=ring(half, half * MIRROR), alpha=0.0, cls=NOSE)
    nostril = _disc(-0.55 * head.nose.wing_x, f.nose_base[1, 1] - 0.02, 0.055, 0.024)
    for factor in _SIDES:
        yield Stroke(points=side[:3] * factor, colour=c.shadow, alpha=0.28, line=0.035, soft=0.03)
        yield Stroke(points=side[2:] * factor, colour=c.shadow, alpha=0.6, line=0.022, soft=0.01)
        yield Stroke(points=nostril * factor, colour=c.shadow * 0.4, alpha=0.8, soft=0.008)
    point = head.face.person.nose_tip  # light gathers on a pointed tip, spreads on a blunt one
    yield Stroke(points=np.array([[0, 0.1], [0, tip - 0.03]]), colour=c.skin * 1.12, alpha=0.4, line=0.05, soft=0.02)
    spot, soft = _disc(0, tip - 0.02, 0.055 - 0.014 * point, 0.05 - 0.01 * point), 0.025 - 0.007 * point
    yield Stroke(points=spot, colour=c.skin * 1.2, alpha=0.4 + 0.15 * point, soft=soft)


def _mouth(head: Head, f: Features, c: Palette) -> Iterator[Stroke]:
    top, seam_u, seam_l, bottom = f.lip_top, f.seam_upper, f.seam_lower, f.lip_bottom
    if f.mouth_gap > 0.015:
        yield Stroke(points=ring(seam_u, seam_l), colour=(58, 16, 18), cls=MOUTH)
        if f.teeth > 0.05:
            share = min(1.0, 0.11 / max(f.mouth_gap, 0.05)) * min(1, f.teeth + 0.1)
            yield Stroke(points=ring(seam_u[1:-1], (seam_u + share * (seam_l - seam_u))[1:-1]), colour=(238, 232, 220))
        if head.action.lower_teeth > 0.2:
            yield Stroke(points=ring(seam_l[2:-2], (seam_l + 0.22 * (seam_u - seam_l))[2:-2]), colour=(226, 220, 208))
    yield Stroke(points=ring(top, seam_u), colour=c.lips * 0.9, cls=UPPER_LIP)
    yield Stroke(points=ring(seam_l, bottom), colour=c.lips, cls=LOWER_LIP)
    yield Stroke(points=bottom[4:9] - [0, 0.05], colour=c.lips * 1.2, alpha=0.5, line=0.03, soft=0.01)
    yield Stroke(points=seam_u, colour=c.shadow * 0.5, alpha=0.75, line=0.016)
    yield Stroke(points=bottom[3:10] - [0, -0.03], colour=c.shadow, alpha=0.4, line=0.03, soft=0.015)


def _eyes(head: Head, f: Features, c: Palette) -> Iterator[Stroke]:
    face, p = head.face, head.face.person
    lash = 0.028 + 0.02 * (not face.male) + 0.02 * face.heavy_makeup
    for side in (0, 1):
        upper, lower, pupil, almond = f.upper_lid[side], f.lower_lid[side], f.pupil[side], f.eye_ring(side)
        if face.eyes_closed:
            yield Stroke(points=almond, colour=c.skin * 0.88, cls=EYE_L + side)
            yield Stroke(points=lower, colour=(30, 20, 18), alpha=0.95, line=0.035)
        else:
            yield Stroke(points=almond, colour=(240, 236, 232), cls=EYE_L + side)
            yield Stroke(points=_disc(*pupil, 0.088, 0.088), colour=IRIS[p.eye_colour], within=True)
            yield Stroke(points=_disc(*pupil, 0.04, 0.04), colour=(10, 8, 8), within=True)
            glint = _disc(pupil[0] + 0.03, pupil[1] - 0.03, 0.017, 0.017)[::3]
            yield Stroke(points=glint, colour=(255, 255, 255), within=True)
            yield Stroke(points=upper - [0, -0.015], colour=(60, 40, 36), alpha=0.45, line=0.03, within=True)
            yield Stroke(points=upper, colour=(26, 18, 16), alpha=0.9, line=lash)
            yield Stroke(points=lower, colour=c.shadow * 0.7, alpha=0.5 + 0.4 * face.heavy_makeup, line=0.016)
            fold = upper[1:-1] - [0, 0.035 + 0.01 * p.lid_fold]
            yield Stroke(points=fold, colour=c.shadow, alpha=0.65, line=0.018, soft=0.006)
        brow = ring(f.brow_top[side], f.brow_low[side])
        yield Stroke(points=brow, colour=c.brow, alpha=0.85, soft=0.01, cls=BROW_L + side)
