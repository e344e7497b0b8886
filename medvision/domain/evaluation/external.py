"""The external cohort's figures: its predictions as a test set, and how far they lie apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvision.domain.evaluation.estimate import Estimate
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.prediction import read_cell
from medvision.domain.resampling.draws import Drawn, Draws, find_ends

Row = Mapping[str, str]


@dataclass(frozen=True)
class Figures:
    """Estimates on one cohort, and the draws that they were made of.

    Args:
        of: Finding that they are of; nothing where they are of the whole task.
        estimates: One per arm and figure.
        drawn: The same figures on the data and on resamples.
    """

    of: str
    estimates: Sequence[Estimate]
    drawn: Drawn


@dataclass(frozen=True)
class CohortGap:
    """One figure of one arm on both cohorts: `difference` is internal minus external.

    Values and ends are None where they are undefined; `method` says why, or how they were made.
    """

    arm: str
    metric: str
    internal: float | None
    internal_low: float | None
    internal_high: float | None
    internal_n_subjects: int
    external: float | None
    external_low: float | None
    external_high: float | None
    external_n_subjects: int
    difference: float | None
    low: float | None
    high: float | None
    method: str


def part_rows(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Part predictions into those of the study itself and those for the external cohort.

    Every network predicts every external image, so each training is a round of its own, in which
    all external images are one fold. An external set has the external images as its test set, and
    the internal validation images, on which the same training's threshold is fixed again.

    Args:
        rows: Rows of `predict/predictions.tsv`.

    Returns:
        (internal, external): the rows without external images; and validation and external rows as
        predictions of one study, empty where nothing is external.

    Raises:
        DataError: The column split is missing.
    """
    internal = [row for row in rows if read_cell(row, "split") != EXTERNAL]
    if len(internal) == len(rows):
        return internal, []
    return internal, [_place(row) for row in rows if row["split"] in (EXTERNAL, "validation")]


def _place(row: Row) -> Row:
    """Return a row with its training as a round of its own."""
    split = "test" if row["split"] == EXTERNAL else row["split"]
    fold = read_cell(row, "fold")
    return {**row, "repeat": "0", "part": "0", "inner": fold, "split": split}


def build_gaps(internal: Sequence[Figures], external: Sequence[Figures]) -> list[CohortGap]:
    """Set each figure of the two cohorts side by side, with the difference of the two.

    The cohorts share no subject, so that each is resampled by itself: the difference is that of two
    independent samples, its influences those of the subjects of both. The networks are the same;
    how they would differ if they were trained again is not in the interval.

    Args:
        internal: Figures of the test images, set by set.
        external: Those of the external images, the same sets in the same order.

    Returns:
        One gap per arm and figure, in the order of the internal ones; that of a finding bears its
        name behind the figure's.

    Source:
        Two-sample bootstrap: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter
        8; influences of several samples: Davison and Hinkley 1997, section 3.2.
    """
    return [
        gap for own, other in zip(internal, external, strict=True) for gap in _list_gaps(own, other)
    ]


def _list_gaps(internal: Figures, external: Figures) -> list[CohortGap]:
    """Set the figures of one set side by side."""
    others = {(item.arm, item.metric): item for item in external.estimates}
    gaps = [
        _build_gap(item, others[item.arm, item.metric], drawn=(internal.drawn, external.drawn))
        for item in internal.estimates
    ]
    end = f"_{internal.of}" if internal.of else ""
    return [replace(gap, metric=f"{gap.metric}{end}") for gap in gaps]


def _build_gap(a: Estimate, b: Estimate, *, drawn: tuple[Drawn, Drawn]) -> CohortGap:
    """Put one figure of both cohorts together."""
    first, second = (each.arms[a.arm][a.metric] for each in drawn)
    draws = subtract_unpaired(first, second)
    low, high, method = None, None, "undefined: the figure is undefined on one of the cohorts"
    if not np.isnan(draws.value):
        low, high, method = _find_interval(draws, drawn, of=(a, b))
    return CohortGap(
        arm=a.arm,
        metric=a.metric,
        internal=a.value,
        internal_low=a.low,
        internal_high=a.high,
        internal_n_subjects=a.n_subjects,
        external=b.value,
        external_low=b.low,
        external_high=b.high,
        external_n_subjects=b.n_subjects,
        difference=None if np.isnan(draws.value) else draws.value,
        low=low,
        high=high,
        method=method,
    )


def subtract_unpaired(a: Draws, b: Draws) -> Draws:
    """Subtract a statistic on other subjects, each resampled by itself.

    Args:
        a: On the first subjects.
        b: On the second.

    Returns:
        The difference; left out are the first subjects, then the second. It counts as one that
        does not move where either side does not: that side would seem to be known for certain.
    """
    without_a, without_b = a.left_out - b.value, a.value - b.left_out
    return Draws(
        a.value - b.value,
        a.replicates - b.replicates,
        np.concatenate([without_a, without_b]),
        np.concatenate([a.strata, b.strata + 1 + max(a.strata, default=0)]),
        a.within,
        are_sides_moving=a.is_moving and b.is_moving,
    )


def combine_ends(a: Estimate, b: Estimate) -> tuple[float, float] | None:
    """Make an interval of a difference of those of its two independent parts.

    Each end lies as far from the difference as the root of the sum of squares of the parts'
    distances to the ends that move it there.

    Args:
        a: The first figure.
        b: The second, which is subtracted.

    Returns:
        (low, high); None where one of them has no interval.

    Source:
        Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method
        10 (Wilson's ends); for other intervals Zou and Donner 2008, doi:10.1002/sim.3095.
    """
    if a.value is None or a.low is None or a.high is None:
        return None
    if b.value is None or b.low is None or b.high is None:
        return None
    difference = a.value - b.value
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return difference - below, difference + above


def _find_interval(
    draws: Draws, drawn: tuple[Drawn, Drawn], *, of: tuple[Estimate, Estimate]
) -> tuple[float | None, float | None, str]:
    """Return the interval of a difference, None where there is none, and how it was made."""
    if not draws.is_kept:
        return None, None, draws.say_lost()
    if not draws.is_moving:
        ends = combine_ends(*of)
        how = "unpaired, on other subjects; every resample of a cohort agrees, so the ends are of"
        return (
            (None, None, draws.say_still())
            if ends is None
            else (*ends, f"{how} both figures' own intervals (Newcombe)")
        )
    low, high, kind = find_ends(draws, drawn[0])
    lost = f", {draws.n_lost} of them left out as undefined" if draws.n_lost else ""
    how = f"{kind}, {len(draws.replicates)} resamples of each cohort by itself{lost}"
    return low, high, f"unpaired, on other subjects; {how}"
