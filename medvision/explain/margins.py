"""How a method fares beside the edge map, the centre prior and chance; told, not judged."""

from collections.abc import Sequence

import numpy as np

from medvision.domain.attribution import Check
from medvision.domain.record import JsonValue
from medvision.explain.checks import LOCALISATION
from medvision.runtime.seeds import derive_seed

COMPARED = ("deletion", "insertion", *LOCALISATION)
"""The checks whose figures are set beside those of the edge map."""

N_RESAMPLES = 2000
_TAILS = (0.025, 0.975)


def summarise_margins(checks: Sequence[Check], method: str, *, seed: int) -> dict[str, JsonValue]:
    """Return a method's mean figures with intervals, and those of its comparators.

    Args:
        checks: Rows of all methods.
        method: Method or control.
        seed: Seed of the resampling.

    Returns:
        Check to the number of images, the mean statistic and the mean margin over the edge map,
        each with the interval of a bootstrap over images (one to a subject), and the means of
        chance, edge map and centre prior. Checks without figures are left out.

    Source:
        Efron 1979, doi:10.1214/aos/1176344552 (percentile interval).
    """
    told: dict[str, JsonValue] = {}
    for name in COMPARED:
        rows = [
            row
            for row in checks
            if (row.method, row.check) == (method, name) and row.statistic is not None
        ]
        if rows:
            told[name] = _describe(rows, seed=derive_seed(seed, "margins", method, name))
    return told


def _describe(rows: Sequence[Check], *, seed: int) -> dict[str, JsonValue]:
    """Return the means of some rows, with intervals."""
    statistics = [row.statistic for row in rows if row.statistic is not None]
    margins = [row.edge_margin for row in rows if row.edge_margin is not None]
    low, high = resample_mean(statistics, seed=seed)
    margin_low, margin_high = resample_mean(margins, seed=seed)
    return {
        "n": len(rows),
        "statistic": _mean(statistics),
        "low": low,
        "high": high,
        "chance": _mean([row.comparator for row in rows if row.comparator is not None]),
        "edge_map": _mean([row.edge_map for row in rows if row.edge_map is not None]),
        "centre_prior": _mean([row.centre_prior for row in rows if row.centre_prior is not None]),
        "edge_margin": _mean(margins),
        "edge_margin_low": margin_low,
        "edge_margin_high": margin_high,
    }


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return float(np.mean(values)) if values else None


def resample_mean(values: Sequence[float], *, seed: int) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of a mean, resampled over images.

    Args:
        values: One to an image.
        seed: Seed of the resampling.

    Returns:
        (low, high); None of fewer than two values.
    """
    if len(values) < 2:
        return None, None
    held = np.array(values)
    draws = np.random.default_rng(seed).integers(0, len(held), size=(N_RESAMPLES, len(held)))
    low, high = np.quantile(held[draws].mean(axis=1), _TAILS)
    return float(low), float(high)
