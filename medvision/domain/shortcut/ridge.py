"""Ridge regression: the linear learner of the probes, its strength chosen on validation images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.shortcut.encode import Features

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Penalties that are tried, as shares of the number of train images."""


@dataclass(frozen=True)
class Line:
    """A fitted line: value = features @ weights + level.

    Args:
        weights: (P,) one per feature.
        level: Value where all features are 0.
        strength: Penalty as a share of the number of images it was fitted on.
    """

    weights: NDArray[np.float64]
    level: float
    strength: float

    def predict(self, features: Features) -> Scalars:
        """Return (N,) values of (N, P) features."""
        values: Scalars = features @ self.weights + self.level
        return values


def fit_lines(features: Features, values: Scalars) -> list[Line]:
    """Fit a line with each strength, by one decomposition for all.

    Least is the sum of squared errors plus strength x N x the sum of squared weights; the level is
    not held back.

    Args:
        features: (N, P), P may be 0.
        values: (N,) what is to be told: 1 and 0 for a class, or a value.

    Returns:
        One line per strength of `STRENGTHS`.

    Source:
        Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634. With 1 and 0 as values the
        direction is that of Fisher's discriminant: Hastie, Tibshirani and Friedman 2009, The
        Elements of Statistical Learning, exercise 4.2.
    """
    centre, level = features.mean(axis=0), float(values.mean())
    u, scale, axes = np.linalg.svd(features - centre, full_matrices=False)
    along = u.T @ (values - level)
    lines = []
    for strength in STRENGTHS:
        weights = axes.T @ (scale / (scale**2 + strength * len(values)) * along)
        lines.append(Line(weights, level - float(centre @ weights), strength))
    return lines


def fit_probe(features: Features, values: Scalars, *, train: Flags, validation: Flags) -> Line:
    """Fit on the train images with the strength that errs least on the validation images.

    Of equals the strongest penalty is taken; so also where no validation image has a value.

    Args:
        features: (N, P) of all images.
        values: (N,) what is to be told; NaN where it is not known.
        train: (N,) images to fit on.
        validation: (N,) images to choose the strength on.
    """
    known = ~np.isnan(values)
    fitted, chosen = known & train, known & validation
    if not fitted.any():
        return Line(np.zeros(features.shape[1]), 0.0, STRENGTHS[-1])
    lines = fit_lines(features[fitted], values[fitted])[::-1]
    if not chosen.any():
        return lines[0]
    errors = [np.mean((line.predict(features[chosen]) - values[chosen]) ** 2) for line in lines]
    return lines[int(np.argmin(errors))]
