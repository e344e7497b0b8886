"""A test of two arms' predicted values on the same subjects: whose errors are smaller."""

from collections.abc import Mapping

import numpy as np

from medvision.domain.evaluation.pair_tests import ERRORS, PairTest
from medvision.domain.labels.values import Values
from medvision.domain.prediction import Indices

N_FLIPS = 9999
"""Draws of signs behind a p-value."""

_EQUAL = 1e-9
_SIGNS_AT_ONCE = 4_000_000


def compare_errors(errors: Mapping[str, Values], *, clusters: Indices, seed: int) -> PairTest:
    """Test whether the mean absolute errors of two arms differ.

    Were both alike, each subject's difference could as well have the other sign.

    Args:
        errors: The two arms' names to the absolute error of each image, (N,).
        clusters: (N,) what is independent: subject, or group of subjects.
        seed: Seed of the signs.

    Returns:
        The test of the first arm against the second.

    Source:
        Pitman 1937, doi:10.2307/2984124 (permutation of signs); Phipson and Smyth 2010,
        doi:10.2202/1544-6115.1585 (the p-value is never 0).
    """
    (arm_a, first), (arm_b, second) = errors.items()
    _, index = np.unique(clusters, return_inverse=True)
    gaps: Values = np.bincount(index.reshape(-1), weights=second - first).astype(np.float64)
    is_unequal = np.abs(gaps) > _EQUAL * max(1.0, float(np.abs(first).max(initial=0.0)))
    n_unequal = int(is_unequal.sum())
    method = f"permutation of signs, {N_FLIPS} draws, on subjects' absolute errors"
    return PairTest(
        kind=ERRORS,
        arm_a=arm_a,
        arm_b=arm_b,
        statistic=float((gaps[is_unequal] > 0).sum()),
        n_unequal=n_unequal,
        p=compute_flip_p(gaps[is_unequal], seed=seed) if n_unequal else None,
        p_holm=None,
        n_subjects=len(gaps),
        method=method if n_unequal else "not tested: both err alike on all subjects",
    )


def compute_flip_p(gaps: Values, *, seed: int) -> float:
    """Compute the two-sided p-value of a sum of differences under changed signs.

    Args:
        gaps: (G,) a difference per subject, at least one.
        seed: Seed of the signs.

    Returns:
        Share of draws, the data's own signs among them, with a sum as far from 0.
    """
    rng, found, n_left = np.random.default_rng(seed), 1, N_FLIPS
    least = abs(float(gaps.sum())) - _EQUAL * float(np.abs(gaps).sum())
    while n_left:
        n = min(max(1, _SIGNS_AT_ONCE // len(gaps)), n_left)
        signs = rng.integers(0, 2, size=(n, len(gaps)), dtype=np.int8)
        sums = 2.0 * (signs @ gaps) - gaps.sum()
        found += int((np.abs(sums) >= least).sum())
        n_left -= n
    return found / (N_FLIPS + 1)
