"""Values of the charts of decisions, of findings and of a value, for the page's script."""

from collections.abc import Sequence

from medvision.domain.record import JsonValue
from medvision.report.decision import DecisionRow
from medvision.report.facts import Facts
from medvision.report.plot_curves import (
    choose_plot_colour,
    plot_calibration,
    plot_roc,
    round_or_none,
    round_value,
)
from medvision.report.sources import list_unique
from medvision.report.target_figures import find_range
from medvision.report.targets import FindingFacts, ValueArm
from medvision.report.words import ARMS, say

MAX_CURVE = 100
"""Points of a finding's ROC curve that can be read out."""

_LIMITS = ("Bias", "Lower limit of agreement", "Upper limit of agreement")


def build_target_plots(facts: Facts) -> dict[str, JsonValue]:
    """Gather the values of the charts that not every study has.

    Args:
        facts: All facts of the report.

    Returns:
        `decision`, `findings`, `scatter` and `bland_altman`, as far as their facts exist.
    """
    performance, plots = facts.performance, dict[str, JsonValue]()
    if facts.decision:
        plots["decision"] = _plot_decision(facts.decision)
    if performance.findings:
        plots["findings"] = [_plot_finding(finding) for finding in performance.findings]
    if performance.values:
        name = str(facts.cohort.value)
        plots["scatter"] = _plot_scatter(performance.values, name)
        plots["bland_altman"] = _plot_agreement(performance.values, name)
    return plots


def _plot_decision(rows: Sequence[DecisionRow]) -> JsonValue:
    """Return the net benefit of each arm, of acting on all and of acting on none."""
    arms = list_unique(row.arm for row in rows)
    axis = sorted({round_value(row.threshold) for row in rows})
    every = {round_value(row.threshold): round_value(row.treat_all) for row in rows}
    top = max(max(row.net_benefit, row.treat_all, row.high or 0.0, 0.02) for row in rows)
    series: list[JsonValue] = []
    for n, arm in enumerate(arms):
        own = {round_value(row.threshold): row for row in rows if row.arm == arm}
        found = [own.get(x) for x in axis]
        series.append(
            {
                "name": next(iter(own.values())).words,
                "colour": choose_plot_colour(arm, n),
                "y": [round_or_none(row.net_benefit) if row else None for row in found],
                "low": [round_or_none(row.low) if row else None for row in found],
                "high": [round_or_none(row.high) if row else None for row in found],
            }
        )
    whole: list[JsonValue] = [every[x] for x in axis]
    series.append({"name": "Acting on all", "colour": "muted", "y": whole, "dotted": True})
    none: JsonValue = {"y": 0, "name": "Acting on none", "colour": "muted"}
    return {
        "x": list(axis),
        "series": series,
        "x_label": "Probability from which one would act",
        "y_label": "Net benefit",
        "x_range": [0, 1],
        "y_range": [round_value(-0.25 * top), round_value(1.1 * top)],
        "lines": [none],
        "ratio": 0.71,
    }


def _plot_finding(finding: FindingFacts) -> JsonValue:
    """Return the curves of one finding."""
    named = [(arm, say(arm.arm, ARMS)) for arm in finding.arms]
    return {
        "name": finding.name,
        "roc": plot_roc([(arm.arm, words, _thin(arm.roc)) for arm, words in named]),
        "calibration": plot_calibration(
            [(arm.arm, words, arm.calibration) for arm, words in named]
        ),
    }


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep at most about `MAX_CURVE` points, first and last among them."""
    step = max(1, -(-len(points) // MAX_CURVE))
    return [*points[::step], *(points[-1:] if (len(points) - 1) % step else [])]


def _plot_scatter(arms: Sequence[ValueArm], name: str) -> JsonValue:
    """Return each image's predicted and true value."""
    ends = find_range([value for arm in arms for point in arm.points for value in point])
    low, high = (round_value(end) for end in ends)
    return {
        **_join(arms, [list(arm.points) for arm in arms]),
        "x_label": f"True {name}",
        "y_label": f"Predicted {name}",
        "range": [low, high],
        "diagonal": [low, high],
        "scatter": True,
    }


def _plot_agreement(arms: Sequence[ValueArm], name: str) -> JsonValue:
    """Return each image's error and the mean of its true and predicted value, with the limits."""
    points = [[((x + y) / 2, y - x) for x, y in arm.points] for arm in arms]
    held = [point for own in points for point in own]
    lines: list[JsonValue] = [
        {
            "y": round_value(value),
            "name": f"{words}, {arm.words}",
            "colour": choose_plot_colour(arm.arm, n),
            "dotted": k > 0,
        }
        for n, arm in enumerate(arms)
        for k, (value, words) in enumerate(zip(arm.bias, _LIMITS, strict=True))
        if value is not None
    ]
    heights = [*(y for _, y in held), *(v for arm in arms for v in arm.bias if v is not None)]
    return {
        **_join(arms, points),
        "x_label": f"Mean of true and predicted {name}",
        "y_label": "Predicted − true",
        "x_range": [round_value(end) for end in find_range([x for x, _ in held])],
        "y_range": [round_value(end) for end in find_range(heights)],
        "lines": [{"y": 0, "name": "", "colour": "muted"}, *lines],
        "scatter": True,
    }


def _join(
    arms: Sequence[ValueArm], points: Sequence[Sequence[tuple[float, float]]]
) -> dict[str, JsonValue]:
    """Bring the points of all arms onto one rising axis, with gaps where an arm has none."""
    places = sorted(
        (round_value(x), n, round_value(y)) for n, own in enumerate(points) for x, y in own
    )
    series: list[JsonValue] = [
        {
            "name": arm.words,
            "colour": choose_plot_colour(arm.arm, n),
            "y": [y if k == n else None for _, k, y in places],
        }
        for n, arm in enumerate(arms)
    ]
    return {"x": [x for x, _, _ in places], "series": series}
