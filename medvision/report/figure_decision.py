"""The figure of the decision curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from medvision.report.canvas import Picture, draw_picture
from medvision.report.decision import DecisionRow
from medvision.report.sources import list_unique
from medvision.report.target_figures import TITLE, Cohort, name_figure
from medvision.report.theme import MUTED, choose_colour
from medvision.report.words import RESEARCH_USE


def draw_decision(rows: Sequence[DecisionRow], *, cohort: Cohort = "internal") -> Picture:
    """Draw the net benefit of each arm, of acting on all and of acting on none.

    Args:
        rows: At least one.
        cohort: Whose images they are.
    """
    arms = list_unique(row.arm for row in rows)
    top = max(max(row.net_benefit, row.treat_all, row.high or 0.0) for row in rows)

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.9, label="Act on none")
        first = [row for row in rows if row.arm == arms[0]]
        axes.plot(
            [row.threshold for row in first],
            [row.treat_all for row in first],
            color=MUTED,
            linewidth=0.9,
            linestyle=(0, (3, 3)),
            label="Act on all",
        )
        for n, arm in enumerate(arms):
            own = [row for row in rows if row.arm == arm]
            colour, at = choose_colour(arm, position=n), [row.threshold for row in own]
            ends = [(row.low, row.high) for row in own]
            spans = [(x, *pair) for x, pair in zip(at, ends, strict=True) if None not in pair]
            if spans:
                x, low, high = zip(*spans, strict=True)
                axes.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
            values = [row.net_benefit for row in own]
            axes.plot(at, values, color=colour, linewidth=1.6, label=own[0].words)
        axes.set_xlabel("Probability from which one would act")
        axes.set_ylabel("Net benefit")
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.25 * max(top, 0.02), 1.1 * max(top, 0.02))
        axes.grid(visible=True)
        axes.legend(loc="upper right")
        if cohort == "external":
            axes.set_title(TITLE)

    alt = "Decision curve: net benefit by the probability from which one would act; the values are "
    alt += "in the table."
    name = name_figure("decision", cohort)
    return draw_picture(name, draw, size_in=(5.2, 3.3), alt=alt, caption=RESEARCH_USE)
