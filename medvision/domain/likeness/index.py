"""An index of descriptors: the nearest of many without looking at all pairs."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import Descriptors
from medvision.domain.likeness.room import Arrays, Room

Points = NDArray[np.float32]
"""(N, axes) float32: descriptors on their principal axes."""

N_TABLES = 40
_N_AXES = 32
_QUERIES, _CHUNK = 256, 128
_ROWS = 65_536
FITTED = 20_000
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
    """Find the axes along which descriptors differ.

    Axes of small spread are given more weight, those of large spread less: what all images of
    a cohort share tells no two of them apart.

    Args:
        descriptors: (N, F) of whole images; where there are many, of some 20,000 evenly taken.
    """
    rows = descriptors.astype(np.float64)
    centred = rows - rows.mean(axis=0)
    spread, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    kept = np.sqrt(np.maximum(spread[::-1][:_N_AXES], 0))
    floor = 0.02 * max(float(kept[0]), 1e-6)
    matrix = vectors[:, ::-1][:, :_N_AXES] / np.sqrt(np.maximum(kept, floor))
    return Axes(matrix.astype(np.float32))


def find_candidates(room: Room, *, n_nearest: int, reach: int) -> Candidates:
    """Find, for each whole image, the views of other images that are nearest to it.

    Each of several tables sorts all views by a perceptual hash (the signs of a few random
    projections, one bit for each doubling of the views) and within one hash by one more
    projection; a query looks at a fixed number of neighbours in each table. The work grows with
    n log n, whatever the data; a neighbour that lies apart in every table is missed.

    Args:
        room: Has points; gets neighbours.
        n_nearest: Most images held against one query.
        reach: Neighbours looked at on either side of a query in each table.

    Returns:
        Candidates in order of query and distance; none of an image with itself.

    Source:
        Sign projections: Charikar 2002, doi:10.1145/509907.509965. Neighbours in sorted
        random projections: own choice, after Indyk and Motwani 1998, doi:10.1145/276698.276876.
    """
    n_views, n_images, n_axes = room.arrays.points.shape
    rng = np.random.default_rng(_SEED)
    n_bits = int(np.clip(np.log2(n_views * n_images) - 5, 1, 23))
    tables = [
        (number, rng.normal(size=(n_axes, n_bits + 1)).astype(np.float32))
        for number in range(N_TABLES)
    ]
    room.make("neighbours", (N_TABLES, n_images, 2 * reach))
    for _ in room.spread(partial(_look_up, reach=reach), tables):
        pass
    nearest = partial(_list_nearest, n_nearest=n_nearest)
    parts = list(room.spread(nearest, range(0, n_images, _QUERIES)))
    query, point = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Candidates(query, point % n_images, point // n_images)


def _look_up(arrays: Arrays, table: tuple[int, NDArray[np.float32]], *, reach: int) -> None:
    """Sort one table, and fill in the neighbours of each whole image in it."""
    number, normals = table
    n_images = arrays.points.shape[1]
    points = arrays.points.reshape(-1, arrays.points.shape[2])
    middle = np.median(points[:n_images] @ normals[:, :-1], axis=0)
    keys, lasts = np.empty(len(points)), np.empty(len(points), dtype=np.float32)
    parts = [slice(start, start + _ROWS) for start in range(0, len(points), _ROWS)]
    for part in parts:
        keys[part], lasts[part] = _hash(points[part], normals, middle)
    lowest = np.float64(lasts.min())
    width = float(lasts.max() - lowest) or 1.0
    for part in parts:
        keys[part] += 0.999 * (lasts[part].astype(np.float64) - lowest) / width
    del lasts
    order = np.argsort(keys, kind="stable").astype(np.int32)
    del keys
    is_whole = order < n_images
    rank = np.empty(n_images, dtype=np.int64)
    rank[order[is_whole]] = np.flatnonzero(is_whole)
    steps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    for start in range(0, n_images, _ROWS):
        at = np.clip(rank[start : start + _ROWS, None] + steps, 0, len(points) - 1)
        arrays.neighbours[number, start : start + _ROWS] = order[at]


def _hash(
    points: Points, normals: NDArray[np.float32], middle: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the hash of each of some points, and where it lies along one more direction."""
    projected = points @ normals
    bits = projected[:, :-1] > middle
    code = bits.astype(np.float32) @ np.exp2(np.arange(len(middle), dtype=np.float32))
    return code.astype(np.float64), projected[:, -1]


def _list_nearest(
    arrays: Arrays, start: int, *, n_nearest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nearest points of some queries: (query, point) in order of both."""
    end = min(start + _QUERIES, arrays.points.shape[1])
    parts = [
        _keep_nearest(arrays, np.arange(at, min(at + _CHUNK, end)), n_nearest)
        for at in range(start, end, _CHUNK)
    ]
    query, point = (np.concatenate(column) for column in zip(*parts, strict=True))
    return query, point


def _keep_nearest(
    arrays: Arrays, queries: NDArray[np.int64], n_nearest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the nearest view of each neighbour of a few queries, and of those the nearest."""
    n_images = arrays.points.shape[1]
    points = arrays.points.reshape(-1, arrays.points.shape[2])
    found = arrays.neighbours[:, queries].transpose(1, 0, 2).reshape(len(queries), -1)
    point = np.sort(found.astype(np.int64), axis=1)
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
