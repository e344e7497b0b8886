"""The values of the curves, ready for the page's script to draw and to read out."""

from collections.abc import Sequence

from medvision.domain.record import JsonValue
from medvision.report.abstention import RiskCurve
from medvision.report.facts import Facts
from medvision.report.figure_abstention import find_top
from medvision.report.performance import ArmFacts, HistoryPoints
from medvision.report.words import ARMS, name_unscaled, say

MAX_MODELS = 30
MAX_EPOCHS = 200

_COLOURS = ("first", "second", "third", "fourth")
_ARM_COLOURS = {"transfer": "first", "scratch": "second"}
_LOSSES = (("train_loss", "training loss", True), ("validation_loss", "validation loss", False))
"""Column of the history, its words, and whether its line is dotted."""


def build_plots(facts: Facts) -> dict[str, JsonValue]:
    """Gather the values of each chart that can be read out on the page.

    Args:
        facts: All facts of the report.

    Returns:
        Name of the figure (`roc`, `calibration`, `risk_coverage`, `training-<arm>`) to its values.
        Each holds a common axis `x` and one list per series, in which None is a gap. Of many
        models or epochs a part, so that the page stays small: at most `MAX_MODELS` models of an
        arm and `MAX_EPOCHS` points of each.
    """
    arms = facts.performance.arms
    plots: dict[str, JsonValue] = {}
    if any(arm.roc for arm in arms):
        plots["roc"] = _plot_roc(arms)
    if any(arm.calibration for arm in arms):
        plots["calibration"] = _plot_calibration(arms)
    if facts.abstention.curves:
        plots["risk_coverage"] = _plot_risks(facts.abstention.curves)
    histories = facts.performance.histories
    for n, name in enumerate(dict.fromkeys(held.arm for held in histories)):
        own = [held for held in histories if held.arm == name]
        colour = _choose_colour(name, n)
        plots[f"training-{name}"] = _plot_training(own, colour=colour, top=_find_top(histories))
    return plots


def _choose_colour(arm: str, position: int) -> str:
    """Return the name of an arm's colour, the one that the drawn figures give it."""
    return _ARM_COLOURS.get(arm, _COLOURS[position % 4])


def _plot_roc(arms: Sequence[ArmFacts]) -> JsonValue:
    """Bring the curves onto one axis: at each false positive rate the sensitivity reached."""
    axis = sorted({_round(x) for arm in arms for x, _ in arm.roc})
    series: list[JsonValue] = [
        {
            "name": arm.words,
            "colour": _choose_colour(arm.arm, n),
            "y": _fill_steps([(_round(x), _round(y)) for x, y in arm.roc], axis),
            "steps": True,
        }
        for n, arm in enumerate(arms)
        if arm.roc
    ]
    return {
        "x": _as_json(axis),
        "series": series,
        "x_label": "1 − specificity",
        "y_label": "Sensitivity",
        "range": [-0.01, 1.01],
        "diagonal": True,
    }


def _fill_steps(points: Sequence[tuple[float, float]], axis: Sequence[float]) -> JsonValue:
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


def _plot_calibration(arms: Sequence[ArmFacts]) -> JsonValue:
    """Bring the bins of all arms onto one axis, each with its interval and count."""
    curves = [(arm, arm.words, arm.calibration, n) for n, arm in enumerate(arms)]
    curves += [
        (arm, name_unscaled(arm.words), arm.calibration_before, n)
        for n, arm in enumerate(arms)
        if arm.calibration_before
    ]
    axis = sorted({_round(held.predicted) for _, _, bins, _ in curves for held in bins})
    series: list[JsonValue] = []
    for arm, name, bins, n in curves:
        places = {_round(held.predicted): held for held in bins}
        found = [places.get(x) for x in axis]
        series.append(
            {
                "name": name,
                "colour": _choose_colour(arm.arm, n),
                "y": [_round_or_none(held.observed) if held else None for held in found],
                "low": [_round_or_none(held.low) if held else None for held in found],
                "high": [_round_or_none(held.high) if held else None for held in found],
                "n": [held.n if held else None for held in found],
                "points": True,
                "dotted": bins is not arm.calibration,
            }
        )
    return {
        "x": _as_json(axis),
        "series": series,
        "x_label": "Predicted probability",
        "y_label": "Observed share",
        "range": [-0.03, 1.03],
        "diagonal": True,
    }


def _plot_risks(curves: Sequence[RiskCurve]) -> JsonValue:
    """Return each curve, with its interval, on the axis that all have."""
    series: list[JsonValue] = [
        {
            "name": curve.words,
            "colour": _choose_colour(curve.arm, n),
            "y": [_round(point.risk) for point in curve.points],
            "low": [_round_or_none(point.low) for point in curve.points],
            "high": [_round_or_none(point.high) for point in curve.points],
            "n": [_round(point.n_kept) for point in curve.points],
            "level": _round(curve.error_rate),
        }
        for n, curve in enumerate(curves)
    ]
    return {
        "x": [point.coverage for point in curves[0].points],
        "series": series,
        "x_label": "Share of the images kept",
        "y_label": "Error rate",
        "range": [0, 1.01],
        "heights": [0, _round(find_top(curves))],
    }


def _find_top(histories: Sequence[HistoryPoints]) -> float:
    """Return the largest loss of all arms, so that their charts have one scale."""
    held = [each.columns.get(column, ()) for each in histories for column, *_ in _LOSSES]
    return max((value for values in held for value in values if value is not None), default=1.0)


def _plot_training(histories: Sequence[HistoryPoints], *, colour: str, top: float) -> JsonValue:
    """Return the losses of one arm's models by epoch."""
    shown = histories[:MAX_MODELS]
    n_epochs = max(len(values) for held in shown for values in (*held.columns.values(), ()))
    step = max(1, -(-n_epochs // MAX_EPOCHS))
    epochs = list(range(0, n_epochs, step))
    series: list[JsonValue] = [
        {
            "name": f"Fold {held.fold}, seed {held.seed}, {words}",
            "colour": colour,
            "y": [_round_or_none(values[n]) if n < len(values) else None for n in epochs],
            "dotted": is_dotted,
        }
        for held in shown
        for column, words, is_dotted in _LOSSES
        if (values := held.columns.get(column, ()))
    ]
    return {
        "x": [n + 1 for n in epochs],
        "series": series,
        "x_label": "Epoch",
        "y_label": "Loss",
        "top": _round(top),
        "n_models": len(histories),
        "n_shown": len(shown),
        "arm": say(histories[0].arm, ARMS),
    }


def _round(value: float) -> float:
    """Return a value with the digits that a reader can use."""
    return float(f"{value:.4g}")


def _round_or_none(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _as_json(values: Sequence[float]) -> JsonValue:
    return list(values)
