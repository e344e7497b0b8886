"""The chart of the ablation: AUC by train subjects, without and with what was added."""

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from medvision.report.ablation import WORDS, AblationFacts
from medvision.report.canvas import Picture, draw_picture
from medvision.report.theme import FIRST, FOURTH, SECOND, THIRD
from medvision.report.words import RESEARCH_USE, say_number

_STYLES = {
    "plain": (SECOND, "D", ":"),
    "classical": (THIRD, "s", "--"),
    "gan": (FIRST, "o", "-"),
    "both": (FOURTH, "^", "-"),
}
_APART = 0.035
_SIZE_IN = (4.4, 3.3)


def draw_ablation(facts: AblationFacts) -> list[Picture]:
    """Draw the ablation's chart.

    Args:
        facts: The ablation.

    Returns:
        `ablation`; nothing where there is none.
    """
    if not facts.rows:
        return []

    def draw(axes: Axes) -> None:
        for place, variant in enumerate(_STYLES):
            # Side by side on the logarithmic axis, so that intervals do not hide one another.
            _draw_variant(axes, facts, variant=variant, shift=1 + _APART * (place - 1.5))
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({r.n_subjects for r in facts.rows})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:.3g}"))
        axes.set_xlabel("Train subjects (logarithmic)")
        axes.set_ylabel("AUC on test subjects")
        axes.grid(visible=True)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)

    n = facts.counts["n_test_subjects"]
    alt = f"AUC on {n} test subjects by train subjects. " + "; ".join(
        f"{WORDS[variant]}: {_say_curve(facts, variant)}" for variant in _STYLES
    )
    return [draw_picture("ablation", draw, size_in=_SIZE_IN, alt=f"{alt}.", caption=RESEARCH_USE)]


def _draw_variant(axes: Axes, facts: AblationFacts, *, variant: str, shift: float) -> None:
    """Draw one variant's points, joined, each with its interval."""
    colour, marker, line = _STYLES[variant]
    rows = [row for row in facts.rows if row.variant == variant]
    xs = [shift * row.n_subjects for row in rows]
    for x, row in zip(xs, rows, strict=True):
        if row.low is not None and row.high is not None:
            axes.plot([x, x], [row.low, row.high], color=colour, linewidth=1.6, alpha=0.35)
    axes.plot(
        xs,
        [row.auc for row in rows],
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=3.6,
        linewidth=1.5,
        label=WORDS[variant],
    )


def _say_curve(facts: AblationFacts, variant: str) -> str:
    """Return a curve's points in words."""
    return ", ".join(
        f"{say_number(row.auc)} at {row.n_subjects:.3g}"
        for row in facts.rows
        if row.variant == variant
    )
