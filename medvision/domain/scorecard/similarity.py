"""Similarity of two representations of the same images: linear CKA, plain and debiased."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.errors import DataError

Features = NDArray[np.floating]
"""(N, P) floats: one row per image, one column per channel and place."""

Kernel = NDArray[np.float64]
"""(N, N) float64: products of the images' centred features."""

_ROUNDING = 1e-12

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
    k, m = _build_kernel(first), _build_kernel(second)
    return Similarity(
        plain=_compare(float((k * m).sum()), float((k**2).sum()), float((m**2).sum())),
        debiased=None
        if len(k) < _FEWEST
        else _compare(_unbiased_hsic(k, m), _unbiased_hsic(k, k), _unbiased_hsic(m, m)),
        n_images=len(k),
    )


def _build_kernel(features: Features) -> Kernel:
    """Return the kernel of features of mean 0 and, since scale does not matter, of size 1."""
    if not np.isfinite(features).all():
        raise DataError("similarity: features must be finite, got NaN or infinity.")
    exact = features.astype(np.float64)
    centred = exact - exact.mean(axis=0)
    size = float(np.abs(centred).max(initial=0.0))
    # What is left of a constant after rounding is no variation.
    if size <= _ROUNDING * float(np.abs(exact).max(initial=0.0)):
        return np.zeros((len(exact), len(exact)))
    centred /= size
    kernel: Kernel = centred @ centred.T
    return kernel


def _unbiased_hsic(k: Kernel, m: Kernel) -> float:
    """Return the unbiased HSIC of two kernels, up to a factor that cancels."""
    n = len(k)
    # Without the diagonals.
    own_k, own_m = np.diag(k), np.diag(m)
    rows_k, rows_m = k.sum(axis=1) - own_k, m.sum(axis=1) - own_m
    pairs = float((k * m).sum() - own_k @ own_m)
    total = float(rows_k.sum() * rows_m.sum()) / ((n - 1) * (n - 2))
    return pairs + total - 2 * float(rows_k @ rows_m) / (n - 2)


def _compare(cross: float, own_x: float, own_y: float) -> float | None:
    """Return the normalised value; None where a representation has no variation of its own."""
    if own_x <= 0 or own_y <= 0:
        return None
    # Never above 1 but for rounding.
    return float(min(cross / np.sqrt(own_x * own_y), 1.0))
