"""Class sensitivity: the map of one class is not the map of another."""

import math

from medvision.domain.attribution import Check, is_empty
from medvision.domain.explanation.map_statistics import compute_rank_correlation
from medvision.domain.volume import FloatGrid
from medvision.explain.checks.row import About, judge

OPPOSITE = 0.0
"""Of two classes that exclude each other what speaks for one speaks against the other."""

MOST_ALIKE = math.sqrt(0.5)
"""Of more classes: at this correlation one map accounts for half of the other's variance."""


def check_class_sensitivity(
    about: About, grid: FloatGrid, other: FloatGrid, *, other_class: str, is_opposite: bool
) -> Check:
    """Hold the rank correlation of two classes' signed maps against what it may be.

    Args:
        about: Image and method.
        grid: Map (I, J, K) of the class explained.
        other: The other class's map on the same grid, made in the same way.
        other_class: Name of the other class.
        is_opposite: Whether the two are all classes there are, and exclude each other: the
            prediction then depends on the difference of their logits alone, and the maps are
            expected to be anti-correlated. Else they may share what both look at.

    Source:
        After Nie 2018, arXiv:1805.07039 (maps that do not depend on the class); thresholds: own
        choice.
    """
    threshold = OPPOSITE if is_opposite else MOST_ALIKE
    if is_empty(other):
        reason = f"the map of {other_class} is zero everywhere"
        return about.row("class_sensitivity", "INCONCLUSIVE", reason=reason, n=grid.size)
    found = compute_rank_correlation(grid, other)
    if math.isnan(found):
        reason = "a map of one value has no order"
        return about.row("class_sensitivity", "INCONCLUSIVE", reason=reason, n=grid.size)
    return about.row(
        "class_sensitivity",
        judge(passed=found < threshold),
        reason=f"rank correlation {found:.3f} with the map of {other_class}, "
        f"below {threshold:.3g} expected",
        statistic=found,
        comparator=1.0,
        threshold=threshold,
        n=grid.size,
    )
