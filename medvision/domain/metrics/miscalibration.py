"""How far probabilities are from what happens: slope, intercept and expected calibration error."""

import math

import numpy as np

from medvision.domain.metrics.weighted import Flags, Replicates, Scalars, divide
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.logistic import fit_offset, fit_slope


def compute_calibration_slope(
    log_odds: Scalars, positive: Flags, *, weights: Weights
) -> Replicates:
    """Fit the slope of a logistic regression of the class on the predicted log-odds.

    1 is right; below 1 probabilities are too near 0 and 1, as after overfitting; above 1 too
    near one half.

    Args:
        log_odds: (N,) predicted, of the positive class.
        positive: (N,) the true class.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) slopes, without penalty; NaN where a class is absent, the log-odds are all equal or
        part the classes.

    Source:
        Cox 1958, doi:10.1093/biomet/45.3-4.562; Van Calster et al. 2019,
        doi:10.1186/s12916-019-1466-7.
    """
    return fit_slope(log_odds, positive, weights=weights)


def compute_calibration_intercept(
    log_odds: Scalars, positive: Flags, *, weights: Weights
) -> Replicates:
    """Fit what must be added to the predicted log-odds for the mean probability to be right.

    0 is right; below 0 probabilities are too high on the whole (calibration in the large).

    Args:
        log_odds: (N,) predicted, of the positive class.
        positive: (N,) the true class.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) intercepts with the slope held at 1; NaN where a class is absent.

    Source:
        Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.
    """
    return fit_offset(log_odds, positive, weights=weights)


def part_in_bins(probabilities: Scalars, n_bins: int) -> Indices:
    """Return the bin of each image, of equal count; equal probabilities never part.

    Args:
        probabilities: (N,) predicted.
        n_bins: Bins wanted.
    """
    inner = np.quantile(probabilities, np.arange(1, n_bins) / n_bins)
    index = np.searchsorted(np.unique(inner), probabilities, side="right")
    return np.unique(index, return_inverse=True)[1].reshape(-1).astype(np.intp)


def compute_ece(
    probabilities: Scalars, happened: Flags, *, n_bins: int, weights: Weights
) -> Replicates:
    """Compute the expected calibration error: the mean distance of bins from the diagonal.

    Args:
        probabilities: (N,) predicted.
        happened: (N,) whether it happened.
        n_bins: Bins of equal count, those of the data on every resample.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) values in 0 to 1, too large on average (`expect_ece`).

    Source:
        Naeini, Cooper and Hauskrecht 2015, doi:10.1609/aaai.v29i1.9602; bins of equal count as in
        Nguyen and O'Connor 2015, doi:10.18653/v1/D15-1182.
    """
    bins = part_in_bins(probabilities, n_bins)
    gaps = np.eye(int(bins.max()) + 1)[bins] * (probabilities - happened)[:, None]
    return divide(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def expect_ece(probabilities: Scalars, n_bins: int) -> float:
    """Return the expected calibration error that perfect probabilities would show by chance.

    Args:
        probabilities: (N,) predicted, of images taken as independent.
        n_bins: Bins of equal count.

    Source:
        none: own derivation; a bin's gap is normal with the variance of its images' outcomes, and
        its mean size is that deviation times the root of 2 / pi. That the error is biased: Roelofs
        et al. 2022, arXiv:2012.08668.
    """
    bins = part_in_bins(probabilities, n_bins)
    variances = np.bincount(bins, weights=probabilities * (1 - probabilities))
    return float(np.sqrt(variances).sum() * math.sqrt(2 / math.pi) / len(probabilities))
