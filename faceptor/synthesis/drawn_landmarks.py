"""The five landmark schemes, read off the same features, and which points the camera sees."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from faceptor.synthesis.features import MIRROR, Features, loop
from faceptor.synthesis.head import Head

_THIRDS, _QUARTERS, _SIXTHS = (tuple(i / parts for i in range(1, parts)) for parts in (3, 4, 6))
_FOREHEAD_ROW = -0.95
_BARELY_HIDDEN = -0.35
"""Contour points that face away by less are as good as on the outline: the jaw of a frontal face is one."""
_TOWARDS_CHEEK = np.linspace(1.0, 0.2, 17)
"""Shares of a contour point's angle that are tried when it lies beyond the horizon."""


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Points in the image plane, head units (x to image-right, y down), before the picture is placed."""

    plane: np.ndarray  # (N, 2) the points of all schemes
    index: dict[str, np.ndarray]  # scheme ("68", "98", "29", "19", "106") -> (K,) which of them
    visible: np.ndarray  # (N,) bool: faces the camera, not behind sunglasses
    cells: np.ndarray  # (N, 2) column and row of the mesh
    outline: np.ndarray  # (N,) bool: a point of the face's contour
    solid: np.ndarray  # (68, 3) the 68 points of the head itself (x, y, depth; larger = nearer): hidden
    #                                    contour points stay on the jaw instead of sliding to the visible outline
    five: np.ndarray  # (5, 2) alignment points: eyes, nose tip, mouth corners
    extent: np.ndarray  # (N, 2) all points and the forehead: what a box has to hold


def landmarks(head: Head, features: Features) -> Landmarks:
    """All schemes at once: points that schemes share are one point."""
    blocks = _blocks(features)
    part, index = _numbered((*((name, len(block)) for name, block in blocks.items()), ("contour", len(head.contour))))
    uv = np.concatenate([head.locate(np.concatenate(list(blocks.values()))), head.contour])
    still = uv[index["68"]]
    uv, seen = _to_horizon(head, uv, part["contour"])
    points = head.surface(*np.concatenate([still, uv]).T)
    solid, xy = head.project(points[: len(still)]), head.project(points[len(still) :])[:, :2]
    outline = np.zeros(len(uv), bool)
    outline[part["contour"]] = True
    if head.face.sunglasses:
        seen[np.concatenate([part[f"{name}{side}"] for name in ("eye6", "eye8", "pupil") for side in (0, 1)])] = False
    eyes = [xy[part[eye]].mean(0) for eye in ("eye80", "eye81")]
    five = np.stack([*eyes, xy[part["ridge"][3]], *xy[part["outer"][[0, 6]]]])
    forehead = head.project(head.surface(0.0, _FOREHEAD_ROW))[None, :2]
    return Landmarks(
        plane=xy,
        index=index,
        visible=seen,
        cells=head.texel(uv),
        outline=outline,
        solid=solid,
        five=five,
        extent=np.concatenate([xy, forehead]),
    )


def _blocks(f: Features) -> dict[str, np.ndarray]:
    """Groups of points in the frontal plane; 0 and 1 are the image-left and image-right side."""
    blocks = {}
    for side in (0, 1):
        blocks[f"brow{side}"], blocks[f"line{side}"] = f.brow(side), f.brow_line(side)
        blocks[f"browmid{side}"] = np.stack([f.brow_top[side][4], f.brow_low[side][4]])
        blocks[f"eye6{side}"], blocks[f"eye8{side}"] = f.eye(side, _THIRDS), f.eye(side, _QUARTERS)
        blocks[f"pupil{side}"] = f.pupil[side][None]
    blocks["ridge"], blocks["base"] = f.ridge, f.nose_base
    blocks["base11"] = np.concatenate([f.nose_side, [[0, f.nose_base[2, 1]]], (f.nose_side * MIRROR)[::-1]])
    blocks["outer"] = loop(f.lip_top, f.lip_bottom, _SIXTHS)
    blocks["inner"] = loop(f.seam_upper, f.seam_lower, _QUARTERS)
    return blocks


def _to_horizon(head: Head, uv: np.ndarray, contour: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slide hidden contour points to the visible outline, as annotators mark it; also which points are seen."""
    facing = head.facing(*uv.T)
    seen = facing > 0.0
    hidden = contour[~seen[contour]]
    seen[contour] = facing[contour] > _BARELY_HIDDEN
    if len(hidden):
        angles = uv[hidden, :1] * _TOWARDS_CHEEK
        faces = head.facing(angles, uv[hidden, 1:]) > 0.03
        found = faces.any(axis=1)
        uv = uv.copy()
        uv[hidden[found], 0] = angles[found, faces.argmax(axis=1)[found]]
    return uv, seen


@cache
def _numbered(lengths: tuple[tuple[str, int], ...]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Indices of points that lie group by group, by the name of the group and by scheme: the same for every face."""
    part, first = {}, 0
    for name, length in lengths:
        part[name] = np.arange(first, first := first + length)
    return part, _schemes(part)


def _schemes(g: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scheme -> indices into all points, in the order of the scheme."""
    contour, outer, inner, ridge, base = g["contour"], g["outer"], g["inner"], g["ridge"], g["base"]
    b0, b1, e0, e1, p0, p1 = (g[name] for name in ("brow0", "brow1", "eye80", "eye81", "pupil0", "pupil1"))
    line0, line1 = g["line0"][::2], g["line1"][::2]
    chin = contour[16:17]
    schemes = {
        "68": [contour[::2], g["line0"], g["line1"], ridge, base, g["eye60"], g["eye61"], outer, inner],
        "98": [contour, b0, b1, ridge, base, e0, e1, outer, inner, p0, p1],
        "106": [contour, b0, b1, ridge, g["base11"], e0, p0, e1, p1, outer, inner, p0, p1],
        # COFW names its points pairwise: brow ends, brow middles, eye corners, lids, pupils, nose, mouth, chin.
        "29": [
            b0[:1], b1[4:5], b0[4:5], b1[:1], g["browmid0"], g["browmid1"],
            e0[:1], e1[4:5], e0[4:5], e1[:1], e0[[2, 6]], e1[[2, 6]], p0, p1,
            base[[0, 4]], ridge[3:], base[2:3],
            outer[[0, 6, 3]], inner[[2, 6]], outer[9:10], chin,
        ],
        "19": [
            line0, line1, e0[:1], p0, e0[4:5], e1[:1], p1, e1[4:5],
            base[:1], ridge[3:], base[4:], outer[:1], inner[2:3], outer[6:7], chin,
        ],
    }  # fmt: skip
    return {name: np.concatenate(parts) for name, parts in schemes.items()}
