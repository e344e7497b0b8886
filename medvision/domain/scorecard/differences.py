"""Differences between cells on the same resamples of subjects and seeds, corrected together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.metrics.weighted import Replicates
from medvision.domain.resampling.bootstrap import compute_interval, is_moving
from medvision.domain.resampling.multiplicity import adjust_holm, compute_p_value
from medvision.domain.scorecard.cells import Areas, Key

Verdict = Literal["ahead", "behind", "not-shown"]


@dataclass(frozen=True)
class PairedDifference:
    """AUC of one cell minus that of another, paired by subject and seed.

    Args:
        difference: Mean over the seeds.
        low: Lower end of the interval; None where no resample differs.
        high: Upper end.
        sd_over_seeds: Standard deviation of the seeds' differences; None of one seed.
        n_seeds_ahead: Seeds in which the first is above the second.
        p: Two-sided bootstrap p-value; None where no resample differs.
        p_holm: The same, corrected for all comparisons made together.
        verdict: ahead, behind or not-shown, by the corrected value at the intervals' level.
    """

    difference: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None
    n_seeds_ahead: int
    p: float | None
    p_holm: float | None
    verdict: Verdict


def compare_cells(
    pairs: Sequence[tuple[Key, Key]], areas: Mapping[Key, Areas], *, confidence: float
) -> tuple[PairedDifference, ...]:
    """Subtract cells from one another resample by resample, and correct for all comparisons.

    Args:
        pairs: Each (a, b) for a minus b.
        areas: Every cell's AUC, all on the same resamples.
        confidence: Level of the intervals, and of the corrected comparisons.

    Returns:
        One difference per pair.

    Source:
        Holm 1979, Scand J Stat 6:65 (correction).
    """
    replicates = [areas[a].replicates - areas[b].replicates for a, b in pairs]
    # Where no resample differs there is nothing to be judged, but it was a comparison.
    p_values = [compute_p_value(held) if is_moving(held) else None for held in replicates]
    adjusted = adjust_holm([1.0 if p is None else p for p in p_values])
    result = []
    for (a, b), held, p, p_holm in zip(pairs, replicates, p_values, adjusted, strict=True):
        by_seed = areas[a].by_seed - areas[b].by_seed
        low, high = find_interval(held, confidence)
        difference = float(by_seed.mean())
        side: Verdict = "ahead" if difference > 0 else "behind"
        result.append(
            PairedDifference(
                difference=difference,
                low=low,
                high=high,
                sd_over_seeds=deviate(by_seed),
                n_seeds_ahead=int((by_seed > 0).sum()),
                p=p,
                p_holm=None if p is None else p_holm,
                verdict=side if p is not None and p_holm <= 1 - confidence else "not-shown",
            )
        )
    return tuple(result)


def find_interval(
    replicates: Replicates, confidence: float
) -> tuple[float, float] | tuple[None, None]:
    """Return the percentile interval; none where every resample agrees.

    Args:
        replicates: (R,) values on the resamples.
        confidence: Level, in (0, 1).
    """
    if not is_moving(replicates):
        return None, None
    return compute_interval(replicates, confidence)


def deviate(values: NDArray[np.float64]) -> float | None:
    """Return the standard deviation over seeds (S,); none of one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else None
