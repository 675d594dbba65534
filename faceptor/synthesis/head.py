"""The head as a surface, and its projection.

Head units: 1 is about half the width of an average face (70 mm). x runs to image-right, y down, z to the viewer; the
origin lies between the ears at eye height. The surface is swept by rows: `v` names a row by the height at which it
crosses the face's midline, `u` is the angle around the head (0 = nose, +pi/2 = image-right ear, radians). Rows tilt
upwards at the sides below the eyes, so that the last row is the jaw line; rows beyond it are the underside of the chin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from faceptor.synthesis.face import Face
from faceptor.synthesis.facial_actions import action_of
from faceptor.synthesis.identity import clip

MAX_ANGLE = 2.75
COLUMNS, DOME_ROWS, FACE_ROWS, CHIN_ROWS = 43, 7, 32, 4
ROWS = DOME_ROWS + FACE_ROWS + CHIN_ROWS
CAMERA_DISTANCE = 10.0
"""Camera distance in head units: mild perspective, as in a portrait photograph."""


def smoothstep(x: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    x = np.clip((x - low) / (high - low), 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def columns() -> np.ndarray:
    """Angles of the mesh columns, denser at the nose than behind the ears."""
    s = np.linspace(-1.0, 1.0, COLUMNS)
    return MAX_ANGLE * np.sinh(1.9 * s) / np.sinh(1.9)


_COLUMN_ANGLES = columns()
_DOME_HEIGHTS = np.cos(np.linspace(0.0, np.pi / 2, DOME_ROWS + 1)[:-1])  # of its rows, 1 at the crown
_NEIGHBOUR = 0.03
"""Step in `u` and in `v` to the neighbours that give a surface normal."""


def _dot(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Scalar products of vectors given as x, y and z."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) matrix from head to camera axes; degrees, signs as documented at `Face`."""
    y, p, r = -np.deg2rad(yaw), np.deg2rad(pitch), np.deg2rad(roll)
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


@dataclass
class Head:
    """Surface of one face. `surface(u, v)` gives points, `locate(x, y)` the (u, v) of a point drawn on the front."""

    face: Face

    def __post_init__(self) -> None:
        face, person = self.face, self.face.person
        age = face.apparent_age
        self.child = child = clip((17.0 - age) / 16.0, 0.0, 1.0) ** 0.8
        self.aged = aged = face.aged
        self.action = action_of(face)
        fat = person.fat + 0.5 * child + 0.6 * face.youth + 0.3 * aged
        self.fat = fat
        self.width = width = 1.0 + 0.065 * person.face_width + 0.03 * fat
        self.jaw = jaw = (0.80 + 0.06 * person.jaw_width + 0.045 * fat) * width * (1 - 0.06 * child)
        chin = (1.52 + 0.11 * person.chin_length) * (1 - 0.2 * child)
        self.rest_chin = chin
        self.chin = chin = chin + self.action.jaw
        self.crown = crown = -(1.52 + 0.07 * person.forehead + 0.05 * child)
        self.dome = -0.62
        # Exponent of the rise of the jaw line: low = pointed chin, high = square jaw.
        self.jaw_power = 0.98 + 0.17 * person.jaw_shape
        rise = 0.62 - 0.08 * person.jaw_shape + self.action.jaw * 0.75 - 0.05 * child
        cheek = 0.03 * person.cheekbone
        low = chin - 0.12
        # One column per knot row: lift of the sides, height of the midline, half width, front depth, back depth.
        self.knots_v = np.array([self.dome, -0.25, 0.1, 0.4, 0.75, 1.05, low, chin, chin + 0.1, chin + 0.3])
        self.knots = np.array(
            [
                [0.0, 0.0, -0.05, -0.12, -0.26, -0.42, -rise, -rise, -rise + 0.02, -rise],
                [self.dome, -0.25, 0.1, 0.4, 0.75, 1.05, low, chin, chin + 0.03, chin + 0.02],
                [
                    0.97 * width - 0.02 * child,
                    1.0 * width,
                    1.0 * width + cheek,
                    0.985 * width + cheek,
                    0.93 * width + 0.02 * fat,
                    0.5 * (0.89 * width + jaw) + 0.02 * fat,
                    jaw + 0.02,
                    jaw,
                    0.92 * jaw,
                    0.6 * jaw,
                ],
                [1.10 - 0.04 * child, 1.17, 1.13, 1.16, 1.19, 1.2, 1.17, 1.1, 0.98, 0.5],
                [1.3, 1.34, 1.28, 1.18, 1.05, 0.95, 0.85, 0.8, 0.76, 0.6],
            ]
        )
        self.knots_slope = np.diff(self.knots, axis=1) / np.diff(self.knots_v)
        face_v = np.linspace(self.dome, chin, FACE_ROWS + 1)
        dome_v = self.dome + (crown - self.dome) * _DOME_HEIGHTS
        chin_v = chin + np.array([0.06, 0.13, 0.21, 0.3])[:CHIN_ROWS]
        self.rows = np.concatenate([dome_v, face_v, chin_v[: CHIN_ROWS - 1]])

    def profile(self, v: np.ndarray, measures: int = 5) -> tuple[np.ndarray, ...]:
        """The first `measures` of lift, midline height, half width, front depth and back depth of rows `v`."""
        inside = np.minimum(np.maximum(v, self.knots_v[0]), self.knots_v[-1])
        left = self.knots_v[1:-1].searchsorted(inside, side="right")
        values = self.knots_slope[:measures].take(left, axis=1)
        values *= inside - self.knots_v.take(left)
        values += self.knots[:measures].take(left, axis=1)
        above = v < self.dome
        if above.any():  # the dome: rows shrink towards the crown
            up = np.minimum((v[above] - self.dome) / (self.crown - self.dome), 1.0)
            values[2:, above] *= np.sqrt(np.maximum(1e-4, 1.0 - up**2.3))
            values[1, above] = v[above]
        return tuple(values)

    def surface(self, u: np.ndarray, v: np.ndarray, *, bumps: bool = True) -> np.ndarray:
        """(..., 3) points of the bare head (no hair) at angles `u` and rows `v`."""
        x, y, z, depth = self._swept(u, v)
        if bumps:
            z = z + self.relief(x, y) * np.clip(2.2 * depth, 0.0, 1.0)
        return np.stack([x, y, z], axis=-1)

    def _swept(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """x, y and z of the smooth surface, and how far ahead (1) or behind (-1) the origin they lie in their row."""
        u, v = np.asarray(u, float), np.asarray(v, float)
        lift, y0, w, front, back = self.profile(v)
        sine, cosine = np.sin(u), np.cos(u)
        side = np.copysign(np.abs(sine) ** 0.93, sine)
        depth = np.copysign(np.abs(cosine) ** 0.86, cosine)
        x = w * side
        y = y0 + lift * np.maximum(1e-9, 1.0 - np.maximum(depth, -0.25)) ** self.jaw_power
        return x, y, np.where(depth > 0, front, back) * depth, depth

    def locate(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) frontal (x, y) on the face -> (u, v); exact up to a few fixed-point steps."""
        x, y = points[..., 0], points[..., 1]
        reach, v = np.abs(x), y
        for _ in range(5):
            lift, y0, w = self.profile(v, 3)
            sine = np.minimum(reach / np.maximum(w, 1e-3), 0.999) ** (1 / 0.93)
            depth = (1.0 - sine * sine) ** 0.43  # |cos u| to the power that `surface` uses
            v = v + (y - (y0 + lift * np.maximum(1e-9, 1.0 - depth) ** self.jaw_power))
        return np.stack([np.copysign(np.arcsin(sine), x), v], axis=-1)

    def facing(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Cosine of the angle between the smooth surface's normal and the line to the camera at places (u, v).

        Both have as many axes, which broadcast.
        """
        u, v = np.asarray(u, float), np.asarray(v, float)
        here_and_beside = self._swept(np.array([u, u + _NEIGHBOUR, u - _NEIGHBOUR]), v)[:3]
        below_and_above = self._swept(u, np.array([v + _NEIGHBOUR, v - _NEIGHBOUR]))[:3]
        ax, ay, az = (right - left for _, right, left in here_and_beside)
        bx, by, bz = (below - above for below, above in below_and_above)
        normal = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        # The camera too is seen in the axes of the head.
        view = [
            camera - here
            for camera, (here, _, _) in zip(CAMERA_DISTANCE * self.matrix[2], here_and_beside, strict=True)
        ]
        length = np.sqrt(_dot(normal, normal) * _dot(view, view))
        return _dot(normal, view) / np.maximum(length, 1e-9)

    @cached_property
    def contour(self) -> np.ndarray:
        """(33, 2) (u, v) along the jaw, evenly spaced from the image-left ear over the chin to the other ear."""
        ear = 1.5  # angle at which the ears cover the jaw line
        down = np.stack([np.full(8, -ear), np.linspace(0.05, self.chin, 8)], axis=1)
        along = np.stack([np.linspace(-ear, 0.0, 25)[1:], np.full(24, self.chin)], axis=1)
        path = np.concatenate([down, along])
        p = self.surface(path[:, 0], path[:, 1])
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
        at = np.linspace(0.0, length[-1], 17)
        half = np.stack([np.interp(at, length, path[:, i]) for i in (0, 1)], axis=1)
        return np.concatenate([half, (half * [-1.0, 1.0])[::-1][1:]])

    def relief(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Forward displacement of the face: nose, sockets, cheekbones, lips, chin, and what age and mimics add."""
        p, a, f = self.face.person, self.action, self
        ax = np.abs(x)

        def bump(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
            return np.exp(-(((ax - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)

        n = f.nose
        height = np.interp(y, n.knots_y, n.knots_h)
        breadth = np.interp(y, n.knots_y, n.knots_s)
        z = height * np.exp(-((x / breadth) ** 2))
        z += n.wing_h * bump(n.wing_x, n.wing_y, 0.075, 0.075)
        eye_x, fat, aged = f.eye_x, clip(f.fat, -2, 2.5), f.aged
        z -= (0.10 + 0.02 * aged) * bump(eye_x, 0.0, 0.26, 0.16)
        z += 0.055 * bump(eye_x, 0.01, 0.17, 0.10)
        z += (0.03 + 0.02 * p.male - 0.03 * f.child) * bump(0.36, -0.2, 0.34, 0.09)
        z += (0.045 + 0.025 * p.cheekbone + 0.03 * a.cheek) * bump(0.62, 0.42 - 0.06 * a.cheek, 0.22, 0.18)
        z -= (0.03 - 0.03 * fat + 0.02 * aged) * bump(0.66, 0.9, 0.2, 0.22)
        z += (0.06 * aged + 0.015 * fat) * bump(0.55, f.mouth_y + 0.28, 0.16, 0.2)
        z += 0.07 * bump(0.0, f.mouth_y, 0.36, 0.16)
        z -= 0.05 * bump(0.0, f.mouth_y + 0.28 + 0.7 * a.jaw, 0.25, 0.07)
        z += (0.07 + 0.02 * p.chin_length) * bump(0.0, f.chin - 0.16, 0.22, 0.15)
        return z

    @cached_property
    def nose(self) -> "Nose":
        return Nose.of(self)

    @property
    def double_chin(self) -> bool:
        """A fold of skin hangs below the chin."""
        return self.fat > 1.1

    @cached_property
    def eye_x(self) -> float:
        return 0.45 + 0.036 * self.face.person.eye_spacing

    @cached_property
    def mouth_y(self) -> float:
        """Height of the mouth's corners at rest."""
        p = self.face.person
        base = self.nose.base_y + (self.rest_chin - self.nose.base_y) * (0.37 + 0.025 * p.mouth_height)
        return float(base)

    @cached_property
    def grid(self) -> np.ndarray:
        """(ROWS, COLUMNS, 3) mesh of the bare head."""
        return self.surface(_COLUMN_ANGLES[None, :], self.rows[:, None])

    def texel(self, uv: np.ndarray) -> np.ndarray:
        """(..., 2) (u, v) -> (column, row) in mesh cells, fractional."""
        column = (np.arcsinh(uv[..., 0] / MAX_ANGLE * np.sinh(1.9)) / 1.9 + 1.0) * (COLUMNS - 1) / 2
        row = np.interp(uv[..., 1], self.rows, np.arange(len(self.rows)))
        return np.stack([column, row], axis=-1)

    @cached_property
    def matrix(self) -> np.ndarray:
        return rotation(self.face.yaw, self.face.pitch, self.face.roll)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) head points -> (..., 3): image-plane x, y in head units and depth (larger = nearer)."""
        seen = points @ self.matrix.T
        factor = CAMERA_DISTANCE / (CAMERA_DISTANCE - seen[..., 2:])
        return np.concatenate([seen[..., :2] * factor, seen[..., 2:]], axis=-1)


@dataclass(frozen=True)
class Nose:
    """Measures of the nose in head units; `knots_*` give ridge height and breadth along y."""

    tip_y: float
    base_y: float
    wing_x: float
    wing_y: float
    wing_h: float
    knots_y: np.ndarray
    knots_h: np.ndarray
    knots_s: np.ndarray

    @classmethod
    def of(cls, head: Head) -> "Nose":
        p, a = head.face.person, head.action
        length = (0.60 + 0.045 * p.nose_length + 0.03 * head.aged) * (1 - 0.22 * head.child) - 0.045 * a.nose
        high = (0.34 + 0.05 * p.nose_height) * (1 - 0.35 * head.child)
        breadth = (0.165 + 0.022 * p.nose_width) * (1 - 0.05 * head.child) * (1 + 0.1 * a.nose)
        tip = length - 0.02 * p.nose_tip
        sharp = 1.0 - 0.16 * p.nose_tip
        return cls(
            tip_y=float(tip),
            base_y=float(length + 0.11),
            wing_x=float(breadth * (1.05 - 0.07 * p.nose_tip)),
            wing_y=float(length + 0.015),
            wing_h=float(0.11 * (1 - 0.3 * head.child)),
            knots_y=np.array([-0.3, -0.12, 0.05, 0.25, tip - 0.12, tip, tip + 0.06, length + 0.13, length + 0.24]),
            knots_h=high * np.array([0.0, 0.13, 0.2, 0.45, 0.86, 1.0, 0.93, 0.22, 0.0]),
            knots_s=breadth * np.array([0.9, 0.6, 0.52, 0.6, 0.72 * sharp, 0.8 * sharp, 0.85, 1.0, 1.0]),
        )
