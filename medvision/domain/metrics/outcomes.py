"""Figures of decisions on resamples: predictive values, F1 and the correlation coefficient."""

import numpy as np

from medvision.domain.metrics.weighted import Flags, Replicates, compute_mean, divide
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bootstrap import Weights

_LEAST = 1e-9
"""Share of the squared count below which a variance is nothing but rounding."""


def compute_predictive_values(
    predicted: Flags, positive: Flags, *, weights: Weights, prevalence: float | None
) -> tuple[Replicates, Replicates]:
    """Compute the positive and the negative predictive value.

    At a given prevalence they follow from sensitivity and specificity by Bayes' rule, otherwise
    they are shares of the images predicted so.

    Args:
        predicted: (N,) images predicted positive.
        positive: (N,) the true class.
        weights: (R, N) weight of each image in each resample.
        prevalence: Share of positives where the model is to be used; None takes the images' own.

    Returns:
        (ppv, npv), each (R,); NaN where a class is absent or no image is predicted so.

    Source:
        Altman and Bland 1994, doi:10.1136/bmj.309.6947.102.
    """
    sensitivity = compute_mean(predicted.astype(np.float64), positive, weights=weights)
    specificity = compute_mean((~predicted).astype(np.float64), ~positive, weights=weights)
    share = weights @ positive / weights.sum(axis=1) if prevalence is None else prevalence
    hits, alarms = sensitivity * share, (1 - specificity) * (1 - share)
    misses, passes = (1 - sensitivity) * share, specificity * (1 - share)
    return divide(hits, hits + alarms), divide(passes, passes + misses)


def compute_f1(predicted: Flags, positive: Flags, *, weights: Weights) -> Replicates:
    """Compute F1, the harmonic mean of sensitivity and positive predictive value.

    Args:
        predicted: (N,) images predicted positive.
        positive: (N,) the true class.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) values, 0 where no positive is found; NaN where there is none to find.

    Source:
        van Rijsbergen 1979, Information Retrieval, chapter 7.
    """
    n_positive = weights @ positive
    found: Replicates = divide(
        2 * (weights @ (predicted & positive)), weights @ predicted + n_positive
    )
    return np.where(n_positive > 0, found, np.nan)


def compute_mcc(
    predicted: Indices, labels: Indices, *, n_classes: int, weights: Weights
) -> Replicates:
    """Compute Matthews' correlation coefficient of predicted and true class.

    Args:
        predicted: (N,) predicted class by position.
        labels: (N,) true class.
        n_classes: Classes, two or more.
        weights: (R, N) weight of each image in each resample.

    Returns:
        (R,) values from -1 to 1; NaN where all images are of one class or predicted one class.

    Source:
        Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006, of which Matthews 1975 is the case
        of two classes.
    """
    told, true = (weights @ np.eye(n_classes)[held] for held in (predicted, labels))
    total = weights.sum(axis=1)
    together = (weights @ (predicted == labels)) * total - (told * true).sum(axis=1)
    spreads = [total**2 - (held**2).sum(axis=1) for held in (told, true)]
    is_defined = np.all([spread > _LEAST * total**2 for spread in spreads], axis=0)
    product = np.where(is_defined, spreads[0] * spreads[1], 0.0)
    return divide(together, np.sqrt(product))
