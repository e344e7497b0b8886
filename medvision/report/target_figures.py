"""The charts of findings and of values: curves and intervals per finding, agreement of values."""

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes

from medvision.report.canvas import Draw, Picture, draw_grid, draw_picture
from medvision.report.targets import FindingFacts, ValueArm
from medvision.report.theme import MUTED, choose_colour
from medvision.report.words import ARMS, RESEARCH_USE, say, say_number

MOST_CURVES = 16
"""Findings whose curves are drawn; the table has all."""

_COLUMNS = 4
_ROW_IN = 0.22


def draw_finding_curves(findings: Sequence[FindingFacts]) -> Picture:
    """Draw the ROC curve of each finding and arm, a small chart per finding."""
    shown = findings[:MOST_CURVES]
    charts = [_make_curve(finding, is_first=n == 0) for n, finding in enumerate(shown)]
    alt = "Receiver operating characteristic of each finding on test subjects. " + "; ".join(
        f"{finding.name}: AUC {_say_areas(finding)}" for finding in shown
    )
    return draw_grid(
        "roc",
        charts,
        n_columns=min(_COLUMNS, max(3, len(charts))),
        size_in=(2.1, 2.15),
        alt=alt,
        caption=RESEARCH_USE,
    )


def draw_finding_calibration(findings: Sequence[FindingFacts]) -> Picture:
    """Draw the reliability curve of each finding and arm, a small chart per finding."""
    shown = findings[:MOST_CURVES]
    charts = [_make_reliability(finding, is_first=n == 0) for n, finding in enumerate(shown)]
    return draw_grid(
        "calibration",
        charts,
        n_columns=min(_COLUMNS, max(3, len(charts))),
        size_in=(2.1, 2.15),
        alt="Calibration of each finding: predicted probability against the share that has it; "
        "the values are in the table.",
        caption=RESEARCH_USE,
    )


def draw_findings(findings: Sequence[FindingFacts]) -> Picture:
    """Draw the AUC of each finding and arm as a point with its interval."""
    n_arms = max((len(finding.arms) for finding in findings), default=1)

    def draw(axes: Axes) -> None:
        for row, finding in enumerate(findings):
            for n, arm in enumerate(finding.arms):
                y = -row + min(0.3, 0.8 / n_arms) * ((n_arms - 1) / 2 - n)
                colour, metric = choose_colour(arm.arm, position=n), arm.auc
                if metric is None or metric.value is None:
                    continue
                if metric.low is not None and metric.high is not None:
                    axes.plot([metric.low, metric.high], [y, y], color=colour, lw=2, alpha=0.55)
                label = say(arm.arm, ARMS) if row == 0 else None
                axes.plot([metric.value], [y], "o", color=colour, markersize=4, label=label)
        axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.set_yticks([-n for n in range(len(findings))], [held.name for held in findings])
        axes.set_ylim(-len(findings) + 0.4, 0.6)
        axes.set_xlim(right=1.01)
        axes.set_xlabel("AUC")
        axes.spines["left"].set_visible(b=False)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        if n_arms > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=min(2, n_arms))

    alt = "AUC of each finding. " + "; ".join(f"{f.name}: {_say_areas(f)}" for f in findings)
    height_in = 0.75 + max(2, len(findings)) * n_arms * _ROW_IN
    return draw_picture("findings", draw, size_in=(5.2, height_in), alt=alt, caption=RESEARCH_USE)


Cohort = Literal["internal", "external"]
"""Whose images a figure is of."""

TITLE = "External cohort"
"""What stands above a figure of external images, whose file may be seen alone."""

SUBJECTS: dict[Cohort, str] = {"internal": "test subjects", "external": "the external cohort"}


def name_figure(name: str, cohort: Cohort) -> str:
    """Return the name of a figure that there is one of for each cohort."""
    return name if cohort == "internal" else f"{cohort}-{name}"


def draw_scatter(arms: Sequence[ValueArm], name: str, *, cohort: Cohort = "internal") -> Picture:
    """Draw predicted against true values, on the dashed line where they agree."""
    low, high = find_range([value for arm in arms for point in arm.points for value in point])

    def draw(axes: Axes) -> None:
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        for n, arm in enumerate(arms):
            _scatter(axes, arm, points=arm.points, position=n)
        axes.set_xlabel(f"True {name}")
        axes.set_ylabel(f"Predicted {name}")
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.grid(visible=True)
        axes.legend(loc="upper left")
        if cohort == "external":
            axes.set_title(TITLE)

    images = "external images" if cohort == "external" else "test images"
    alt = f"Predicted against true {name} of {images}; on the dashed line they agree."
    own = name_figure("scatter", cohort)
    return draw_picture(own, draw, size_in=(3.5, 3.3), alt=alt, caption=RESEARCH_USE)


def draw_agreement(arms: Sequence[ValueArm], name: str) -> Picture:
    """Draw errors against the mean of true and predicted value, with bias and limits.

    Source:
        Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8.
    """

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=0.8)
        for n, arm in enumerate(arms):
            points = [((x + y) / 2, y - x) for x, y in arm.points]
            _scatter(axes, arm, points=points, position=n)
            colour = choose_colour(arm.arm, position=n)
            for value, line in zip(arm.bias, ("-", (0, (4, 3)), (0, (4, 3))), strict=True):
                if value is not None:
                    axes.axhline(value, color=colour, linewidth=1.1, linestyle=line)
        axes.set_xlabel(f"Mean of true and predicted {name}")
        axes.set_ylabel("Predicted − true")
        axes.grid(visible=True, axis="y")
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.1, 1), ncols=min(2, len(arms)), fontsize=6.5
        )

    told = [
        f"{arm.words}: bias {say_number(arm.bias[0], signed=True)}, limits of agreement "
        f"{say_number(arm.bias[1], signed=True)} to {say_number(arm.bias[2], signed=True)}"
        for arm in arms
    ]
    alt = f"Error of {name} against its size. {'; '.join(told)}."
    return draw_picture("bland_altman", draw, size_in=(3.5, 3.3), alt=alt, caption=RESEARCH_USE)


def _make_reliability(finding: FindingFacts, *, is_first: bool) -> Draw:
    """Return the drawing of one finding's reliability curves."""

    def draw(axes: Axes) -> None:
        for n, arm in enumerate(finding.arms):
            colour = choose_colour(arm.arm, position=n)
            for held in arm.calibration:
                if held.low is not None and held.high is not None:
                    ends = [held.low, held.high]
                    axes.plot([held.predicted] * 2, ends, color=colour, linewidth=0.9, alpha=0.45)
            axes.plot(
                [held.predicted for held in arm.calibration],
                [held.observed for held in arm.calibration],
                "o-",
                color=colour,
                markersize=2.6,
                linewidth=1.1,
                label=say(arm.arm, ARMS),
            )
        axes.set_title(finding.name, fontsize=7)
        _square(axes, names=("Predicted", "Observed") if is_first else None)

    return draw


def _square(axes: Axes, *, names: tuple[str, str] | None) -> None:
    """Give axes of shares, with the diagonal; names stand on the first chart alone."""
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=(0, (3, 3)), zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.set_aspect("equal")
    axes.grid(visible=True)
    if names:
        axes.set_xlabel(names[0], fontsize=7)
        axes.set_ylabel(names[1], fontsize=7)


def _make_curve(finding: FindingFacts, *, is_first: bool) -> Draw:
    """Return the drawing of one finding's curves."""

    def draw(axes: Axes) -> None:
        for n, arm in enumerate(finding.arms):
            x, y = zip(*arm.roc, strict=True) if arm.roc else ((), ())
            colour = choose_colour(arm.arm, position=n)
            label = say(arm.arm, ARMS)
            axes.plot(x, y, color=colour, linewidth=1.4, label=label, drawstyle="steps-post")
        axes.set_title(f"{finding.name}  {_say_areas(finding)}", fontsize=7)
        _square(axes, names=("1 − specificity", "Sensitivity") if is_first else None)
        if is_first and len(finding.arms) > 1:
            axes.legend(loc="lower right", fontsize=6)

    return draw


def _say_areas(finding: FindingFacts) -> str:
    """Return the AUC of each arm."""
    return " / ".join(say_number(arm.auc.value if arm.auc else None) for arm in finding.arms)


def _scatter(
    axes: Axes, arm: ValueArm, *, points: Sequence[tuple[float, float]], position: int
) -> None:
    """Draw an arm's points, the fainter the more there are."""
    x, y = zip(*points, strict=True) if points else ((), ())
    alpha = max(0.15, min(0.8, 8 / math.sqrt(len(points) or 1)))
    colour = choose_colour(arm.arm, position=position)
    axes.plot(
        x,
        y,
        "os"[position % 2],
        color=colour,
        markersize=3.2,
        alpha=alpha,
        markeredgewidth=0,
        label=arm.words,
    )


def find_range(values: Sequence[float]) -> tuple[float, float]:
    """Return bounds of an axis with a margin.

    Args:
        values: What the axis must hold; none gives 0 to 1 with its margin.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin
