"""Where a face lies in the picture: loosely as found in the wild, cropped, or aligned as the named data sets align."""

import numpy as np

from faceptor.datasets.labels import alignment_template
from faceptor.errors import ConfigError

# Alignment points (eyes, nose tip, mouth corners) and the (width, height) of the picture they are given for.
_ALIGNED = {
    "arcface": (alignment_template("arcface_112x112"), (112, 112)),
    "celeba": (np.array([[69.5, 111.5], [107.5, 111.5], [88.0, 131.5], [72.0, 152.0], [105.5, 152.0]]), (178, 218)),
    "celebahq": (np.array([[198, 242], [314, 242], [256, 304], [206, 368], [306, 368]]), (512, 512)),
}
# Share of the picture's shorter side that the face box fills (least, spread), and jitter of its centre.
_UNALIGNED = {"wild": (0.36, 0.16, 0.06), "crop": (0.72, 0.08, 0.02)}
FRAMES = (*_UNALIGNED, *_ALIGNED)


def place(
    frame: str, size: tuple[int, int], *, five: np.ndarray, box: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(2, 3) matrix from the image plane (head units) to xy pixels of a picture of `size` (H, W).

    `five` (5, 2) and `box` (4,) x1 y1 x2 y2 are the face's alignment points and extent in head units.
    """
    height, width = size
    if frame in _ALIGNED:
        template, full = _ALIGNED[frame]
        scale = min(width / full[0], height / full[1])
        margin = (np.array([width, height]) - scale * np.array(full)) / 2
        return similarity(five, template * scale + margin)
    if frame not in _UNALIGNED:
        raise ConfigError(f"render: frame: expected one of {', '.join(FRAMES)}, found {frame!r}")
    least, spread, jitter = _UNALIGNED[frame]
    scale = (least + spread * rng.random()) * min(height, width) / (box[2:] - box[:2]).max()
    centre = np.array([width, height]) * (0.5 + jitter * (2 * rng.random(2) - 1)) + [0, 0.03 * height]
    shift = centre - scale * (box[:2] + box[2:]) / 2
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3) least-squares similarity without reflection from (N, 2) points to (N, 2) points."""
    from_mean, to_mean = source.mean(0), target.mean(0)
    s, t = (source - from_mean) @ [1, 1j], (target - to_mean) @ [1, 1j]
    c = (np.conj(s) @ t) / (np.abs(s) ** 2).sum()
    m = np.array([[c.real, -c.imag], [c.imag, c.real]])
    return np.concatenate([m, (to_mean - m @ from_mean)[:, None]], axis=1)
