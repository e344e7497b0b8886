"""Precision and recall of a sample: who lies within reach of whom; and how wide a class is."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices
from medvision.domain.synthesis.sample import Distances


def compute_reach(
    distances: Distances, clusters: Indices, *, n_neighbours: int
) -> NDArray[np.float64]:
    """Compute each image's distance to its k-th nearest image of another subject.

    Args:
        distances: (N, N) within one sample.
        clusters: (N,) whom each image is of; neighbours of one's own subject do not count.
        n_neighbours: k.

    Returns:
        (N,); NaN for images that have fewer neighbours.
    """
    is_own = clusters[:, None] == clusters[None]
    held = np.where(is_own, np.inf, distances)
    if len(held) < n_neighbours:
        return np.full(len(held), np.nan)
    reach: NDArray[np.float64] = np.partition(held, n_neighbours - 1, axis=1)[:, n_neighbours - 1]
    return np.where(np.isfinite(reach), reach, np.nan)


def compute_coverage(distances: Distances, reach: NDArray[np.float64]) -> float:
    """Compute the share of images that lie within reach of any image of another sample.

    Of synthetic images within reach of real ones it is precision: how many could be real. Of real
    ones within reach of synthetic ones it is recall: how much of the real there is among them.

    Args:
        distances: (N, M) of the images from the M of the other sample.
        reach: (M,) of those.

    Returns:
        0 to 1; NaN where no reach is known.

    Source:
        Kynkäänniemi et al. 2019, arXiv:1904.06991, equations 1 to 3; neighbours of other subjects:
        own definition.
    """
    if np.isnan(reach).all():
        return float("nan")
    return float((distances <= reach[None]).any(axis=1).mean())


def compute_width(distances: Distances, clusters: Indices) -> float:
    """Compute the mean distance between two images of different subjects.

    Args:
        distances: (N, N) within one class of a sample.
        clusters: (N,) whom each image is of.

    Returns:
        At least 0; NaN where there is no such pair.

    Source:
        none: own definition, in the features of any network; as a check of generators that
        collapsed, with another distance, Odena et al. 2017, arXiv:1610.09585.
    """
    is_other = clusters[:, None] != clusters[None]
    return float(distances[is_other].mean()) if is_other.any() else float("nan")
