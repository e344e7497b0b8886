"""Similarity of two representations of the same images: linear CKA, plain and debiased."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

Features = NDArray[np.float64]
"""(N, P) float64: one row per image, one column per channel."""

_FEWEST = 4
"""Images that the debiased estimator needs."""


@dataclass(frozen=True)
class Similarity:
    """Linear CKA of two representations.

    Args:
        plain: In [0, 1]; with few images it is far above 0 whatever they are. None where one of
            the two is the same for all images.
        debiased: At most 1, around 0 for unrelated ones. None for fewer than 4 images, or where
            one of the two varies too little to be told from none.
        n_images: N.
    """

    plain: float | None
    debiased: float | None
    n_images: int


def compute_similarity(first: Features, second: Features) -> Similarity:
    """Compute linear CKA between two representations of the same images.

    It does not change when either is turned, mirrored, shifted or scaled as a whole, so that two
    networks can be compared whose channels have another order or size.

    Args:
        first: (N, P) features of N images.
        second: (N, Q) other features of the same images, in the same order.

    Returns:
        Both estimators.

    Raises:
        DataError: The two are not of equally many images, or not finite.

    Source:
        Kornblith et al. 2019, arXiv:1905.00414, equation 4 with a linear kernel; debiased by the
        unbiased HSIC of Song et al. 2012, JMLR 13:1393-1434, equation 5, as in Nguyen et al. 2021,
        arXiv:2010.15327.
    """
    if len(first) != len(second):
        raise DataError(
            f"similarity: both must be of the same images, got {len(first)} and {len(second)}."
        )
    x, y = _centre(first), _centre(second)
    return Similarity(
        plain=_compare(_plain_hsic(x, y), _plain_hsic(x, x), _plain_hsic(y, y)),
        debiased=None
        if len(x) < _FEWEST
        else _compare(_unbiased_hsic(x, y), _unbiased_hsic(x, x), _unbiased_hsic(y, y)),
        n_images=len(x),
    )


def _centre(features: Features) -> Features:
    """Return features of mean 0 and, since scale does not matter, of size 1."""
    if not np.isfinite(features).all():
        raise DataError("similarity: features must be finite, got NaN or infinity.")
    centred = features.astype(np.float64) - features.astype(np.float64).mean(axis=0)
    size = float(np.abs(centred).max(initial=0.0))
    scale = float(np.abs(features).max(initial=0.0))
    # What is left of a constant after rounding is no variation.
    if size <= 1e-12 * scale or size == 0:
        return np.zeros_like(centred)
    result: Features = centred / size
    return result


def _plain_hsic(x: Features, y: Features) -> float:
    """Return the squared size of the cross-covariance, up to a factor that cancels."""
    return float(((x.T @ y) ** 2).sum())


def _unbiased_hsic(x: Features, y: Features) -> float:
    """Return the unbiased HSIC of linear kernels, in time linear in N, up to a factor."""
    n = len(x)
    own_x, own_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
    rows_x, rows_y = x @ x.sum(axis=0) - own_x, y @ y.sum(axis=0) - own_y
    pairs = _plain_hsic(x, y) - float(own_x @ own_y)
    total = float(rows_x.sum() * rows_y.sum()) / ((n - 1) * (n - 2))
    return pairs + total - 2 * float(rows_x @ rows_y) / (n - 2)


def _compare(cross: float, own_x: float, own_y: float) -> float | None:
    """Return the normalised value; None where a representation has no variation of its own."""
    if own_x <= 0 or own_y <= 0:
        return None
    # Never above 1 but for rounding.
    return float(min(cross / np.sqrt(own_x * own_y), 1.0))
