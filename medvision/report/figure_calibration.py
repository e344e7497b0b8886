"""The figure of the calibration curves, before and after a temperature where one was fitted."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from medvision.report.canvas import Picture, draw_picture
from medvision.report.performance import ArmFacts
from medvision.report.reliability import CalibrationBin
from medvision.report.target_figures import SUBJECTS, TITLE, Cohort, name_figure
from medvision.report.theme import MUTED, choose_colour
from medvision.report.words import RESEARCH_USE, name_unscaled

_SIZE_IN = (3.5, 3.3)
_SMALL = 5.5
"""Letters of a legend that also names the curves before."""


def draw_calibration(
    arms: Sequence[ArmFacts], event: str, *, cohort: Cohort = "internal"
) -> Picture:
    """Draw the predicted probability of an event against its share, with interval per bin.

    Args:
        arms: At least one has a curve.
        event: What the probability is of, in words.
        cohort: Whose images they are.
    """
    has_before = any(arm.calibration_before for arm in arms)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        for n, arm in enumerate(arms):
            colour = choose_colour(arm.arm, position=n)
            shift = 0.006 * (n - (len(arms) - 1) / 2)
            _draw_spans(axes, arm.calibration, colour=colour, shift=shift)
            x, y = _list_points(arm.calibration, shift)
            axes.plot(x, y, "o-", color=colour, markersize=4, linewidth=1.2, label=arm.words)
            if arm.calibration_before:
                x, y = _list_points(arm.calibration_before, shift)
                label = name_unscaled(arm.words)
                axes.plot(x, y, "o:", color=colour, mfc="none", markersize=3.5, lw=1, label=label)
        axes.set_xlabel("Predicted probability")
        axes.set_ylabel(f"Observed share of {event}")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        axes.grid(visible=True)
        axes.legend(loc="upper left", fontsize=_SMALL if has_before else None)
        if cohort == "external":
            axes.set_title(TITLE)

    of = f" on {SUBJECTS[cohort]}" if cohort == "external" else ""
    alt = f"Calibration{of}: predicted probability against observed share; counts are in the table."
    if has_before:
        alt += " Dotted, the same images before the temperature."
    name = name_figure("calibration", cohort)
    return draw_picture(name, draw, size_in=_SIZE_IN, alt=alt, caption=RESEARCH_USE)


def _list_points(bins: Sequence[CalibrationBin], shift: float) -> tuple[list[float], list[float]]:
    """Return the centres, moved aside a little, and the shares."""
    return [held.predicted + shift for held in bins], [held.observed for held in bins]


def _draw_spans(axes: Axes, bins: Sequence[CalibrationBin], *, colour: str, shift: float) -> None:
    """Draw the interval of each bin."""
    for held in bins:
        if held.low is not None and held.high is not None:
            x = held.predicted + shift
            axes.plot([x, x], [held.low, held.high], color=colour, lw=1, alpha=0.45)
