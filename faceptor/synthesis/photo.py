"""What the photographer adds: background, light on the head, exposure, focus and grain."""

import cv2
import numpy as np

from faceptor.synthesis.face import Face
from faceptor.synthesis.head import Head, smoothstep

_BACKGROUND_SIDE = 40  # side of the small picture that a background, always out of focus, is stretched from
_BACKGROUND_GRID = np.linspace(-1.0, 1.0, _BACKGROUND_SIDE)
_BACKGROUND_SLOPES = np.stack(np.meshgrid(_BACKGROUND_GRID, _BACKGROUND_GRID))  # across, down
_WARM, _SKY, _GREEN = np.array([8.0, 1.0, -9.0]), np.array([-12.0, 2.0, 18.0]), np.array([-7.0, 14.0, -17.0])
_LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)


def background(face: Face, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(3, height, width) float32."""
    small = _BACKGROUNDS[face.background](rng)
    shade = 1 + 0.12 * rng.standard_normal(2)[:, None, None] * _BACKGROUND_SLOPES
    small = np.clip(small * shade.prod(axis=0)[..., None], 8, 245).astype(np.float32)
    planes = np.empty((3, height, width), np.float32)
    for plane, channel in zip(planes, cv2.split(small), strict=True):
        cv2.resize(channel, (width, height), dst=plane, interpolation=cv2.INTER_LINEAR)
    return planes


def _muted(rng: np.random.Generator, low: float, high: float, chroma: float = 8.0) -> np.ndarray:
    """(3,) colour of a brightness between `low` and `high`, close to grey."""
    tint = chroma * rng.standard_normal(3)
    return rng.uniform(low, high) + tint - tint.mean()


def _studio(rng: np.random.Generator) -> np.ndarray:
    """A lit backdrop, brightest behind the head."""
    distance = np.hypot(_BACKGROUND_GRID[:, None] + 0.2, _BACKGROUND_GRID)
    return _muted(rng, 70, 205, 14) * (1.1 - rng.uniform(0.1, 0.5) * distance**2 / 2)[..., None]


def _indoor(rng: np.random.Generator) -> np.ndarray:
    """A wall with a few upright things: door, shelf, window."""
    small = np.full((_BACKGROUND_SIDE, _BACKGROUND_SIDE, 3), _muted(rng, 110, 205) + _WARM, np.float32)
    for _ in range(rng.integers(2, 6)):
        left, top = rng.integers(-4, _BACKGROUND_SIDE, 2).tolist()
        wide, tall = rng.integers(4, 14), rng.integers(8, 34)
        colour = _muted(rng, 40, 230, 12) + _WARM
        cv2.rectangle(small, (left, top), (int(left + wide), int(top + tall)), colour.tolist(), cv2.FILLED)
    return cv2.GaussianBlur(small, (0, 0), rng.uniform(0.5, 1.6))


def _outdoor(rng: np.random.Generator) -> np.ndarray:
    """Sky above trees or buildings above ground."""
    small = np.empty((_BACKGROUND_SIDE, _BACKGROUND_SIDE, 3), np.float32)
    sky = _muted(rng, 185, 225, 4) + _SKY
    small[:] = (sky * (1.02 - 0.06 * _BACKGROUND_GRID[:, None]))[:, None]
    skyline, ground = rng.integers(10, 22), rng.integers(26, 36)
    for left in range(-3, _BACKGROUND_SIDE, 5):
        top = int(skyline + rng.integers(-6, 7))
        colour = _muted(rng, 50, 110, 6) + (_GREEN if rng.random() < 0.6 else _WARM)
        cv2.rectangle(
            small, (left, top), (left + int(rng.integers(4, 11)), _BACKGROUND_SIDE), colour.tolist(), cv2.FILLED
        )
    small[ground:] = _muted(rng, 80, 150, 6) + (_GREEN if rng.random() < 0.5 else _WARM)
    return cv2.GaussianBlur(small, (0, 0), rng.uniform(0.9, 2.0))


_BACKGROUNDS = {"studio": _studio, "indoor": _indoor, "outdoor": _outdoor}


def light(head: Head, grid: np.ndarray) -> np.ndarray:
    """(ROWS, COLUMNS) float32 brightness of a head mesh (ROWS, COLUMNS, 3) in head axes."""
    face = head.face
    azimuth, elevation = np.deg2rad([face.light_azimuth, face.light_elevation])
    toward = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    strength = 0.25 + 0.45 * face.light_strength
    (ax, ay, az), (bx, by, bz) = (np.moveaxis(along, -1, 0) for along in np.gradient(grid @ head.matrix.T, axis=(1, 0)))
    normal = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    normal /= np.maximum(np.sqrt((normal * normal).sum(-1, keepdims=True)), 1e-9)
    diffuse = 1 - strength + 1.25 * strength * np.clip(normal @ toward, 0, 1)
    under_chin = smoothstep(head.rows[:, None], head.chin, head.chin + 0.15)
    return (diffuse * (0.82 + 0.18 * np.clip(normal[..., 2], 0, 1)) * (1 - 0.35 * under_chin)).astype(np.float32)


def develop(
    planes: np.ndarray, face: Face, *, size: tuple[int, int], unit: float, rng: np.random.Generator
) -> np.ndarray:
    """Drawn planes (3, h, w) -> (H, W, 3) uint8 of `size`; `unit` is pixels of the result to a head unit."""
    height, width = size
    image = cv2.merge([cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in planes])
    if face.flash:
        image = 255 * (np.maximum(image, 0) / 255) ** 0.85
    image = cv2.GaussianBlur(image, (0, 0), max(0.3, face.blur * 2 * unit) if face.blur else 0.5)
    gain = np.diag(face.exposure * (1 + 0.09 * face.warmth * np.array([1, 0.1, -1])))
    if face.grayscale:
        gain = _LUMA @ gain
    image = cv2.transform(image, gain.astype(np.float32)).reshape(height, width, -1)
    image += face.noise * rng.standard_normal(image.shape, np.float32)
    image = np.clip(image, 0, 255, out=image).astype(np.uint8)
    return np.repeat(image, 3, axis=2) if face.grayscale else image
