"""The values of the curves, ready for the page's script to draw and to read out."""

from collections.abc import Sequence

from medvision.domain.record import JsonValue
from medvision.report.abstention import RiskCurve
from medvision.report.facts import Facts
from medvision.report.figure_abstention import find_top
from medvision.report.performance import ArmFacts, HistoryPoints
from medvision.report.plot_curves import (
    choose_plot_colour,
    plot_calibration,
    plot_roc,
    round_or_none,
    round_value,
)
from medvision.report.target_plots import build_target_plots
from medvision.report.words import ARMS, name_unscaled, say

MAX_MODELS = 30
MAX_EPOCHS = 200

_LOSSES = (("train_loss", "training loss", True), ("validation_loss", "validation loss", False))
"""Column of the history, its words, and whether its line is dotted."""


def build_plots(facts: Facts) -> dict[str, JsonValue]:
    """Gather the values of each chart that can be read out on the page.

    Args:
        facts: All facts of the report.

    Returns:
        Name of the figure (`roc`, `calibration`, `risk_coverage`, `decision`, `scatter`,
        `bland_altman`, `external-roc`, `external-calibration`, `training-<arm>`) to its values;
        `findings` is a list, of each finding its `roc` and `calibration`. Each holds a common axis
        `x` and one list per series, in which None is a gap. Of many models or epochs a part, so
        that the page stays small: at most `MAX_MODELS` models of an arm and `MAX_EPOCHS` points
        of each.
    """
    arms = facts.performance.arms
    plots = build_target_plots(facts)
    if any(arm.roc for arm in arms):
        plots["roc"] = plot_roc([(arm.arm, arm.words, arm.roc) for arm in arms])
    if any(arm.calibration for arm in arms):
        plots["calibration"] = _plot_bins(arms)
    if facts.abstention.curves:
        plots["risk_coverage"] = _plot_risks(facts.abstention.curves)
    if facts.external:
        plots |= _plot_external(facts.external.performance.arms)
    histories = facts.performance.histories
    for n, name in enumerate(dict.fromkeys(held.arm for held in histories)):
        own = [held for held in histories if held.arm == name]
        colour = choose_plot_colour(name, n)
        plots[f"training-{name}"] = _plot_training(own, colour=colour, top=_find_top(histories))
    return plots


def _plot_external(arms: Sequence[ArmFacts]) -> dict[str, JsonValue]:
    """Gather the values of the external cohort's curves."""
    plots: dict[str, JsonValue] = {}
    if any(arm.roc for arm in arms):
        plots["external-roc"] = plot_roc([(arm.arm, arm.words, arm.roc) for arm in arms])
    if any(arm.calibration for arm in arms):
        plots["external-calibration"] = _plot_bins(arms)
    return plots


def _plot_bins(arms: Sequence[ArmFacts]) -> JsonValue:
    """Return the calibration of the arms, with that before a temperature where one was fitted."""
    return plot_calibration(
        [(arm.arm, arm.words, arm.calibration) for arm in arms],
        before=[
            (arm.arm, name_unscaled(arm.words), arm.calibration_before)
            for arm in arms
            if arm.calibration_before
        ],
    )


def _plot_risks(curves: Sequence[RiskCurve]) -> JsonValue:
    """Return each curve, with its interval, on the axis that all have."""
    series: list[JsonValue] = [
        {
            "name": curve.words,
            "colour": choose_plot_colour(curve.arm, n),
            "y": [round_value(point.risk) for point in curve.points],
            "low": [round_or_none(point.low) for point in curve.points],
            "high": [round_or_none(point.high) for point in curve.points],
            "n": [round_value(point.n_kept) for point in curve.points],
            "level": round_value(curve.error_rate),
        }
        for n, curve in enumerate(curves)
    ]
    return {
        "x": [point.coverage for point in curves[0].points],
        "series": series,
        "x_label": "Share of the images kept",
        "y_label": "Error rate",
        "range": [0, 1.01],
        "y_range": [0, round_value(find_top(curves))],
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
            "y": [round_or_none(values[n]) if n < len(values) else None for n in epochs],
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
        "top": round_value(top),
        "n_models": len(histories),
        "n_shown": len(shown),
        "arm": say(histories[0].arm, ARMS),
    }
