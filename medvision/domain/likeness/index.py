"""An index of descriptors: the nearest of many without looking at all pairs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.describe import Descriptors

N_TABLES = 20
_REACH = 6
"""Neighbours looked at on either side of a query in each table."""

_N_AXES = 16
_CHUNK = 2048
_FITTED = 20_000
_SEED = 20260101


@dataclass(frozen=True)
class Candidates:
    """Pairs worth a second look: whole image `query`, part `view` of image `image`, distance."""

    query: NDArray[np.int64]
    image: NDArray[np.int64]
    view: NDArray[np.int64]
    distance: NDArray[np.float32]


def find_candidates(views: list[Descriptors], *, n_nearest: int, within: float) -> Candidates:
    """Find, for each whole image, the views of other images that are nearest to it.

    Each of several tables sorts all views by a perceptual hash (the signs of a few random
    projections, one bit for each doubling of the views) and within one hash by one more
    projection; a query looks at its neighbours in each table. The work grows with
    n log n, whatever the data; a neighbour that lies apart in every table is missed.

    Args:
        views: Descriptors (N, F) of each view, whole images first.
        n_nearest: Most candidates of one query.
        within: Largest distance.

    Returns:
        Candidates in order of query and distance; none of an image with itself.

    Source:
        Sign projections: Charikar 2002, doi:10.1145/509907.509965. Neighbours in sorted
        random projections: own choice, after Indyk and Motwani 1998, doi:10.1145/276698.276876.
    """
    axes = _fit_axes(views[0])
    points = np.concatenate([view @ axes for view in views])
    n_images = len(views[0])
    order, ranks = _sort_tables(points, n_queries=n_images)
    parts = [
        _search(
            points,
            order,
            ranks,
            rows=slice(start, start + _CHUNK),
            n_images=n_images,
            n_nearest=n_nearest,
            within=within,
        )
        for start in range(0, n_images, _CHUNK)
    ]
    query, point, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Candidates(query, point % n_images, point // n_images, distance)


def _fit_axes(descriptors: Descriptors) -> NDArray[np.float32]:
    """Return the (F, axes) principal axes of the descriptors, fitted on evenly taken rows."""
    step = max(1, len(descriptors) // _FITTED)
    rows = descriptors[::step].astype(np.float64)
    centred = rows - rows.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return vectors[:, ::-1][:, :_N_AXES].astype(np.float32)


def _sort_tables(
    points: NDArray[np.float32], *, n_queries: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Return each table's order of the points, and the rank of each query in it."""
    rng = np.random.default_rng(_SEED)
    n_bits = max(1, int(np.log2(len(points))) - 5)
    order, ranks = [], []
    for _ in range(N_TABLES):
        projected = points @ rng.normal(size=(points.shape[1], n_bits + 1)).astype(np.float32)
        middle = np.median(projected[:n_queries], axis=0)
        bits = projected[:, :n_bits] > middle[:n_bits]
        code = bits @ (1 << np.arange(n_bits, dtype=np.int64))
        ordered = np.lexsort((np.arange(len(points)), projected[:, n_bits], code))
        rank = np.empty(len(points), dtype=np.int64)
        rank[ordered] = np.arange(len(points))
        order.append(ordered)
        ranks.append(rank[:n_queries])
    return order, ranks


def _search(
    points: NDArray[np.float32],
    order: list[NDArray[np.int64]],
    ranks: list[NDArray[np.int64]],
    *,
    rows: slice,
    n_images: int,
    n_nearest: int,
    within: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Look at the neighbours of some queries; return query, point and distance of the nearest."""
    reach = np.concatenate([np.arange(-_REACH, 0), np.arange(1, _REACH + 1)])
    found = np.concatenate(
        [
            table[np.clip(rank[rows, None] + reach, 0, len(points) - 1)]
            for table, rank in zip(order, ranks, strict=True)
        ],
        axis=1,
    )
    queries = np.arange(n_images)[rows]
    found.sort(axis=1)
    distance = np.sqrt(((points[found] - points[queries][:, None]) ** 2).sum(axis=2))
    distance[found % n_images == queries[:, None]] = np.inf
    return _keep_nearest(
        queries, found, distance, n_images=n_images, n_nearest=n_nearest, within=within
    )


def _keep_nearest(
    queries: NDArray[np.int64],
    found: NDArray[np.int64],
    distance: NDArray[np.float32],
    *,
    n_images: int,
    n_nearest: int,
    within: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Keep the nearest view of each image, and of those the nearest images."""
    nearest = np.argsort(distance, axis=1, kind="stable")
    distance = np.take_along_axis(distance, nearest, axis=1)
    found = np.take_along_axis(found, nearest, axis=1)
    image = found % n_images
    by_image = np.argsort(image, axis=1, kind="stable")
    sorted_images = np.take_along_axis(image, by_image, axis=1)
    is_first = np.ones(image.shape, dtype=bool)
    is_first[:, 1:] = sorted_images[:, 1:] != sorted_images[:, :-1]
    is_kept = np.zeros(image.shape, dtype=bool)
    np.put_along_axis(is_kept, by_image, is_first, axis=1)
    is_kept &= distance <= within
    is_kept &= is_kept.cumsum(axis=1) <= n_nearest
    row, column = np.nonzero(is_kept)
    return queries[row], found[row, column], distance[row, column]
