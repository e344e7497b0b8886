"""Values of ROC and reliability curves, brought onto one axis for the page's script."""

from collections.abc import Sequence

from medvision.domain.record import JsonValue
from medvision.report.reliability import CalibrationBin

Points = Sequence[tuple[float, float]]
"""(x, y) of a curve, in order."""

Bins = tuple[str, str, Sequence[CalibrationBin]]
"""An arm, its name in words, and the bins of its reliability curve."""

_COLOURS = ("first", "second", "third", "fourth")
_ARM_COLOURS = dict(
    zip(("transfer", "scratch", "transfer-ensemble", "scratch-ensemble"), _COLOURS, strict=True)
)


def choose_plot_colour(arm: str, position: int) -> str:
    """Return the name of an arm's colour, the one that the drawn figures give it.

    Args:
        arm: The arm.
        position: Its place among the arms, for one of another name.
    """
    return _ARM_COLOURS.get(arm, _COLOURS[position % 4])


def plot_roc(curves: Sequence[tuple[str, str, Points]]) -> dict[str, JsonValue]:
    """Bring ROC curves onto one axis: at each false positive rate the sensitivity reached.

    Args:
        curves: Arm, its name in words and its points; one without points is left out.
    """
    axis = sorted({round_value(x) for *_, points in curves for x, _ in points})
    series: list[JsonValue] = [
        {
            "name": words,
            "colour": choose_plot_colour(arm, n),
            "y": _fill_steps([(round_value(x), round_value(y)) for x, y in points], axis),
            "steps": True,
        }
        for n, (arm, words, points) in enumerate(curves)
        if points
    ]
    return {
        "x": list(axis),
        "series": series,
        "x_label": "1 − specificity",
        "y_label": "Sensitivity",
        "range": [-0.01, 1.01],
        "diagonal": [0, 1],
    }


def _fill_steps(points: Points, axis: Sequence[float]) -> list[JsonValue]:
    """Return a step curve's height at each place of the axis, the highest where it rises."""
    heights: dict[float, float] = {}
    for x, y in points:
        heights[x] = max(y, heights.get(x, 0.0))
    filled: list[JsonValue] = []
    held: float | None = None
    for x in axis:
        held = heights.get(x, held)
        filled.append(held)
    return filled


def plot_calibration(
    curves: Sequence[Bins], *, before: Sequence[Bins] = ()
) -> dict[str, JsonValue]:
    """Bring the bins of all arms onto one axis, each with its interval and count.

    Args:
        curves: Arm, its name in words and its bins.
        before: The same before a temperature, drawn dotted in the arm's colour.
    """
    every = [*((held, False) for held in curves), *((held, True) for held in before)]
    axis = sorted({round_value(held.predicted) for (*_, bins), _ in every for held in bins})
    places = {arm: n for n, (arm, *_) in enumerate(curves)}
    series: list[JsonValue] = []
    for (arm, words, own), is_dotted in every:
        bins = {round_value(held.predicted): held for held in own}
        found = [bins.get(x) for x in axis]
        series.append(
            {
                "name": words,
                "colour": choose_plot_colour(arm, places[arm]),
                "y": [round_or_none(held.observed) if held else None for held in found],
                "low": [round_or_none(held.low) if held else None for held in found],
                "high": [round_or_none(held.high) if held else None for held in found],
                "n": [held.n if held else None for held in found],
                "points": True,
                "dotted": is_dotted,
            }
        )
    return {
        "x": list(axis),
        "series": series,
        "x_label": "Predicted probability",
        "y_label": "Observed share",
        "range": [-0.03, 1.03],
        "diagonal": [0, 1],
    }


def round_value(value: float) -> float:
    """Return a value with the digits that a reader can use."""
    return float(f"{value:.4g}")


def round_or_none(value: float | None) -> float | None:
    """Return the same, None of None."""
    return None if value is None else round_value(value)
