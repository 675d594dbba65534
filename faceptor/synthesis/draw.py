"""Draw a face: a textured head mesh, things around it, and every label from the same points.

>>> portrait = render(sample_face(1, identity=7), size=(128, 128), frame="crop")
>>> portrait.image.shape, portrait.landmarks["68"].shape
((128, 128, 3), (68, 2))
"""

import math

import cv2
import numpy as np

from faceptor.datasets.labels import CELEBAMASK_19, CELEBAMASK_TO_LAPA, facts
from faceptor.synthesis.accessories import ears_in_front, paint_accessories, paint_ears, paint_occluder
from faceptor.synthesis.body import paint_body
from faceptor.synthesis.canvas import Canvas
from faceptor.synthesis.drawn_attributes import attributes
from faceptor.synthesis.drawn_landmarks import Landmarks, landmarks
from faceptor.synthesis.face import Face
from faceptor.synthesis.features import Features
from faceptor.synthesis.hair import standing_off
from faceptor.synthesis.head import Head
from faceptor.synthesis.identity import clip
from faceptor.synthesis.palette import Palette
from faceptor.synthesis.photo import background, develop, light
from faceptor.synthesis.placement import place
from faceptor.synthesis.portrait import Portrait
from faceptor.synthesis.raster import rasterise
from faceptor.synthesis.texture import paint_head
from faceptor.synthesis.view import View
from faceptor.synthesis.visibility import bare, uncovered, unobstructed

_DOUBLED_UP_TO_PIXELS = 150  # pictures up to this many pixels a side are drawn twice as large
_PIXELS_PER_TEXEL = 14  # canvas pixels to a texel per cell of the mesh: texels stay finer than picture pixels
_MIN_TEXELS, _MAX_TEXELS = 4, 16


def render(
    face: Face, *, size: tuple[int, int], frame: str = "wild", maps: bool = False, rng_seed: int | None = None
) -> Portrait:
    """Draw `face` into an image of `size` (H, W); `frame` (`placement.FRAMES`) places it as the named data sets do.

    The same arguments give the same bytes. `maps` adds the class maps; `rng_seed` varies place, background and grain.
    """
    rng = np.random.default_rng(np.random.SeedSequence((face.texture, rng_seed or 0)))
    head = Head(face)
    features, colours = Features.of(head), Palette.of(face)
    marks = landmarks(head, features)
    matrix = place(frame, size, five=marks.five, box=_box(marks.extent), rng=rng)
    view = View(head=head, matrix=matrix, fine=2 if max(size) <= _DOUBLED_UP_TO_PIXELS else 1)

    texels = clip(round(view.unit / _PIXELS_PER_TEXEL), _MIN_TEXELS, _MAX_TEXELS)
    skin = paint_head(head, features, colours, texels=texels, rng=rng)
    canvas = Canvas(background(face, size[0] * view.fine, size[1] * view.fine, rng))
    paint_body(canvas, view, colours)
    front = ears_in_front(view)
    paint_ears(canvas, view, colours, ~front)
    shown = _paste_head(canvas, view, skin, texels)
    paint_ears(canvas, view, colours, front)
    paint_accessories(canvas, view, colours)
    clear = _clear(marks, view, canvas, shown)
    covered = paint_occluder(canvas, view, colours)[:: view.fine, :: view.fine]
    image = develop(canvas.planes, face, size=size, unit=view.scale, rng=rng)

    points = view.pixels(marks.plane).astype(np.float32)
    visible = clear & uncovered(points, covered)
    return Portrait(
        image=image,
        landmarks={scheme: points[chosen] for scheme, chosen in marks.index.items()},
        visible={scheme: visible[chosen] for scheme, chosen in marks.index.items()},
        points5=view.pixels(marks.five).astype(np.float32),
        box=_box(view.pixels(marks.extent)).astype(np.float32),
        age=face.age,
        expression=face.expression,
        attributes=attributes(face, head, features),
        identity=face.identity,
        pose=(face.yaw, face.pitch, face.roll),
        face=face,
        unit=view.scale,
        centre=view.pixels(head.project(np.zeros(3))[:2]).astype(np.float32),
        solid=np.column_stack([view.pixels(marks.solid[:, :2]), marks.solid[:, 2] * view.scale]).astype(np.float32),
        **(_maps(_majority(canvas.classes, view.fine)) if maps else {}),
    )


def _clear(marks: Landmarks, view: View, canvas: Canvas, shown: np.ndarray) -> np.ndarray:
    """(N,) bool: points that face the camera, with no hair, hat or nearer part of the head before them."""
    at, middle = view.fine_pixels(marks.plane), view.fine_pixels(marks.five.mean(axis=0))
    over = bare(at, canvas.classes, outline=marks.outline, middle=middle, unit=view.unit)
    return marks.visible & over & (unobstructed(at, marks.cells, shown) | marks.outline)


def _paste_head(canvas: Canvas, view: View, skin: Canvas, texels: int) -> np.ndarray:
    """Light the head's texture and show it on the mesh; `texels` pixels of the texture to a mesh cell.

    Returns the place of the mesh (column, row) that each pixel of the canvas shows, (2, H, W), -1 for none.
    """
    shown = np.full((2, *canvas.classes.shape), -1.0, np.float32)
    head = view.head
    grid = head.grid * standing_off(head)[..., None]
    skin.planes *= cv2.warpAffine(
        light(head, grid),
        np.array([[texels, 0, 0], [0, texels, 0]], float),
        skin.classes.shape[::-1],
        borderMode=cv2.BORDER_REPLICATE,
    )
    seen = head.project(grid)
    mesh = np.concatenate([view.fine_pixels(seen[..., :2]), seen[..., 2:] * view.unit], axis=-1)
    x, y, (height, width) = mesh[..., 0], mesh[..., 1], canvas.classes.shape
    left, top = max(math.floor(x.min()) - 1, 0), max(math.floor(y.min()) - 1, 0)
    right, bottom = min(math.ceil(x.max()) + 2, width), min(math.ceil(y.max()) + 2, height)
    if right <= left or bottom <= top:  # the head lies outside of the picture
        return shown
    column, row = rasterise(mesh - [left, top, 0], height=bottom - top, width=right - left)
    shown[:, top:bottom, left:right] = column, row
    drawn = column >= 0
    column, row = column * texels, row * texels
    for target, source in zip(canvas.planes, skin.planes, strict=True):
        np.copyto(target[top:bottom, left:right], cv2.remap(source, column, row, cv2.INTER_LINEAR), where=drawn)
    classes = cv2.remap(skin.classes, column, row, cv2.INTER_NEAREST)
    np.copyto(canvas.classes[top:bottom, left:right], classes, where=drawn)
    return shown


def _box(points: np.ndarray) -> np.ndarray:
    """(4,) x1 y1 x2 y2 around (N, 2) points."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _maps(classes: np.ndarray) -> dict:
    """The fields of `Portrait` that show which pixel belongs to what."""
    suffix = facts()["parsing"]["CelebAMask-HQ"]["mask_file_suffix_per_class"]
    present = np.flatnonzero(np.bincount(classes.ravel(), minlength=len(CELEBAMASK_19))[1:]) + 1
    return {
        "classes19": classes,
        "classes11": CELEBAMASK_TO_LAPA[classes],
        "parts": {suffix[i]: classes == i for i in present.tolist()},
    }


def _majority(classes: np.ndarray, fine: int) -> np.ndarray:
    """(H, W) most frequent class of each block of `fine` x `fine` pixels: no shift against the averaged picture."""
    if fine == 1:
        return classes
    present = np.flatnonzero(np.bincount(classes.ravel()))
    size = classes.shape[1] // fine, classes.shape[0] // fine
    cover = [cv2.resize(np.uint8(252) * (classes == i), size, interpolation=cv2.INTER_AREA) for i in present]
    return present[np.argmax(cover, axis=0)].astype(np.uint8)
