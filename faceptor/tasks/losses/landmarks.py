"""Losses of landmarks, on heat maps or on coordinates.

Normalised points are (pixel + 0.5) / S of the crop, xy, so the crop spans [0, 1]. A model answers heat-map logits
(B, N, h, w), read as the centroid of the sigmoid map, or coordinates (B, N, 2) in [-1, 1], pixel = ((v + 1) S - 1) / 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceptor.errors import ConfigError

# --- heat maps -------------------------------------------------------------------------------------------------------


def render_heatmaps(points: Tensor, size: tuple[int, int], *, radius: float = 5.0) -> Tensor:
    """Normalised points (..., 2) -> (..., h, w): a Gaussian of sigma radius/4 cells, cut off beyond the radius.

    Centres are real-valued, so the peak is below 1 unless a point falls on a cell centre; a point outside the map
    still paints the part of its disc that lies inside.
    """
    h, w = size
    squares = []
    for axis, cells in ((0, w), (1, h)):
        centre = points[..., axis, None] * cells - 0.5
        squares.append((torch.arange(cells, device=points.device, dtype=points.dtype) - centre) ** 2)
    x2, y2 = squares
    falloff = -8.0 / radius**2  # 1 / (2 sigma^2)
    # The Gaussian separates, so exp runs over h + w values instead of h * w; the disc does not.
    heat = (falloff * y2).exp()[..., :, None] * (falloff * x2).exp()[..., None, :]
    return heat.masked_fill_(y2[..., :, None] + x2[..., None, :] > radius**2, 0.0)


def soft_argmax(logits: Tensor) -> Tensor:
    """(..., h, w) logits -> (..., 2) normalised xy: the centroid of the whole sigmoid map."""
    heat = logits.sigmoid()
    columns, rows = heat.sum(-2), heat.sum(-1)
    total = columns.sum(-1).clamp_min(1e-6)
    centres = [
        (torch.arange(mass.shape[-1], device=mass.device, dtype=mass.dtype) * mass).sum(-1) / total
        for mass in (columns, rows)
    ]
    sizes = (logits.shape[-1], logits.shape[-2])
    return torch.stack([(c + 0.5) / n for c, n in zip(centres, sizes, strict=True)], dim=-1)


def coordinate_loss(points: Tensor, target: Tensor) -> Tensor:
    """Mean Euclidean distance over all points, normalised units."""
    return torch.linalg.vector_norm(points - target, dim=-1).mean()


def points_of(raw: Tensor) -> Tensor:
    """(..., N, 2) normalised points of heat-map logits (B, N, h, w) or coordinates (B, N, 2)."""
    return soft_argmax(raw) if raw.ndim == 4 else (raw + 1) / 2


class HeatmapLoss(nn.Module):
    """coordinate * coordinate term + heatmap * heat-map term, as released for Faceptor.

    The heat-map term is the mean binary cross entropy against the rendered target. `map_size` 0 renders that at the
    size of the logits; the reference renders at 128 for any input, and resizes the logits (half-pixel). A model that
    answers coordinates has no heat maps, so the coordinate term is all of its loss.
    """

    def __init__(self, *, radius: float, map_size: float, coordinate: float, heatmap: float):
        super().__init__()
        self.radius, self.map_size, self.coordinate, self.heatmap = radius, int(map_size), coordinate, heatmap

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        raw, points = raw.float(), target["points"].float()
        coordinate = coordinate_loss(points_of(raw), points)
        if raw.ndim == 3:
            return {"loss": self.coordinate * coordinate, "coordinate": coordinate}
        height, width = raw.shape[-2:]
        size = (self.map_size or height, self.map_size or width)
        if size != (height, width):
            raw = F.interpolate(raw, size=size, mode="bilinear", align_corners=False)
        heatmap = F.binary_cross_entropy_with_logits(raw, render_heatmaps(points, size, radius=self.radius))
        return {
            "loss": self.coordinate * coordinate + self.heatmap * heatmap,
            "coordinate": coordinate,
            "heatmap": heatmap,
        }


class L1Loss(nn.Module):
    """Mean absolute error of the normalised coordinates, rounded to a parabola within `beta` of 0 (smooth L1).

    For models that regress coordinates, as FaceXFormer's released weights do; the paper's STAR loss needs heat maps.
    """

    def __init__(self, *, beta: float):
        super().__init__()
        self.beta = beta

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": F.smooth_l1_loss(points_of(raw.float()), target["points"].float(), beta=self.beta)}


# --- STAR ------------------------------------------------------------------------------------------------------------


def moments(logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(..., h, w) logits -> mean (..., 2) normalised xy, and the covariance's xx, xy, yy (...) in these units squared.

    Weights are those that the centroid is made with, p = sigmoid / its sum; the covariance is the unbiased one of
    weighted samples, divided by 1 - sum p^2.
    """
    heat = logits.sigmoid()
    p = heat / heat.sum((-2, -1), keepdim=True).clamp_min(1e-6)
    mean = soft_argmax(logits)
    x, y = (
        (torch.arange(n, device=p.device, dtype=p.dtype) + 0.5) / n - mean[..., axis, None]
        for axis, n in ((0, p.shape[-1]), (1, p.shape[-2]))
    )
    share = (1 - p.square().sum((-2, -1))).clamp_min(1e-6)
    columns, rows = p.sum(-2), p.sum(-1)
    xx, yy = (columns * x.square()).sum(-1) / share, (rows * y.square()).sum(-1) / share
    xy = ((p * x[..., None, :]).sum(-1) * y).sum(-1) / share
    return mean, xx, xy, yy


class StarLoss(nn.Module):
    """STAR loss (Zhou et al., CVPR 2023), which FaceXFormer trains landmarks with (section 3.4).

    A heat map that is long in one direction says that the point is ambiguous along it, as on the jaw line. With the
    map's mean m and covariance of eigenvalues l1 >= l2 and unit eigenvectors v1, v2, the error e = truth - m of each
    point is taken apart along these axes and counts less where the map is long:

        d(v1 . e) / sqrt(l1 + epsilon) + d(v2 . e) / sqrt(l2 + epsilon) + eigenvalue * (l1 + l2),

    d being the smooth L1 distance (a parabola within `beta`). The last term ("value restriction") keeps the map from
    growing long to escape its errors. Mean over points and samples, normalised units. The gradient goes through mean
    and eigenvalues; the directions are taken as they are, for their derivative is unbounded where the map is round.
    """

    def __init__(self, *, beta: float, epsilon: float, eigenvalue: float):
        super().__init__()
        self.beta, self.epsilon, self.eigenvalue = beta, epsilon, eigenvalue

    def forward(self, raw: Tensor, target: dict[str, Tensor]) -> dict[str, Tensor]:
        if raw.ndim != 4:
            found = f"criterion: loss star needs heat maps, this model answers coordinates of shape {tuple(raw.shape)}"
            raise ConfigError(f"{found}; choose loss: l1")
        mean, xx, xy, yy = moments(raw.float())
        middle, half = (xx + yy) / 2, (xx - yy) / 2
        spread = (half.square() + xy.square() + 1e-16).sqrt()
        along = (torch.atan2(xy, half) / 2).detach()  # direction of the larger eigenvalue
        error = target["points"].float() - mean
        cosine, sine = along.cos(), along.sin()
        star = 0.0
        for eigenvalue, (x, y) in ((middle + spread, (cosine, sine)), (middle - spread, (-sine, cosine))):
            part = error[..., 0] * x + error[..., 1] * y
            distance = F.smooth_l1_loss(part, torch.zeros_like(part), beta=self.beta, reduction="none")
            star = star + distance / (eigenvalue.clamp_min(0) + self.epsilon).sqrt()
        star, size = star.mean(), (xx + yy).mean()
        return {"loss": star + self.eigenvalue * size, "star": star, "eigenvalue": size}
