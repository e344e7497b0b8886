"""Attributions: a signed map with its method, target and layer, and statistics on maps."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, transform_points
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE", "EMPTY", "NOT APPLICABLE"]

MaskGrid = NDArray[np.bool_]
"""(I, J, K) bool: inside or outside of what the map should find."""

_TIE = 1e-6
_SSIM_WINDOW = 7
_CAP_QUANTILE = 0.99


@dataclass(frozen=True)
class Attribution:
    """One method's account of one logit; the map keeps its sign and raw scale.

    Args:
        grid: Map (I, J, K) on the array's grid, channels summed.
        method: Name of the method.
        target: Index of the class whose logit is explained.
        layer: Dotted name of the layer, where the method has one.
        parameters: What the method was in fact given.
        output: The target's logit for the image.
        output_difference: That logit less the baseline's logit.
        completeness_error: |sum of the map - output_difference|, where the method promises 0.
        native: The map on the grid on which it was computed, where that is another.
        baseline_digest: sha256 of what stood for absence, where the method measures against that.
    """

    grid: FloatGrid
    method: str
    target: int
    layer: str | None
    parameters: dict[str, JsonValue]
    output: float
    output_difference: float
    completeness_error: float | None = None
    native: FloatGrid | None = None
    baseline_digest: str | None = None


@dataclass(frozen=True)
class Check:
    """One row of the table of checks.

    Args:
        image_id: Image whose map was checked.
        method: Method of the map, or the name of a control.
        check: Name of the check.
        verdict: What came of it.
        reason: Why, in one sentence with numbers and units.
        source: Citation key of the check's definition.
        statistic: What was measured.
        comparator: What chance, or the control, gives.
        threshold: What the statistic is held against.
        n: Number of draws, orders, pairs, voxels or steps behind the figures.
        edge_map: The statistic of the image's edge map.
        centre_prior: The statistic of a map that marks the middle of every image.
        edge_margin: By how much the map does better than the edge map: of deletion and insertion in
            mean logit, else in the unit of the statistic; below 0 where it does worse.
    """

    image_id: str
    method: str
    check: str
    verdict: Verdict
    reason: str
    source: str
    statistic: float | None = None
    comparator: float | None = None
    threshold: float | None = None
    n: int | None = None
    edge_map: float | None = None
    centre_prior: float | None = None
    edge_margin: float | None = None


def is_empty(grid: FloatGrid) -> bool:
    """Say whether a map marks nothing: zero everywhere."""
    return not grid.any()


def find_peak(grid: FloatGrid) -> tuple[int, int, int]:
    """Return the voxel of the largest value; of a plateau, the voxel nearest its centroid.

    Occlusion's maps have plateaus as large as their window, whose first voxel is a corner.
    """
    top = float(grid.max())
    voxels = np.argwhere(grid >= top - _TIE * abs(top))
    offset = ((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1)
    i, j, k = voxels[int(np.argmin(offset))]
    return int(i), int(j), int(k)


def compute_distance_mm(mask: MaskGrid, voxel: tuple[int, int, int], *, affine: Affine) -> float:
    """Return the distance from a voxel's centre to the nearest centre inside the mask, in mm.

    Args:
        mask: (I, J, K), not empty.
        voxel: Index (i, j, k).
        affine: (4, 4), index to mm.
    """
    inside = transform_points(affine, np.argwhere(mask).astype(np.float64))
    point = transform_points(affine, np.array([voxel], dtype=np.float64))
    return float(np.sqrt(((inside - point) ** 2).sum(axis=1).min()))


def compute_relevance_mass(grid: FloatGrid, mask: MaskGrid) -> float:
    """Return the share of the positive attribution that lies inside the mask, in [0, 1].

    A map with nothing positive has no share and gives NaN.

    Source:
        Arras, Osman, Samek 2022, doi:10.1016/j.inffus.2021.11.008 (relevance mass accuracy).
    """
    positive = np.maximum(grid, 0).astype(np.float64)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else float("nan")


def compute_similarity(a: FloatGrid, b: FloatGrid) -> float:
    """Return the structural similarity (SSIM) of two maps, by size and without sign.

    The window is a uniform box of 7 voxels, clipped to the grid; only whole windows count. The
    data range is 1.

    Source:
        Wang 2004, doi:10.1109/TIP.2003.819861; absolute maps as in Adebayo 2018,
        arXiv:1810.03292, capped as in Smilkov 2017, arXiv:1706.03825.
    """
    x, y = _scale_size(a), _scale_size(b)
    mean_x, mean_y = _box_mean(x), _box_mean(y)
    variance_x = _box_mean(x * x) - mean_x**2
    variance_y = _box_mean(y * y) - mean_y**2
    covariance = _box_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return float((above / below).mean())


def _scale_size(grid: FloatGrid) -> NDArray[np.float64]:
    """Return the absolute map in [0, 1], capped at its 99th percentile.

    Divided by its maximum, a map with one hot voxel would be flat elsewhere, and alike to any
    other such map.
    """
    size = np.abs(grid).astype(np.float64)
    cap = float(np.quantile(size, _CAP_QUANTILE)) or float(size.max()) or 1.0
    return np.minimum(size / cap, 1.0)


def _box_mean(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over each whole window, axis by axis."""
    for axis, length in enumerate(grid.shape):
        window = min(_SSIM_WINDOW, length)
        views = np.lib.stride_tricks.sliding_window_view(grid, window, axis=axis)
        grid = views.mean(axis=-1)
    return grid
