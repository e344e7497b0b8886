"""Certainty and abstention of an evaluation as tables, with a sentence for each arm."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from medvision.domain.evaluation.abstention import Abstention, AbstentionFigure
from medvision.domain.evaluation.abstention_ends import judge_order
from medvision.io.tables import Cell

Table = tuple[Sequence[Mapping[str, Cell]], tuple[str, ...]]
"""Rows and columns."""

ABSTENTION_COLUMNS = (
    *("arm", "score", "metric", "value", "low", "high", "n_images", "n_subjects", "n_wrong"),
    "method",
)
RISK_COLUMNS = (
    *("arm", "score", "coverage", "risk", "low", "high", "n_kept", "n_images", "n_subjects"),
    "method",
)
UNCERTAINTY_COLUMNS = (
    *("arm", "image_id", "subject", "label", "predicted", "most_probable", "probability"),
    *("entropy", "disagreement", "sd", "margin", "error_rate", "n_networks"),
)


def list_abstention(abstention: Abstention) -> dict[str, Table]:
    """Return the tables of figures, of curves and of images, by name.

    Args:
        abstention: Of all arms.
    """
    return {
        "abstention": ([asdict(row) for row in abstention.figures], ABSTENTION_COLUMNS),
        "risk_coverage": ([asdict(row) for row in abstention.curve], RISK_COLUMNS),
        "uncertainty": ([asdict(row) for row in abstention.images], UNCERTAINTY_COLUMNS),
    }


def say_orders(figures: Sequence[AbstentionFigure], *, level: str) -> list[str]:
    """Say of each arm what leaving out its least certain images does, by its main order.

    Args:
        figures: Of all arms and orders, the main order of an arm first.
        level: The interval in words, such as `95% interval`.
    """
    main: dict[str, str] = {}
    for item in figures:
        main.setdefault(item.arm, item.score)
    held = {(item.arm, item.score, item.metric): item for item in figures}
    return [
        _say_order(
            *(held[arm, score, name] for name in ("error_rate", "aurc", "aurc_gain", "error_auc")),
            level=level,
        )
        for arm, score in main.items()
    ]


def _say_order(
    rate: AbstentionFigure,
    area: AbstentionFigure,
    gain: AbstentionFigure,
    pairs: AbstentionFigure,
    *,
    level: str,
) -> str:
    """Say one order's figures, and whether it is better than a random one."""
    verdict = judge_order((gain.low, gain.high), (pairs.low, pairs.high))
    return (
        f"{rate.arm}: error rate {rate.value or 0:.3f} at full coverage, area under the "
        f"risk-coverage curve {area.value or 0:.3f}, a gain of {gain.value or 0:+.3f}"
        f"{_say_ends(gain.low, gain.high, level=level, form='+.3f')}{_say_pairs(pairs, level)}: "
        f"the order by certainty {verdict}."
    )


def _say_pairs(pairs: AbstentionFigure, level: str) -> str:
    """Say how often a right prediction is more certain than a wrong one; nothing without errors."""
    if pairs.value is None:
        return ""
    ends = _say_ends(pairs.low, pairs.high, level=level, form=".3f")
    return f", right ones more certain than wrong ones in {pairs.value:.3f} of the pairs{ends}"


def _say_ends(low: float | None, high: float | None, *, level: str, form: str) -> str:
    """Say an interval; nothing where there is none."""
    return "" if low is None or high is None else f" ({level} {low:{form}} to {high:{form}})"
