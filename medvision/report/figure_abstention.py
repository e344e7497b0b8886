"""The figure of the risk-coverage curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from medvision.report.abstention import RiskCurve
from medvision.report.canvas import Picture, draw_picture
from medvision.report.theme import choose_colour
from medvision.report.words import RESEARCH_USE, say_number


def draw_risk_coverage(curves: Sequence[RiskCurve]) -> Picture:
    """Draw the error rate of the images kept by the share kept, against a random order.

    Args:
        curves: At least one.
    """

    def draw(axes: Axes) -> None:
        for n, curve in enumerate(curves):
            colour = choose_colour(curve.arm, position=n)
            axes.axhline(curve.error_rate, color=colour, linewidth=0.9, linestyle=(0, (3, 3)))
            spans = [
                (point.coverage, point.low, point.high)
                for point in curve.points
                if point.low is not None and point.high is not None
            ]
            if spans:
                x, low, high = zip(*spans, strict=True)
                axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
            at = [point.coverage for point in curve.points]
            risks = [point.risk for point in curve.points]
            axes.plot(at, risks, color=colour, linewidth=1.6, label=curve.words)
        axes.set_xlabel("Share of the images kept, the most certain first")
        axes.set_ylabel("Error rate of the images kept")
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, find_top(curves))
        axes.grid(visible=True)
        axes.legend(loc="upper right")

    alt = "Risk-coverage curve. " + "; ".join(
        f"{curve.words}: error rate {say_number(curve.points[len(curve.points) // 2 - 1].risk)} "
        f"with half of the images kept, {say_number(curve.error_rate)} with all"
        for curve in curves
    )
    return draw_picture("risk_coverage", draw, size_in=(5.2, 3.3), alt=alt, caption=RESEARCH_USE)


def find_top(curves: Sequence[RiskCurve]) -> float:
    """Return the height of the axis: every curve is seen, wide ends at few images are cut.

    Args:
        curves: At least one.
    """
    highest = max(point.risk for curve in curves for point in curve.points)
    wide = max((curve.points[-1].high or 0.0 for curve in curves), default=0.0)
    return min(1.02, 1.15 * max(highest, wide, 0.05))
