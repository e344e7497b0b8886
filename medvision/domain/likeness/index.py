"""An index of descriptors: the nearest of many without looking at all pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import Descriptors

Points = NDArray[np.float32]
"""(N, axes) float32: descriptors on their principal axes."""

N_TABLES = 40
_N_AXES = 32
_CHUNK = 128
_ROWS = 65_536
_FITTED = 20_000
_SEED = 20260101


@dataclass(frozen=True)
class Axes:
    """Principal axes of descriptors: (F, axes), each shortened by the root of its spread."""

    matrix: NDArray[np.float32]

    def project(self, descriptors: Descriptors) -> Points:
        """Return (N, axes)."""
        points: Points = descriptors @ self.matrix
        return points


@dataclass(frozen=True)
class Candidates:
    """Pairs worth a second look: whole image `query`, part `view` of image `image`, (M,) each."""

    query: NDArray[np.int64]
    image: NDArray[np.int64]
    view: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        """Return some of the pairs."""
        return Candidates(self.query[rows], self.image[rows], self.view[rows])


def fit_axes(descriptors: Descriptors) -> Axes:
    """Find the axes along which descriptors differ, on evenly taken rows.

    Axes of small spread are given more weight, those of large spread less: what all images of
    a cohort share tells no two of them apart.

    Args:
        descriptors: (N, F) of whole images.
    """
    step = max(1, len(descriptors) // _FITTED)
    rows = descriptors[::step].astype(np.float64)
    centred = rows - rows.mean(axis=0)
    spread, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    kept = np.sqrt(np.maximum(spread[::-1][:_N_AXES], 0))
    floor = 0.02 * max(float(kept[0]), 1e-6)
    matrix = vectors[:, ::-1][:, :_N_AXES] / np.sqrt(np.maximum(kept, floor))
    return Axes(matrix.astype(np.float32))


def find_candidates(points: Points, *, n_images: int, n_nearest: int, reach: int) -> Candidates:
    """Find, for each whole image, the views of other images that are nearest to it.

    Each of several tables sorts all views by a perceptual hash (the signs of a few random
    projections, one bit for each doubling of the views) and within one hash by one more
    projection; a query looks at a fixed number of neighbours in each table. The work grows with
    n log n, whatever the data; a neighbour that lies apart in every table is missed.

    Args:
        points: (views × images, axes), all images of the first view, which is whole, come first.
        n_images: Number of images.
        n_nearest: Most images held against one query.
        reach: Neighbours looked at on either side of a query in each table.

    Returns:
        Candidates in order of query and distance; none of an image with itself.

    Source:
        Sign projections: Charikar 2002, doi:10.1145/509907.509965. Neighbours in sorted
        random projections: own choice, after Indyk and Motwani 1998, doi:10.1145/276698.276876.
    """
    rng = np.random.default_rng(_SEED)
    found = np.concatenate(
        [_look_up(points, rng, n_images=n_images, reach=reach) for _ in range(N_TABLES)], axis=1
    )
    parts = [
        _keep_nearest(points, found, slice(start, start + _CHUNK), n_images, n_nearest)
        for start in range(0, n_images, _CHUNK)
    ]
    query, point = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Candidates(query, point % n_images, point // n_images)


def _look_up(
    points: Points, rng: np.random.Generator, *, n_images: int, reach: int
) -> NDArray[np.int32]:
    """Sort one table; return the neighbours (images, 2 × reach) of each whole image in it."""
    n_bits = int(np.clip(np.log2(len(points)) - 5, 1, 23))
    normals = rng.normal(size=(points.shape[1], n_bits + 1)).astype(np.float32)
    middle = np.median(points[:n_images] @ normals[:, :n_bits], axis=0)
    projected = [
        _hash(points[start : start + _ROWS], normals, middle)
        for start in range(0, len(points), _ROWS)
    ]
    code, last = (np.concatenate(column) for column in zip(*projected, strict=True))
    width = float(np.ptp(last)) or 1.0
    order = np.argsort(code + 0.999 * (last - last.min()) / width, kind="stable").astype(np.int32)
    rank = np.empty(len(points), dtype=np.int32)
    rank[order] = np.arange(len(points), dtype=np.int32)
    steps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    at = np.clip(rank[:n_images, None] + steps, 0, len(points) - 1)
    neighbours: NDArray[np.int32] = order[at]
    return neighbours


def _hash(
    points: Points, normals: NDArray[np.float32], middle: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the hash of each of some points, and where it lies along one more direction."""
    projected = points @ normals
    bits = projected[:, :-1] > middle
    code = bits.astype(np.float32) @ np.exp2(np.arange(len(middle), dtype=np.float32))
    return code.astype(np.float64), projected[:, -1].astype(np.float64)


def _keep_nearest(
    points: Points, found: NDArray[np.int32], rows: slice, n_images: int, n_nearest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the nearest view of each neighbour of some queries, and of those the nearest."""
    queries = np.arange(n_images)[rows]
    point = np.sort(found[rows].astype(np.int64), axis=1)
    away = points[point] - points[queries][:, None]
    distance = np.einsum("qpa,qpa->qp", away, away)
    distance[point % n_images == queries[:, None]] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")
    distance = np.take_along_axis(distance, nearest, axis=1)
    point = np.take_along_axis(point, nearest, axis=1)
    image = point % n_images
    by_image = np.argsort(image, axis=1, kind="stable")
    ordered = np.take_along_axis(image, by_image, axis=1)
    is_first = np.ones(image.shape, dtype=bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    is_kept = np.zeros(image.shape, dtype=bool)
    np.put_along_axis(is_kept, by_image, is_first, axis=1)
    is_kept &= np.isfinite(distance)
    is_kept &= is_kept.cumsum(axis=1) <= n_nearest
    row, column = np.nonzero(is_kept)
    return queries[row], point[row, column]
