"""Draw a face: a textured head mesh, things around it, and every label from the same points."""

import cv2
import numpy as np

from faceptor.datasets.labels import CELEBA_40, CELEBAMASK_19, LFW_73, arcface_template, facts
from faceptor.synthesis.face import Face
from faceptor.synthesis.geometry import COLUMNS, ROWS, Head, columns
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.raster import rasterise

(BG, NECK, SKIN, CLOTH, EAR_L, EAR_R, BROW_L, BROW_R, EYE_L, EYE_R, NOSE, MOUTH, LLIP, ULIP, HAIR, GLASS, HAT, EARRING,
 NECKLACE) = range(19)
# CelebAMask-HQ class -> LaPa class; things worn on the face count as skin there, the rest as background.
_TO_LAPA = np.array([0, 0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 8, 9, 7, 10, 1, 0, 0, 0], np.uint8)
_SKIN = np.array([[250, 218, 196], [236, 190, 158], [206, 150, 112], [156, 104, 72], [104, 66, 46], [74, 47, 35]], float)
_HAIR = {"black": (30, 26, 26), "brown": (92, 60, 38), "blond": (214, 178, 112), "red": (156, 74, 34)}
_IRIS = {"dark brown": (52, 32, 22), "brown": (112, 70, 36), "blue": (84, 130, 178), "green": (92, 128, 84),
         "grey": (124, 136, 144)}
_FRAMES = [(20, 20, 24), (90, 60, 36), (150, 150, 156), (120, 24, 36)]
_CELEBA = np.array([[69.5, 111.5], [107.5, 111.5], [88.0, 131.5], [72.0, 152.0], [105.5, 152.0]])
_HQ = np.array([[198, 242], [314, 242], [256, 304], [206, 368], [306, 368]], float)
_CLOTHES = [(40, 46, 64), (150, 40, 44), (60, 110, 80), (190, 186, 176), (70, 90, 150), (30, 30, 32), (170, 130, 70)]


# ------------------------------------------------------------------ features in the frontal plane of the head
class Features:
    """Points of the features as drawn from the front, head units; index 0 is the image-left side."""

    def __init__(self, head: Head) -> None:
        face, p, a = head.face, head.face.person, head.action
        self.head = head
        ex = head.eye_x
        self.ew = ew = 0.205 + 0.012 * p.eye_size
        base = (0.078 + 0.009 * p.eye_size + 0.012 * p.eye_open) * (1 + 0.2 * head.child) * (1 - 0.1 * head.aged)
        up = max(0.012, base * (1 + 0.9 * a.upper_lid))
        low = max(0.01, 0.75 * base * (1 - 0.9 * a.lower_lid))
        if face.eyes_closed:
            up, low = -0.03, 0.045
        self.open = up + low
        ey = 0.02 + 0.015 * p.eye_height
        tilt = 0.05 + 0.03 * p.eye_tilt
        s = np.linspace(-1, 1, 9)                          # -1 = outer corner, 1 = inner
        arc = (1 - np.abs(s) ** 2.2) ** 0.8
        slope = -tilt * ew * (0.5 - 0.5 * s) * 2
        upper = np.stack([-ex + s * ew, ey + slope - up * arc], 1)
        lower = np.stack([-ex + s * ew, ey + slope + low * arc], 1)
        gx, gy = 0.07 * np.clip(face.gaze_x, -1, 1), 0.03 * face.gaze_y
        mirror = np.array([-1, 1])
        # Curves of the image-right side run image-left to image-right as well: inner to outer.
        self.upper = (upper, (upper * mirror)[::-1])
        self.lower = (lower, (lower * mirror)[::-1])
        mid = ey - tilt * ew + (low - up) * 0.3
        self.pupil = (np.array([-ex + gx, mid + gy]), np.array([ex + gx, mid + gy]))
        t = np.linspace(0, 1, 9)                           # outer to inner
        bl = ew * (1.32 + 0.08 * p.brow_length)
        by = ey - 0.27 - 0.02 * p.brow_height
        rise = a.outer_brow * (1 - t) + a.inner_brow * t
        arch = (0.055 + 0.03 * p.brow_arch) * np.sin(np.pi * np.clip(t * 0.95, 0, 1)) ** 1.2 * (1.25 - 0.5 * t)
        x = -ex - bl * 0.98 + t * bl * 1.9 + a.squeeze * t
        y = by - rise - arch + (0.02 + 0.02 * p.brow_tilt) * (t - 0.5) + 0.03 * (1 - t)
        thick = (0.042 + 0.014 * p.brow_thickness) * (0.35 + 0.65 * np.minimum(1, t * 2.2))
        top, low_b = np.stack([x, y - thick], 1), np.stack([x, y + thick], 1)
        self.brow_top = (top, (top * mirror)[::-1])
        self.brow_low = (low_b, (low_b * mirror)[::-1])
        n = head.nose
        self.ridge = np.stack([np.zeros(4), np.linspace(0.03, n.tip_y, 4)], 1)
        wx, by0 = n.wing_x + 0.06, n.base_y
        self.base = np.array([[-wx * 0.85, by0 - 0.03], [-wx * 0.42, by0 + 0.005], [0, by0 + 0.025],
                              [wx * 0.42, by0 + 0.005], [wx * 0.85, by0 - 0.03]])
        self.side = np.array([[-0.13, 0.06], [-0.17, n.wing_y - 0.16], [-wx, n.wing_y + 0.01], [-wx * 0.8, by0 - 0.01],
                              [-wx * 0.42, by0 + 0.01]])
        mw = (0.345 + 0.028 * p.mouth_width) + a.stretch
        my, cy = head.mouth_y, head.mouth_y - a.corner_up
        roll = 1 - 0.55 * a.press
        ul, ll = (0.095 + 0.02 * p.lip_upper) * roll, (0.115 + 0.022 * p.lip_lower) * roll
        gap = max(0.0, a.upper_lip) + max(0.0, a.lower_lip) + 0.5 * a.jaw
        self.gap = gap
        seam_u, seam_l = my - a.upper_lip, my - min(0.0, a.upper_lip) + a.lower_lip + 0.55 * a.jaw
        s = np.linspace(-1, 1, 13)
        full = 1 - np.abs(s) ** 2
        cupid = np.interp(np.abs(s), [0, 0.2, 0.35, 1], [0.86, 1.0, 0.93, 0.0])
        x = s * mw
        corner = cy + 0.0 * s
        inner_u = corner + (seam_u - cy) * full
        inner_l = np.maximum(corner + (max(seam_l, seam_u) - cy) * full, inner_u)
        self.lip_ou = np.stack([x, inner_u - ul * cupid], 1)
        self.lip_iu = np.stack([x * 0.94, inner_u], 1)
        self.lip_il = np.stack([x * 0.94, inner_l], 1)
        self.lip_ol = np.stack([x, inner_l + ll * full ** 0.8], 1)
        self.teeth = a.teeth

    def eye(self, side: int, shares) -> np.ndarray:
        at = lambda c, t: np.array([np.interp(t, np.linspace(0, 1, 9), c[:, k]) for k in (0, 1)]).T  # noqa: E731
        top, bottom = self.upper[side], self.lower[side]
        return np.concatenate([top[:1], at(top, shares), top[-1:], at(bottom, shares[::-1])])

    def lips(self, upper, lower, shares) -> np.ndarray:
        at = lambda c, t: np.array([np.interp(t, np.linspace(0, 1, 13), c[:, k]) for k in (0, 1)]).T  # noqa: E731
        return np.concatenate([upper[:1], at(upper, shares), upper[-1:], at(lower, shares[::-1])])

    def brow(self, side: int) -> np.ndarray:
        top, low = self.brow_top[side][::2], self.brow_low[side][::2]
        if side == 0:
            mid = (top[:1] + low[:1]) / 2
            return np.concatenate([mid, top[1:], low[::-1][:4]])
        mid = (top[-1:] + low[-1:]) / 2
        return np.concatenate([top[:4], mid, low[::-1][1:]])


def _contour(head: Head) -> np.ndarray:
    """(33, 2) (u, v) from image-left ear over the chin to the other ear."""
    side_u = 1.5
    down = np.stack([np.full(8, -side_u), np.linspace(0.05, head.chin, 8)], 1)
    along = np.stack([np.linspace(-side_u, 0, 25)[1:], np.full(24, head.chin)], 1)
    path = np.concatenate([down, along])
    p = head.surface(path[:, 0], path[:, 1])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    at = np.linspace(0, length[-1], 17)
    half = np.stack([np.interp(at, length, path[:, k]) for k in (0, 1)], 1)
    return np.concatenate([half, (half * [-1, 1])[::-1][1:]])


def _facing(head: Head, uv: np.ndarray) -> np.ndarray:
    """z of the unit normal in camera axes."""
    e = 0.03
    du = head.surface(uv[..., 0] + e, uv[..., 1], bumps=False) - head.surface(uv[..., 0] - e, uv[..., 1], bumps=False)
    dv = head.surface(uv[..., 0], uv[..., 1] + e, bumps=False) - head.surface(uv[..., 0], uv[..., 1] - e, bumps=False)
    n = np.cross(du, dv) @ head.matrix.T
    p = head.surface(uv[..., 0], uv[..., 1], bumps=False) @ head.matrix.T
    view = np.array([0, 0, 10.0]) - p
    return (n * view).sum(-1) / np.maximum(np.linalg.norm(n, axis=-1) * np.linalg.norm(view, axis=-1), 1e-9)


def _landmarks(head: Head, f: Features) -> tuple[dict, dict, np.ndarray, np.ndarray]:
    """Projected points (head units) and visibility per scheme, five points, outline for the box."""
    blocks: dict[str, np.ndarray] = {}
    third, quarter = np.array([1, 2]) / 3, np.array([1, 2, 3]) / 4
    outer = np.array([1, 2, 3, 4, 5]) / 6
    for k in (0, 1):
        blocks[f"brow{k}"] = f.brow(k)
        blocks[f"line{k}"] = (0.55 * f.brow_top[k] + 0.45 * f.brow_low[k])[::2]
        blocks[f"eye6{k}"], blocks[f"eye8{k}"] = f.eye(k, third), f.eye(k, quarter)
        blocks[f"pupil{k}"] = f.pupil[k][None]
        blocks[f"browmid{k}"] = np.stack([f.brow_top[k][4], f.brow_low[k][4]])
    blocks["ridge"], blocks["base"] = f.ridge, f.base
    blocks["base11"] = np.concatenate([f.side, [[0, f.base[2, 1]]], (f.side * [-1, 1])[::-1]])
    blocks["outer"] = f.lips(f.lip_ou, f.lip_ol, outer)
    blocks["inner"] = f.lips(f.lip_iu, f.lip_il, quarter)
    names, sizes = list(blocks), [len(b) for b in blocks.values()]
    uv = head.locate(np.concatenate(list(blocks.values())))
    uv = np.concatenate([uv, _contour(head)])
    seen = _facing(head, uv) > 0.0
    xy = head.project(head.surface(uv[:, 0], uv[:, 1]))[:, :2]
    # Beyond the horizon annotators mark the visible outline: slide hidden contour points to it.
    start = sum(sizes)
    for i in np.flatnonzero(~seen[start:]) + start:
        candidates = np.stack([uv[i, 0] * np.linspace(1, 0.2, 17), np.full(17, uv[i, 1])], 1)
        ok = np.flatnonzero(_facing(head, candidates) > 0.03)
        if len(ok):
            c = candidates[ok[0]]
            xy[i] = head.project(head.surface(c[0], c[1]))[:2]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    part = {n: np.arange(edges[i], edges[i + 1]) for i, n in enumerate(names)}
    contour = np.arange(start, start + 33)
    inner8 = part["inner"]
    g = part
    b0, b1 = g["brow0"], g["brow1"]
    e0, e1 = g["eye80"], g["eye81"]
    index = {
        "68": [*contour[::2], *g["line0"], *g["line1"], *g["ridge"], *g["base"], *g["eye60"], *g["eye61"], *g["outer"],
               *inner8],
        "98": [*contour, *b0, *b1, *g["ridge"], *g["base"], *e0, *e1, *g["outer"], *inner8, *g["pupil0"], *g["pupil1"]],
        "106": [*contour, *b0, *b1, *g["ridge"], *g["base11"], *e0, *g["pupil0"], *e1, *g["pupil1"], *g["outer"], *inner8,
                *g["pupil0"], *g["pupil1"]],
        "29": [b0[0], b1[4], b0[4], b1[0], *g["browmid0"], *g["browmid1"], e0[0], e1[4], e0[4], e1[0], e0[2], e0[6], e1[2],
               e1[6], g["pupil0"][0], g["pupil1"][0], g["base"][0], g["base"][4], g["ridge"][3], g["base"][2],
               g["outer"][0], g["outer"][6], g["outer"][3], inner8[2], inner8[6], g["outer"][9], contour[16]],
        "19": [g["line0"][0], g["line0"][2], g["line0"][4], g["line1"][0], g["line1"][2], g["line1"][4], e0[0],
               g["pupil0"][0], e0[4], e1[0], g["pupil1"][0], e1[4], g["base"][0], g["ridge"][3], g["base"][4],
               g["outer"][0], inner8[2], g["outer"][6], contour[16]],
    }
    five = np.stack([xy[e0].mean(0), xy[e1].mean(0), xy[g["ridge"][3]], xy[g["outer"][0]], xy[g["outer"][6]]])
    points = {k: xy[v] for k, v in index.items()}
    visible = {k: seen[v].copy() for k, v in index.items()}
    if head.face.sunglasses:
        hidden = np.concatenate([e0, e1, g["eye60"], g["eye61"], g["pupil0"], g["pupil1"]])
        visible = {k: s & ~np.isin(index[k], hidden) for k, s in visible.items()}
    return points, visible, five, xy


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3) least-squares similarity without reflection."""
    ms, mt = source.mean(0), target.mean(0)
    s, t = (source - ms) @ [1, 1j], (target - mt) @ [1, 1j]
    c = (np.conj(s) @ t) / (np.abs(s) ** 2).sum()
    m = np.array([[c.real, -c.imag], [c.imag, c.real]])
    return np.concatenate([m, (mt - m @ ms)[:, None]], 1)


def _place(frame: str, size, five: np.ndarray, box: np.ndarray, rng) -> np.ndarray:
    h, w = size
    aligned = {"arcface": (arcface_template(), 112, 112), "celeba": (_CELEBA, 178, 218), "celebahq": (_HQ, 512, 512)}
    if frame in aligned:
        template, tw, th = aligned[frame]
        k = min(w / tw, h / th)
        return _similarity(five, template * k + (np.array([w, h]) - k * np.array([tw, th])) / 2)
    extent = (box[2:] - box[:2]).max()
    share = {"wild": 0.36 + 0.16 * rng.random(), "crop": 0.72 + 0.08 * rng.random()}[frame]
    k = share * min(h, w) / extent
    spread = 0.06 if frame == "wild" else 0.02
    centre = np.array([w, h]) * (0.5 + spread * (2 * rng.random(2) - 1)) + [0, 0.03 * h]
    return np.array([[k, 0, 0], [0, k, 0]]) + np.concatenate(
        [np.zeros((2, 2)), (centre - k * (box[:2] + box[2:]) / 2)[:, None]], 1)


# ------------------------------------------------------------------ canvas
class Canvas:
    def __init__(self, image: np.ndarray) -> None:
        self.image = image                                    # float32 RGB
        self.classes = np.zeros(image.shape[:2], np.uint8)

    def fill(self, polygons, colour, cls=None, *, alpha=1.0, soft=0.0, line=0.0, shade=None, clip=None) -> None:
        """Blend polygons (or polylines where `line` is a width) of pixel points."""
        polygons = [np.asarray(p, float) for p in (polygons if isinstance(polygons, list) else [polygons])]
        h, w = self.classes.shape
        stack = np.concatenate(polygons)
        pad = 2 + line + 3 * soft
        x0, y0 = np.maximum(np.floor(stack.min(0) - pad), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(stack.max(0) + pad) + 1, [w, h]).astype(int)
        if x1 <= x0 or y1 <= y0:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = [np.round((p - [x0, y0]) * 16).astype(np.int32) for p in polygons]
        if line:
            cv2.polylines(mask, fixed, False, 255, max(1, round(line)), cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(mask, fixed, 255, cv2.LINE_AA, 4)
        if clip is not None:
            mask = np.where(clip[y0:y1, x0:x1], mask, 0)
        hard = mask > 127
        if soft > 0.4:
            mask = cv2.GaussianBlur(mask, (0, 0), soft)
        a = mask[..., None] * np.float32(alpha / 255)
        region = self.image[y0:y1, x0:x1]
        colour = np.asarray(colour, np.float32)
        if shade is not None:
            colour = colour * np.linspace(shade[0], shade[1], y1 - y0, dtype=np.float32)[:, None, None]
        region += a * (colour - region)
        if cls is not None:
            self.classes[y0:y1, x0:x1][hard] = cls


def _smooth(x, low, high):
    x = np.clip((x - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def _hairline(face: Face, u: np.ndarray, crown: float) -> np.ndarray:
    """Row above which the head carries hair, per angle."""
    a = np.abs(u)
    if face.bald:
        return np.interp(a, [0, 1.25, 1.4, 1.6, 1.9, 2.75], [crown - 1, crown - 1, -0.35, -0.05, 0.7, 0.9])
    low = -0.98 + 0.05 * face.person.hairline
    middle, temple = low - 0.35 * face.receding, low - 0.55 * face.receding
    if face.bangs:
        middle = temple = -0.40
    side = {"short": 0.0, "medium": 0.35, "long": 0.5}[face.hair_length] + (0.3 if face.sideburns else 0.0)
    peak = 0.0 if face.bangs else 0.06
    return np.interp(a, [0, 0.35, 0.8, 1.08, 1.22, 1.36, 1.6, 1.8, 2.0, 2.75],
                     [middle + peak, middle, temple + 0.06, -0.58, -0.3, 0.15 + side, 0.1 + side, 0.3 + side, 0.95, 1.05])


def _colours(face: Face) -> dict[str, np.ndarray]:
    p = face.person
    skin = np.array([np.interp(p.skin, np.linspace(0, 1, 6), _SKIN[:, k]) for k in range(3)])
    skin = skin * (1 + 0.02 * p.skin_hue * np.array([1, -0.3, -1]))
    hair = np.array(_HAIR[face.hair_colour], float)
    shown = hair * (1 - 0.92 * face.grey) + np.array([196, 196, 198]) * 0.92 * face.grey
    lips = 0.62 * skin + 0.38 * np.array([170, 56, 62])
    if face.lipstick:
        lips = 0.2 * skin + 0.8 * np.array([(190, 22, 44), (150, 20, 60), (214, 60, 90)][face.texture % 3])
    brow = 0.75 * hair * (1 - 0.5 * face.grey) + 0.5 * face.grey * np.array([140, 138, 136]) * 0.75
    return {"skin": skin, "hair": shown, "lips": lips, "brow": brow, "dark": skin * 0.55}


def _texture(head: Head, f: Features, c: dict, k: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Colour (float32) and class of the head's skin and hair over mesh cells, k texels to a cell."""
    face, p = head.face, head.face.person
    h, w = (ROWS - 1) * k + 1, (COLUMNS - 1) * k + 1
    t = Canvas(np.empty((h, w, 3), np.float32))
    t.image[:] = c["skin"]
    t.classes[:] = SKIN
    unit = k * 9.5                                             # texels to a head unit near the nose, roughly
    to = lambda xy: head.texel(head.locate(np.asarray(xy, float))) * k  # noqa: E731
    uv = lambda q: head.texel(np.asarray(q, float)) * k  # noqa: E731
    mirror = np.array([-1.0, 1.0])
    skin, dark, aged = c["skin"], c["dark"], head.aged
    n = cv2.resize(rng.standard_normal((24, 24)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    t.image *= (1 + 0.015 * n * (1 + aged))[..., None]
    circle = np.stack([np.cos(np.linspace(0, 2 * np.pi, 24)), np.sin(np.linspace(0, 2 * np.pi, 24))], 1)
    # Neck side of the jaw is darker.
    for side in (-1, 1):
        cheek = np.array([side * 0.58, 0.5])
        red = 0.16 + 0.35 * face.rosy_cheeks + 0.15 * face.flushed
        t.fill(to(cheek + circle * [0.2, 0.17]), skin * [1.02, 0.72, 0.72], alpha=red, soft=0.08 * unit)
        if face.flushed:
            t.fill(to(np.array([side * 0.3, 0.55]) + circle * [0.3, 0.3]), skin * [1.04, 0.74, 0.74], alpha=0.3, soft=0.12 * unit)
        # Sockets and bags.
        ex = side * head.eye_x
        t.fill(to(np.array([ex, 0.0]) + circle * [0.26, 0.15]), skin * 0.75, alpha=0.3 + 0.15 * aged, soft=0.06 * unit)
        if face.heavy_makeup:
            t.fill(to(np.array([ex, -0.06]) + circle * [0.25, 0.12]), (90, 60, 110), alpha=0.5, soft=0.04 * unit)
        bag = np.array([ex, 0.15]) + np.stack([np.linspace(-0.18, 0.18, 7), 0.045 * (1 - np.linspace(-1, 1, 7) ** 2)], 1)
        t.fill(to(bag), dark, alpha=np.clip(0.1 + 0.7 * (aged - 0.25), 0.05, 0.7), line=0.028 * unit, soft=0.012 * unit)
    if face.shiny:
        for x, y, r in ((0, -0.6, 0.16), (-0.5, 0.35, 0.09), (0.5, 0.35, 0.09), (0, head.nose.tip_y - 0.1, 0.05)):
            t.fill(to(np.array([x, y]) + circle * [r * 1.3, r]), (255, 252, 246), alpha=0.5, soft=0.04 * unit)
    for _ in range(int(60 * p.freckles)):
        x, y = rng.uniform(-0.7, 0.7), rng.uniform(0.15, 0.7)
        t.fill(to(np.array([x, y]) + circle[::4] * 0.015), dark, alpha=0.6)
    for u, v, r in p.marks:
        t.fill(uv(np.array([u * 0.6, v]) + circle * r * 0.6), dark * 0.7, alpha=0.9)
    # Wrinkles: they deepen with the age shown; mimics add some.
    a = head.action
    crease = dict(line=0.022 * unit, soft=0.008 * unit)
    s = np.linspace(-1, 1, 9)
    depth = np.clip(0.95 * (aged - 0.2) + 2.5 * max(0.0, a.inner_brow), 0, 0.8)
    if depth > 0.03:
        for i in range(2 + int(3 * min(aged, 1))):
            y = -0.5 - 0.115 * i + 0.012 * np.sin(3 * s + i) + 0.02 * s**2
            t.fill(to(np.stack([s * (0.5 - 0.05 * i), y], 1)), dark, alpha=depth * (0.9 - 0.1 * i), **crease)
    feet, fold = np.clip(0.95 * (aged - 0.25) + 0.2 * a.cheek, 0, 0.8), np.clip(0.12 + 0.75 * aged + 0.35 * a.cheek, 0, 0.85)
    frown = np.clip(0.8 * (aged - 0.35) + 8 * a.squeeze, 0, 0.75)
    for side in (-1, 1):
        m = np.array([side, 1.0])
        if feet > 0.03:
            for i, dy in enumerate((-0.1, -0.03, 0.04, 0.11)):
                x0 = head.eye_x + f.ew + 0.04
                t.fill(to(np.array([[x0, 0.01 + dy * 0.5], [x0 + 0.08, 0.01 + dy], [x0 + 0.16, 0.02 + dy * 1.6]]) * m), dark,
                       alpha=feet, **crease)
        nx, ny = head.nose.wing_x + 0.09, head.nose.wing_y - 0.02
        mx = f.lip_ou[-1, 0] + 0.1
        t.fill(to(np.array([[nx, ny], [nx + 0.1, ny + 0.1], [mx, head.mouth_y - 0.08], [mx + 0.02, head.mouth_y + 0.08]]) * m),
               dark, alpha=fold, line=0.03 * unit, soft=0.012 * unit)
        if aged > 0.45:
            t.fill(to(np.array([[mx - 0.06, head.mouth_y + 0.1], [mx, head.mouth_y + 0.3]]) * m), dark, alpha=0.8 * (aged - 0.4),
                   **crease)
        if aged > 0.6:
            t.fill(to(np.array([[0.62, 0.45], [0.72, 0.65], [0.7, 0.85]]) * m), dark, alpha=0.6 * (aged - 0.5), **crease)
        if frown > 0.03:
            t.fill(to(np.array([[0.07, -0.3], [0.085, -0.14]]) * m), dark, alpha=frown, **crease)
    if a.nose > 0.3:
        for y in (-0.02, 0.05):
            t.fill(to(np.stack([s * 0.1, y + 0.02 * s**2], 1)), dark, alpha=0.5, **crease)
    # Beard shadow and hair on the lower face.
    contour = _contour(head)
    my, hair = head.mouth_y, c["hair"] * 0.85
    jaw = contour[5:28]
    inner = to(np.array([[0.68, my - 0.3], [0.45, my - 0.12], [0.3, my - 0.17], [0, my - 0.18]]))
    inner = np.concatenate([inner, (to(np.array([[-0.3, my - 0.17], [-0.45, my - 0.12], [-0.68, my - 0.3]])))])
    zone = np.concatenate([uv(jaw), inner])
    under = uv(np.stack([jaw[:, 0], np.full(len(jaw), head.chin + 0.12)], 1))
    lips = to(np.concatenate([f.lip_ou * 1.0, f.lip_ol[::-1]]))
    if face.stubble:
        t.fill([zone], 0.5 * skin + 0.5 * hair, alpha=0.5, soft=0.05 * unit)
    if face.beard:
        t.fill([zone], hair, alpha=0.93, soft=0.03 * unit)
        t.fill([np.concatenate([uv(jaw), under[::-1]])], hair, alpha=0.93, soft=0.03 * unit)
    if face.goatee:
        low = f.lip_ol[6, 1]
        t.fill(to(np.array([[-0.2, low + 0.03], [0.2, low + 0.03], [0.24, head.chin - 0.1], [0.14, head.chin - 0.005],
                            [-0.14, head.chin - 0.005], [-0.24, head.chin - 0.1]])), hair, alpha=0.93, soft=0.02 * unit)
    if face.mustache:
        base, top = head.nose.base_y + 0.05, f.lip_ou
        x = top[:, 0] * 1.08
        y = np.minimum(np.maximum(top[:, 1], base + 0.03), top[:, 1] + 0.02)
        t.fill(to(np.concatenate([np.stack([x, y + 0.02], 1), np.array([[0.25, base], [-0.25, base]])])), hair, alpha=0.95,
               soft=0.012 * unit)
    # Nose: sides, wings and nostrils.
    side = f.side
    outline = np.concatenate([[[-0.07, -0.02]], side, [[0, f.base[2, 1]]], (side * mirror)[::-1], [[0.07, -0.02]]])
    t.fill(to(outline), skin, NOSE, alpha=0.0)
    for m in (mirror, -mirror * [1, -1]):
        t.fill(to(side[:3] * m), dark, alpha=0.28, line=0.035 * unit, soft=0.03 * unit)
        t.fill(to(side[2:] * m), dark, alpha=0.6, line=0.022 * unit, soft=0.01 * unit)
        hole = np.array([-head.nose.wing_x * 0.55, f.base[1, 1] - 0.02])
        t.fill(to((hole + circle * [0.055, 0.024]) * m), dark * 0.4, alpha=0.8, soft=0.008 * unit)
    t.fill(to(np.array([[0, 0.1], [0, head.nose.tip_y - 0.03]])), skin * 1.12, alpha=0.4, line=0.05 * unit, soft=0.02 * unit)
    # Mouth.
    t.fill(to(np.concatenate([f.lip_ou, f.lip_ol[::-1]])), c["lips"], alpha=0.0)
    if f.gap > 0.015:
        cavity = to(np.concatenate([f.lip_iu, f.lip_il[::-1]]))
        t.fill(cavity, (58, 16, 18), MOUTH)
        if f.teeth > 0.05:
            share = min(1.0, 0.11 / max(f.gap, 0.05)) * min(1, f.teeth + 0.1)
            t.fill(to(np.concatenate([f.lip_iu[1:-1], (f.lip_iu + share * (f.lip_il - f.lip_iu))[1:-1][::-1]])), (238, 232, 220))
        if head.action.lower_teeth > 0.2:
            t.fill(to(np.concatenate([f.lip_il[2:-2], (f.lip_il + 0.22 * (f.lip_iu - f.lip_il))[2:-2][::-1]])), (226, 220, 208))
    t.fill(to(np.concatenate([f.lip_ou, f.lip_iu[::-1]])), c["lips"] * 0.9, ULIP)
    t.fill(to(np.concatenate([f.lip_il, f.lip_ol[::-1]])), c["lips"], LLIP)
    t.fill(to(f.lip_ol[4:9] * [1, 1] - [0, 0.05]), c["lips"] * 1.2, alpha=0.5, line=0.03 * unit, soft=0.01 * unit)
    t.fill(to(f.lip_iu), dark * 0.5, alpha=0.75, line=0.016 * unit)
    t.fill(to(f.lip_ol[3:10] + [0, 0.03]), dark, alpha=0.4, line=0.03 * unit, soft=0.015 * unit)
    # Eyes and brows.
    for k2 in (0, 1):
        up, low = f.upper[k2], f.lower[k2]
        almond = to(np.concatenate([up, low[::-1]]))
        lid_fold = up[1:-1] - [0, 0.035 + 0.01 * p.lid_fold]
        t.fill(almond, (240, 236, 232) if not face.eyes_closed else skin * 0.88, EYE_L + k2)
        if not face.eyes_closed:
            clip = np.zeros((h, w), np.uint8)
            cv2.fillPoly(clip, [np.round(almond * 16).astype(np.int32)], 1, 8, 4)
            t.fill(to(f.pupil[k2] + circle * 0.088), _IRIS[p.eye_colour], clip=clip)
            t.fill(to(f.pupil[k2] + circle * 0.04), (10, 8, 8), clip=clip)
            t.fill(to(f.pupil[k2] + [0.03, -0.03] + circle[::3] * 0.017), (255, 255, 255), clip=clip)
            t.fill(to(up + [0, 0.015]), (60, 40, 36), alpha=0.45, line=0.03 * unit, clip=clip)
            lash = 0.028 + 0.02 * (not face.male) + 0.02 * face.heavy_makeup
            t.fill(to(up), (26, 18, 16), alpha=0.9, line=lash * unit)
            t.fill(to(low), dark * 0.7, alpha=0.5 + 0.4 * face.heavy_makeup, line=0.016 * unit)
            t.fill(to(lid_fold), dark, alpha=0.65, line=0.018 * unit, soft=0.006 * unit)
        else:
            t.fill(to(low), (30, 20, 18), alpha=0.95, line=0.035 * unit)
        t.fill(to(np.concatenate([f.brow_top[k2], f.brow_low[k2][::-1]])), c["brow"], BROW_L + k2,
               alpha=0.85, soft=0.01 * unit)
    # Hair and hat.
    angles = columns()
    line = _hairline(face, angles, head.crown)
    jag = 0.03 * rng.standard_normal(COLUMNS)
    curve = uv(np.stack([angles, line + (jag if not face.bald else 0)], 1))
    colour = c["hair"]
    cap = np.concatenate([curve, [[w, -2], [0, -2]]])
    before = t.image.copy()
    t.fill(cap, colour, HAIR, alpha=0.97, soft=0.02 * unit)
    mask = t.classes == HAIR
    freq = {"straight": (90, 5), "wavy": (46, 14), "curly": (40, 40)}[p.hair_texture]
    strands = cv2.resize(rng.standard_normal((freq[1], freq[0])).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    t.image[mask] *= (1 + 0.16 * strands[mask])[:, None]
    del before
    if face.hat:
        rim = -0.62 if face.hat == "beanie" else -0.68
        hat = np.array(_CLOTHES[(face.texture // 7) % 7], float)
        edge = uv(np.stack([angles, np.interp(np.abs(angles), [0, 1.4, 2.75], [rim, rim + 0.25, rim + 0.3])], 1))
        t.fill(np.concatenate([edge, [[w, -2], [0, -2]]]), hat, HAT)
        t.fill(edge - [0, 1.2 * k], hat * 0.6, line=0.05 * unit, alpha=0.8)
    return t.image, t.classes


def _background(face: Face, h: int, w: int, rng) -> np.ndarray:
    base = {"studio": 150, "indoor": 120, "outdoor": 140}[face.background]
    spread = {"studio": 12, "indoor": 45, "outdoor": 45}[face.background]
    cells = {"studio": 2, "indoor": 4, "outdoor": 9}[face.background]
    small = base + 30 * rng.standard_normal(3) + spread * rng.standard_normal((cells, cells, 3))
    if face.background == "outdoor":
        small[: cells // 2] += [0, 25, 60]
        small[cells // 2:] += [-20, 20, -40]
    return np.clip(cv2.resize(small.astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC), 5, 250)


def render(face: Face, *, size: tuple[int, int], frame: str = "wild", maps: bool = False,
           rng_seed: int | None = None) -> Portrait:
    """Draw `face` into an image of `size` (H, W); `frame` places it as the named data sets do."""
    h, w = size
    rng = np.random.default_rng(np.random.SeedSequence((face.texture, 0 if rng_seed is None else rng_seed)))
    head = Head(face)
    f = Features(head)
    points, visible, five, outline = _landmarks(head, f)
    top = head.project(head.surface(0.0, -0.95))[None, :2]
    extent = np.concatenate([outline, top])
    box0 = np.concatenate([extent.min(0), extent.max(0)])
    m = _place(frame, size, five, box0, rng)
    px = lambda q: q[..., :2] @ m[:, :2].T + m[:, 2]  # noqa: E731
    scale = float(np.hypot(m[0, 0], m[1, 0]))
    ss = 2 if max(h, w) <= 300 else 1
    big = lambda q: px(q) * ss + (ss - 1) / 2  # noqa: E731
    at = lambda q: big(head.project(np.asarray(q, float)))  # noqa: E731
    unit = scale * ss
    c = _colours(face)
    light = np.deg2rad([face.light_azimuth, face.light_elevation])
    toward = np.array([np.sin(light[0]) * np.cos(light[1]), -np.sin(light[1]), np.cos(light[0]) * np.cos(light[1])])
    strength = 0.25 + 0.45 * face.light_strength

    # Mesh with hair and hat standing off the skull.
    grid = head.grid.copy()
    angles = columns()
    line = _hairline(face, angles, head.crown)
    lift = _smooth(line[None, :] - head.rows[:, None], 0.0, 0.3)
    volume = (0.03 if face.bald else 0.06 + 0.13 * face.hair_volume + 0.04 * (face.person.hair_texture == "curly"))
    if face.hat:
        rim = np.interp(np.abs(angles), [0, 1.4, 2.75], [-0.65, -0.4, -0.35])
        lift = np.maximum(lift * 0.05, _smooth(rim[None, :] - head.rows[:, None], -0.05, 0.1))
        volume = 0.16
    grid *= (1 + volume * lift)[..., None]
    seen = head.project(grid)
    pixels = np.concatenate([big(seen), seen[..., 2:] * unit], -1)
    camera = grid @ head.matrix.T
    normal = np.cross(np.gradient(camera, axis=1), np.gradient(camera, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    lambert = np.clip(normal @ toward, 0, 1)
    shade = (1 - strength + 1.25 * strength * lambert) * (0.82 + 0.18 * np.clip(normal[..., 2], 0, 1))
    chin = _smooth(head.rows[:, None], head.chin, head.chin + 0.15)
    shade = (shade * (1 - 0.35 * chin)).astype(np.float32)

    k = int(np.clip(round(unit / 11), 4, 16))
    colour, classes = _texture(head, f, c, k, rng)
    th, tw = classes.shape
    grow = np.array([[k, 0, 0], [0, k, 0]], float)
    colour = colour * cv2.warpAffine(shade, grow, (tw, th), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., None]

    canvas = Canvas(_background(face, h * ss, w * ss, rng))
    _behind(canvas, head, face, c, at, unit, rng)
    _ears(canvas, head, face, c, at, unit, near=False)
    H, W = h * ss, w * ss
    low = np.maximum(np.floor(pixels[..., :2].reshape(-1, 2).min(0)) - 1, 0).astype(int)
    high = np.minimum(np.ceil(pixels[..., :2].reshape(-1, 2).max(0)) + 2, [W, H]).astype(int)
    if (high > low).all():
        local = pixels - np.array([*low, 0])
        col, row, _ = rasterise(local, height=int(high[1] - low[1]), width=int(high[0] - low[0]))
        drawn = col >= 0
        mapped = cv2.remap(colour, col * k, row * k, cv2.INTER_LINEAR)
        region = canvas.image[low[1]:high[1], low[0]:high[0]]
        a = drawn.astype(np.float32)[..., None]
        region += a * (mapped - region)
        ids = cv2.remap(classes, col * k, row * k, cv2.INTER_NEAREST)
        target = canvas.classes[low[1]:high[1], low[0]:high[0]]
        target[drawn] = ids[drawn]
    _ears(canvas, head, face, c, at, unit, near=True)
    _worn(canvas, head, face, c, f, at, unit)

    image = canvas.image
    if face.flash:
        image = 255 * (image / 255) ** 0.85
    image = image * face.exposure * (1 + 0.09 * face.warmth * np.array([1, 0.1, -1], np.float32))
    image = image.astype(np.float32)
    if ss == 2:
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
    if face.blur:
        image = cv2.GaussianBlur(image, (0, 0), max(0.3, face.blur * 2 * scale))
    else:
        image = cv2.GaussianBlur(image, (0, 0), 0.5)
    if face.grayscale:
        image = np.repeat((image @ np.array([0.299, 0.587, 0.114], np.float32))[..., None], 3, -1)
    image = image + face.noise * rng.standard_normal((h, w, 1 if face.grayscale else 3), np.float32)
    image = np.clip(image, 0, 255).astype(np.uint8)

    extra = {}
    if maps:
        ids = canvas.classes[::ss, ::ss].copy()
        suffix = facts()["parsing"]["CelebAMask-HQ"]["mask_file_suffix_per_class"]
        extra = {"classes19": ids, "classes11": _TO_LAPA[ids],
                 "parts": {suffix[i]: ids == i for i in range(1, len(CELEBAMASK_19)) if (ids == i).any()}}
    inside = lambda q: (q >= 0).all(-1) & (q[:, 0] <= w - 1) & (q[:, 1] <= h - 1)  # noqa: E731
    landmarks = {n: px(q).astype(np.float32) for n, q in points.items()}
    shown = px(extent)
    return Portrait(
        image=np.ascontiguousarray(image), landmarks=landmarks,
        visible={n: v & inside(landmarks[n]) for n, v in visible.items()}, points5=px(five).astype(np.float32),
        box=np.concatenate([shown.min(0), shown.max(0)]).astype(np.float32), age=face.age, expression=face.expression,
        attributes=attributes(face, head, f), identity=face.identity, pose=(face.yaw, face.pitch, face.roll), face=face, **extra)


def _behind(canvas: Canvas, head: Head, face: Face, c: dict, at, unit: float, rng) -> None:
    """Long hair, neck and clothes; neck and shoulders stay upright whatever the head does."""
    ch, male = head.rest_chin, face.male
    cloth = np.array(_CLOTHES[face.texture % 7], float)
    centre = at([0.0, ch * 0.9, -0.35])
    tilt = np.deg2rad(face.roll * 0.3)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    body = lambda q: np.asarray(q, float) @ turn.T * unit + centre  # noqa: E731
    nw, sh = 0.60 + 0.1 * male + 0.04 * head.fat, 1.75 + 0.35 * male
    shoulders = [[-nw * 0.95, 0.55], [-sh * 0.8, 0.95], [-sh, 1.4], [-sh * 1.1, 6], [sh * 1.1, 6], [sh, 1.4], [sh * 0.8, 0.95],
                 [nw * 0.95, 0.55]]
    if face.hair_length != "short" and not face.bald:
        drop = {"medium": 0.9, "long": 2.0}[face.hair_length]
        wide = head.width * (1.05 + 0.25 * face.hair_volume)
        s = np.linspace(0, np.pi, 15)
        cap = np.stack([-wide * np.cos(s), -0.45 - 1.0 * np.sin(s), np.full(15, -0.5)], 1)
        sides = np.array([[wide * 1.05, 0.6, -0.4], [wide * 1.02, drop, -0.3], [wide * 0.7, drop + 0.25, -0.3],
                          [-wide * 0.7, drop + 0.25, -0.3], [-wide * 1.02, drop, -0.3], [-wide * 1.05, 0.6, -0.4]])
        back = at(np.concatenate([cap, sides]))
    else:
        back = None
    canvas.fill(body(shoulders), cloth, CLOTH, shade=(1.05, 0.75))
    if back is not None:
        canvas.fill(back, c["hair"] * 0.72, HAIR, shade=(1.0, 0.85))
    neck = body([[-nw, -0.9], [nw, -0.9], [nw * 0.95, 0.5], [nw * 1.15, 0.68], [0.05, 1.15], [-0.05, 1.15], [-nw * 1.15, 0.68],
                 [-nw * 0.95, 0.5]])
    canvas.fill(neck, c["skin"] * 0.72, NECK, shade=(0.8, 1.15))
    if face.necktie:
        canvas.fill(body([[-nw * 1.15, 0.6], [0, 1.2], [nw * 1.15, 0.6], [nw * 1.2, 0.95], [0.1, 1.5], [-0.1, 1.5],
                          [-nw * 1.2, 0.95]]), (236, 236, 238), CLOTH)
        tie = np.array([(150, 24, 34), (26, 44, 110), (60, 20, 70), (20, 80, 60)][face.texture % 4])
        canvas.fill(body([[-0.15, 1.02], [0.15, 1.02], [0.1, 1.25], [0.28, 3.5], [-0.28, 3.5], [-0.1, 1.25]]), tie, CLOTH)
    if face.necklace:
        s = np.linspace(-1, 1, 13)
        canvas.fill(body(np.stack([s * nw * 1.05, 0.95 - 0.5 * s**2], 1)), (236, 206, 110), NECKLACE, line=0.08 * unit)


def _ears(canvas: Canvas, head: Head, face: Face, c: dict, at, unit: float, *, near: bool) -> None:
    covered = not face.bald and (face.hair_length == "long" or (face.hair_length == "medium" and face.hair_volume > 0.4))
    for side in (-1, 1):
        uv = np.array([[side * 1.62, 0.2]])
        if (_facing(head, uv)[0] > 0.1) != near:
            continue
        base = head.surface(side * 1.62, 0.3, bumps=False)
        base[1] = 0.22
        size = 1 + 0.07 * head.face.person.ear_size
        t = np.linspace(0, 2 * np.pi, 18)
        out = 0.06 + 0.13 * (np.cos(t + 0.6) > -2) * (0.6 + 0.4 * np.cos(t))
        y = base[1] - 0.34 * size * np.sin(t) + 0.02
        z = base[2] - 0.12 + 0.16 * np.cos(t)
        ear = np.stack([base[0] + side * out * size * (0.75 - 0.35 * np.sin(t - np.pi) * 0.6), y, z], 1)
        if not covered:
            canvas.fill(at(ear), c["skin"] * 0.88, EAR_L if side < 0 else EAR_R)
            inner = ear.mean(0) + (ear - ear.mean(0)) * 0.55
            canvas.fill(at(inner), c["dark"], alpha=0.45, soft=0.02 * unit)
        if face.earrings:
            t = np.linspace(0, 2 * np.pi, 14)
            lobe = np.array([base[0] + side * 0.1, base[1] + 0.42 * size, base[2] - 0.08])
            ring = np.stack([lobe[0] + 0.06 * np.cos(t), lobe[1] + 0.075 * np.sin(t), np.full(14, lobe[2])], 1)
            canvas.fill(at(ring), (240, 212, 120), EARRING)


def _worn(canvas: Canvas, head: Head, face: Face, c: dict, f: Features, at, unit: float) -> None:
    if face.eyeglasses or face.sunglasses:
        t = np.linspace(0, 2 * np.pi, 28)
        power = 1.0 - 0.55 * face.glasses_style
        rim = lambda q: np.sign(q) * np.abs(q) ** power  # noqa: E731
        rx, ry = (0.33, 0.25) if face.sunglasses else (0.30, 0.215)
        frame = np.array(_FRAMES[face.glasses_colour % 4])
        thick = max(1.0, (0.055 if face.glasses_colour != 2 else 0.035) * unit)
        z0 = float(head.surface(0.0, 0.02)[2]) + 0.02
        for side in (-1, 1):
            x = side * head.eye_x + rx * rim(np.cos(t))
            lens = np.stack([x, 0.03 + ry * rim(np.sin(t)), z0 - 0.28 * np.maximum(0, np.abs(x) - 0.2) ** 1.5], 1)
            p = at(lens)
            if face.sunglasses:
                canvas.fill(p, (22, 20, 24), GLASS, alpha=0.94, shade=(0.7, 2.2))
            else:
                canvas.fill(p, (235, 242, 250), GLASS, alpha=0.10)
            canvas.fill(p, frame, GLASS, line=thick)
            ear = head.surface(side * 1.55, 0.0, bumps=False)
            if _facing(head, np.array([[side * 1.3, 0.0]]))[0] > 0.05:
                canvas.fill(at(np.stack([lens[0 if side > 0 else 14], [ear[0] * 1.02, -0.08, ear[2]]])), frame, line=thick)
        inner = head.eye_x - rx
        canvas.fill(at([[-inner, -0.03, z0], [0, -0.07, z0 + 0.02], [inner, -0.03, z0]]), frame, GLASS, line=thick)
    if face.hat in ("cap", "brim"):
        hat = np.array(_CLOTHES[(face.texture // 7) % 7], float)
        t = np.linspace(-1.3, 1.3, 15) if face.hat == "cap" else np.linspace(-2.4, 2.4, 25)
        inner = head.surface(t, np.full(len(t), -0.72), bumps=False) * [1.1, 1.0, 1.1]
        reach = 1.55 if face.hat == "cap" else 1.5
        outer = inner * [1.0 if face.hat == "cap" else reach, 1, reach] + [0, 0.06 if face.hat == "cap" else 0.0, 0]
        canvas.fill(at(np.concatenate([inner, outer[::-1]])), hat * 0.7, HAT)
    if face.occluder:
        s = 1 if face.texture % 2 else -1
        if face.occluder == "bar":
            q = at([[s * 0.2, -1.6, 1.5], [s * 0.65, -1.6, 1.5], [s * 0.8, 2.2, 1.5], [s * 0.35, 2.2, 1.5]])
            canvas.fill(q, (90, 84, 80), BG)
        else:
            t = np.linspace(0, 2 * np.pi, 20)
            palm = np.stack([s * 0.75 + 0.38 * np.cos(t), 1.35 + 0.34 * np.sin(t), np.full(20, 1.4)], 1)
            canvas.fill(at(palm), c["skin"] * 0.92, BG)
            for i in range(4):
                x = s * (0.5 + 0.15 * i)
                canvas.fill(at([[x, 1.2, 1.4], [x - s * 0.12, 0.62, 1.4]]), c["skin"] * (0.86 + 0.02 * i), BG, line=0.13 * unit)


# ------------------------------------------------------------------ attributes
def attributes(face: Face, head: Head, f: Features) -> dict[str, bool | None]:
    """Every CelebA and LFW attribute that the drawing shows; None where it cannot show it."""
    p, a, age = face.person, head.action, face.apparent_age
    hairy = not face.bald
    grey = face.grey > 0.55
    tint = {n: hairy and not grey and face.hair_colour == n for n in _HAIR}
    openness = f.gap
    no_beard = not (face.mustache or face.goatee or face.beard or face.stubble)
    texture = {n: hairy and p.hair_texture == n for n in ("straight", "wavy", "curly")}
    chubby, double = head.fat > 1.0, head.fat > 1.3
    wide, slim = head.jaw / head.width, (head.chin - head.crown) / head.width
    oval = slim > 3.0 and wide < 0.83
    both = {
        "5_o_Clock_Shadow": face.stubble, "Arched_Eyebrows": p.brow_arch > 0.6, "Attractive": None,
        "Bags_Under_Eyes": head.aged > 0.55, "Bald": face.bald, "Bangs": face.bangs,
        "Big_Lips": p.lip_upper + p.lip_lower > 1.2, "Big_Nose": p.nose_width + 0.5 * p.nose_length > 0.9,
        "Black_Hair": tint["black"], "Blond_Hair": tint["blond"], "Blurry": face.blur > 0.0, "Brown_Hair": tint["brown"],
        "Bushy_Eyebrows": p.brow_thickness > 0.8, "Chubby": chubby, "Double_Chin": double, "Eyeglasses": face.eyeglasses,
        "Goatee": face.goatee, "Gray_Hair": hairy and grey, "Heavy_Makeup": face.heavy_makeup,
        "High_Cheekbones": p.cheekbone + 1.2 * a.cheek > 0.7, "Male": face.male, "Mouth_Slightly_Open": openness > 0.05,
        "Mustache": face.mustache, "Narrow_Eyes": f.open < 0.11, "No_Beard": no_beard, "Oval_Face": oval,
        "Pale_Skin": p.skin < 0.12, "Pointy_Nose": p.nose_tip > 0.7 and p.nose_width < 0.6,
        "Receding_Hairline": face.receding > 0.45 and hairy and not face.hat, "Rosy_Cheeks": face.rosy_cheeks,
        "Sideburns": face.sideburns, "Smiling": face.expression == 1, "Straight_Hair": texture["straight"],
        "Wavy_Hair": texture["wavy"], "Wearing_Earrings": face.earrings, "Wearing_Hat": bool(face.hat),
        "Wearing_Lipstick": face.lipstick, "Wearing_Necklace": face.necklace, "Wearing_Necktie": face.necktie,
        "Young": age < 40,
    }
    forehead = "Obstructed Forehead" if face.hat else "Partially Visible Forehead" if face.bangs else "Fully Visible Forehead"
    lfw = {n.replace("_", " "): v for n, v in both.items()} | {
        "Asian": None, "White": None, "Black": None, "Indian": None, "Attractive Man": None, "Attractive Woman": None,
        "Posed Photo": None, "Baby": age < 3, "Child": 3 <= age < 14, "Youth": 14 <= age < 25, "Middle Aged": 40 <= age < 60,
        "Senior": age >= 60, "Eyeglasses": face.eyeglasses, "Sunglasses": face.sunglasses,
        "No Eyewear": not (face.eyeglasses or face.sunglasses), "Frowning": face.expression in (2, 6),
        "Harsh Lighting": face.light_strength > 0.75 and not face.flash, "Soft Lighting": face.light_strength < 0.35,
        "Flash": face.flash, "Outdoor": face.background == "outdoor", "Curly Hair": texture["curly"],
        "Fully Visible Forehead": forehead.startswith("Fully"), "Partially Visible Forehead": forehead.startswith("Partially"),
        "Obstructed Forehead": forehead.startswith("Obstructed"), "Eyes Open": not face.eyes_closed,
        "Mouth Closed": openness <= 0.05, "Mouth Slightly Open": 0.05 < openness <= 0.2, "Mouth Wide Open": openness > 0.2,
        "Teeth Not Visible": openness <= 0.05 or f.teeth <= 0.05, "Round Jaw": p.jaw_shape < -0.3,
        "Square Face": p.jaw_shape > 0.9 and wide > 0.82, "Round Face": chubby and slim < 3.0,
        "Color Photo": not face.grayscale, "Shiny Skin": face.shiny, "5 o' Clock Shadow": face.stubble,
        "Strong Nose-Mouth Lines": 0.12 + 0.75 * head.aged + 0.35 * a.cheek > 0.5, "Flushed Face": face.flushed,
        "Brown Eyes": p.eye_colour in ("brown", "dark brown"),
    }
    out = {f"celeba:{n}": both[n] for n in CELEBA_40} | {f"lfw:{n}": lfw[n] for n in LFW_73}
    return {n: None if v is None else bool(v) for n, v in out.items()}
