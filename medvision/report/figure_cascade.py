"""The curves of cascading randomisation: one small chart per method."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from medvision.report.canvas import Draw, Picture, draw_grid, draw_picture
from medvision.report.consistency import Curve, Figure
from medvision.report.theme import FIRST, FOURTH, MUTED, SECOND
from medvision.report.words import RESEARCH_USE, say_number

_SIZE_IN = (2.4, 2.3)
_N_COLUMNS = 3
_LINES = (
    ("ssim", "SSIM", FIRST, "-", "o"),
    ("rank_correlation", "Rank correlation", SECOND, "--", "s"),
    ("entropy", "Entropy", FOURTH, ":", "^"),
)
"""Figure, its name in the legend, colour, line and marker."""

_NONE = "No map could be followed."


def draw_cascade(curves: Sequence[Curve], *, is_asked: bool = False) -> list[Picture]:
    """Draw what becomes of each method's maps while the weights are made random from the top.

    Args:
        curves: One per method, each with its stages.
        is_asked: Whether some were asked for: the file is published then, and says it if no map
            could be followed.

    Returns:
        `cascade`; nothing where there is no curve and none was asked for.
    """
    if not curves:
        return [draw_picture("cascade", _say_none, size_in=_SIZE_IN, alt=_NONE)] if is_asked else []
    draws = [_make_chart(curve, has_legend=n == 0) for n, curve in enumerate(curves)]
    alt = "; ".join(f"{curve.words}: SSIM {_say_curve(curve)}" for curve in curves)
    return [
        draw_grid(
            "cascade",
            draws,
            n_columns=min(_N_COLUMNS, len(curves)),
            size_in=_SIZE_IN,
            alt=f"Likeness to the trained network's map, by stage of random weights. {alt}.",
            caption=RESEARCH_USE,
        )
    ]


def _say_none(axes: Axes) -> None:
    """Say that there is nothing to be drawn."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, _NONE, ha="center", va="center", transform=axes.transAxes)


def _say_curve(curve: Curve) -> str:
    """Return the first and the last SSIM in words."""
    first, last = curve.stages[0].ssim.mean, curve.stages[-1].ssim.mean
    return f"{say_number(first)} as trained, {say_number(last)} with all weights random"


def _make_chart(curve: Curve, *, has_legend: bool) -> Draw:
    """Return the drawing of one method's three lines."""

    def draw(axes: Axes) -> None:
        stages = [point.stage for point in curve.stages]
        for name, words, colour, line, marker in _LINES:
            figures: list[Figure] = [getattr(point, name) for point in curve.stages]
            heights = [float("nan") if f.mean is None else f.mean for f in figures]
            axes.plot(
                stages,
                heights,
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=2.8,
                linewidth=1.3,
                label=words,
            )
        if curve.mark is not None:
            axes.axhline(curve.mark, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.set_title(curve.words)
        # Above 1 there is room for the legend.
        axes.set_ylim(-1.05, 1.75)
        axes.set_yticks([-1, -0.5, 0, 0.5, 1])
        axes.set_xlabel("Stage, from the top")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, axis="y")
        if has_legend:
            axes.legend(loc="upper right", fontsize=6.5, borderaxespad=0.1)

    return draw
