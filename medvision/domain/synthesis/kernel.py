"""Kernel distance of two samples of features (KID): unbiased, whatever their sizes."""

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices
from medvision.domain.synthesis.sample import Rows

Kernel = NDArray[np.float64]
"""(N, M) float64: kernel of each of N images with each of M others."""


def compute_kernel(first: Rows, second: Rows) -> Kernel:
    """Compute the cubic polynomial kernel (x . y / P + 1)^3.

    Args:
        first: (N, P).
        second: (M, P).

    Source:
        Bińkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    kernel: Kernel = (first @ second.T / first.shape[1] + 1.0) ** 3
    return kernel


def compute_kid(
    first: Kernel,
    second: Kernel,
    cross: Kernel,
    *,
    first_clusters: Indices,
    second_clusters: Indices,
) -> float:
    """Compute the unbiased squared maximum mean discrepancy of two samples.

    Pairs of images of one subject are left out, as an image's pair with itself is: they are alike
    for being of one subject, and would make every real sample look narrow. It is around 0 for
    samples of one distribution, and may be below.

    Args:
        first: (N, N) kernel of the first sample with itself.
        second: (M, M) of the second with itself.
        cross: (N, M) of the first with the second.
        first_clusters: (N,) whom each image of the first is of.
        second_clusters: (M,) and of the second.

    Returns:
        The distance; NaN where a sample has images of one subject alone.

    Source:
        Gretton et al. 2012, JMLR 13:723-773, lemma 6; as KID Bińkowski et al. 2018,
        arXiv:1801.01401. Leaving out pairs of one subject: own definition.
    """
    within = _average_others(first, first_clusters) + _average_others(second, second_clusters)
    return within - 2 * float(cross.mean())


def _average_others(kernel: Kernel, clusters: Indices) -> float:
    """Return the mean over pairs of different clusters; NaN where there is none."""
    is_other = clusters[:, None] != clusters[None]
    n_pairs = int(is_other.sum())
    return float(kernel[is_other].sum() / n_pairs) if n_pairs else float("nan")
