"""Frechet distance of two samples of features (FID): biased where images are few."""

import numpy as np

from medvision.domain.synthesis.sample import Rows


def compute_fid(first: Rows, second: Rows) -> float:
    """Compute the Frechet distance of the normal laws with two samples' means and covariances.

    With few images it is far above 0 even for samples of one distribution, by an amount that
    depends on the generator too: compare samples of equal size alone, and go by the kernel distance
    where there are not more images than features, as covariances then have no full rank.

    The trace of the root of the product of the covariances is the sum of the singular values of
    the product of the centred samples, so that no root of a matrix without full rank is taken.

    Args:
        first: (N, P), N at least 2.
        second: (M, P), M at least 2.

    Returns:
        At least 0 but for rounding; NaN where a sample has fewer than 2 images.

    Source:
        Heusel et al. 2017, arXiv:1706.08500; its bias: Chong and Forsyth 2020,
        doi:10.1109/CVPR42600.2020.00611.
    """
    if min(len(first), len(second)) < 2:
        return float("nan")
    centred, sizes, total = [], [], 0.0
    for held in (first, second):
        own = held - held.mean(axis=0)
        centred.append(own)
        sizes.append(len(held) - 1)
        total += float((own**2).sum()) / (len(held) - 1)
    gap = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum())
    shared = _reduce(centred[0]) @ _reduce(centred[1]).T
    values = np.linalg.svd(shared, compute_uv=False)
    return gap + total - 2 * float(values.sum()) / float(np.sqrt(sizes[0] * sizes[1]))


def _reduce(centred: Rows) -> Rows:
    """Return as few rows as there are features, of the same products over images."""
    if len(centred) <= centred.shape[1]:
        return centred
    return np.asarray(np.linalg.qr(centred, mode="r"))


def is_enough(n_images: int, n_features: int) -> bool:
    """Tell whether covariances of so many images can have full rank.

    Source:
        The rule of the authors' code: more images than features.
    """
    return n_images > n_features
