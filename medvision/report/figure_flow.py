"""The flow diagram: from files to analysed images, what left, and what is the external cohort."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from medvision.report.canvas import Picture, draw_picture
from medvision.report.flow import FlowStep
from medvision.report.theme import FIRST, MUTED
from medvision.report.words import RESEARCH_USE

_BOX_HEIGHT, _BOX_WIDTH, _STEP = 1.0, 4.2, 1.9
_BRANCH_LEFT = 5.55


def draw_flow(steps: Sequence[FlowStep]) -> Picture:
    """Draw the way from files to analysed images, with what left at each step."""

    def draw(axes: Axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, 10)
        axes.set_ylim(-_STEP * (len(steps) - 1) - _BOX_HEIGHT - 0.1, 0.1)
        for n, step in enumerate(steps):
            _draw_box(axes, step, top=-_STEP * n)
            if step.branch:
                _draw_branch(axes, step.branch, top=-_STEP * n - _BOX_HEIGHT)
            if n < len(steps) - 1:
                _draw_arrow(axes, step, start=-_STEP * n - _BOX_HEIGHT)

    alt = "; ".join(f"{step.label}: {step.n} {step.unit}, {step.n_left} left" for step in steps)
    alt += "".join(f"; {s.branch.label}: {s.branch.n} {s.branch.unit}" for s in steps if s.branch)
    height_in = 0.75 * max(len(steps), 1) + 0.2
    return draw_picture("flow", draw, size_in=(6.4, height_in), alt=alt, caption=RESEARCH_USE)


def _draw_branch(axes: Axes, step: FlowStep, *, top: float) -> None:
    """Draw the box that a part of the images goes to, and the arrow to it."""
    x, y = _BRANCH_LEFT + _BOX_WIDTH - 0.25, top - 0.14
    axes.plot([0.05 + _BOX_WIDTH / 2, x], [y, y], color=MUTED, linewidth=0.8)
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, top - (_STEP - _BOX_HEIGHT)), (x, y), arrowprops=arrow)
    _draw_box(axes, step, top=top - (_STEP - _BOX_HEIGHT), left=_BRANCH_LEFT)


def _draw_box(axes: Axes, step: FlowStep, *, top: float, left: float = 0.05) -> None:
    """Draw one box of the flow."""
    corner, x = (left, top - _BOX_HEIGHT), left + 0.2
    axes.add_patch(
        Rectangle(corner, _BOX_WIDTH, _BOX_HEIGHT, facecolor="none", edgecolor=FIRST, linewidth=0.9)
    )
    axes.text(x, top - 0.3, step.label, va="center", fontsize=7, weight="bold")
    axes.text(x, top - 0.7, f"{step.n} {step.unit}", va="center", color=FIRST, fontsize=9)
    if step.detail:
        end = left + _BOX_WIDTH - 0.15
        axes.text(end, top - 0.7, step.detail, va="center", ha="right", fontsize=6.5, color=MUTED)


def _draw_arrow(axes: Axes, step: FlowStep, *, start: float) -> None:
    """Draw the arrow to the next box, and the list of what left on the way."""
    x, gap = 0.05 + _BOX_WIDTH / 2, _STEP - _BOX_HEIGHT
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, start - gap), (x, start), arrowprops=arrow)
    if step.left:
        lines = [f"{tally.n}  {tally.words}" for tally in step.left]
        axes.plot([x, 4.8], [start - gap / 2] * 2, color=MUTED, linewidth=0.8)
        axes.text(4.95, start - gap / 2, "\n".join(lines), va="center", fontsize=6.5, color=MUTED)
