"""The charts of the transfer scorecard: AUC by train subjects, and CKA by block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from medvision.report.canvas import Picture, draw_picture
from medvision.report.theme import FIRST, FOURTH, INK, SECOND, THIRD
from medvision.report.transfer import SimilarityRow, StartFacts, TransferFacts, TransferRow
from medvision.report.words import RESEARCH_USE, say_number

_COLOURS = (FIRST, FOURTH, THIRD, INK)
_LINES = {"full": "-", "linear": "--", "partial": ":", "gradual": "-."}
_MARKERS = {"full": "o", "linear": "s", "partial": "^", "gradual": "D"}
_WIDTH_IN = 4.4
_LONGEST_OF_TWO = 26
"""Letters of a name of which two fit side by side."""


def draw_transfer(facts: TransferFacts) -> list[Picture]:
    """Draw the scorecard's two charts.

    Args:
        facts: The scorecard.

    Returns:
        `transfer` and `similarity`; nothing where there is no scorecard.
    """
    if not facts.rows:
        return []
    styles = {start.arm: _choose_style(start, facts.starts) for start in facts.starts}
    return [_draw_curves(facts, styles), _draw_similarity(facts, styles)]


@dataclass(frozen=True)
class _Style:
    """How a start is drawn: a source has a colour, a policy a line and a marker."""

    colour: str
    line: str
    marker: str
    words: str


@dataclass(frozen=True)
class _Point:
    """One mean, and the ends of what is drawn around it."""

    x: float
    y: float
    low: float | None
    high: float | None


def _choose_style(start: StartFacts, starts: Sequence[StartFacts]) -> _Style:
    """Choose a start's style among all starts."""
    if not start.source:
        return _Style(SECOND, "-", "D", start.words)
    sources = list(dict.fromkeys(each.source for each in starts if each.source))
    colour = _COLOURS[sources.index(start.source) % len(_COLOURS)]
    return _Style(colour, _LINES[start.policy], _MARKERS[start.policy], start.words)


def _draw_line(axes: Axes, points: Sequence[_Point], style: _Style) -> None:
    """Draw one start's points, joined, each with its ends."""
    for point in points:
        if point.low is not None and point.high is not None:
            ends = [point.low, point.high]
            axes.plot([point.x, point.x], ends, color=style.colour, linewidth=1.6, alpha=0.35)
    axes.plot(
        [point.x for point in points],
        [point.y for point in points],
        color=style.colour,
        linestyle=style.line,
        marker=style.marker,
        markersize=3.6,
        linewidth=1.5,
        label=style.words,
    )


def _finish(axes: Axes, starts: Sequence[StartFacts]) -> None:
    """Add grid and legend, the legend below the axis."""
    axes.grid(visible=True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=_count_columns(starts))


def _count_columns(starts: Sequence[StartFacts]) -> int:
    """Return how many names fit side by side."""
    return 2 if max(len(start.words) for start in starts) <= _LONGEST_OF_TWO else 1


def _draw_curves(facts: TransferFacts, styles: Mapping[str, _Style]) -> Picture:
    """Draw AUC against the number of train subjects, each point with its interval."""
    middle = (len(facts.starts) - 1) / 2

    def draw(axes: Axes) -> None:
        for place, start in enumerate(facts.starts):
            # Side by side on the logarithmic axis, so that intervals do not hide one another.
            shift = 1 + 0.035 * (place - middle)
            rows = [row for row in facts.rows if row.arm == start.arm]
            points = [_Point(row.n_subjects * shift, row.auc, row.low, row.high) for row in rows]
            _draw_line(axes, points, styles[start.arm])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({r.n_subjects for r in facts.rows})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:.3g}"))
        axes.set_xlabel("Train subjects (logarithmic)")
        axes.set_ylabel("AUC on test subjects")
        _finish(axes, facts.starts)

    n = facts.counts["n_test_subjects"]
    alt = f"AUC on {n} test subjects by train subjects. " + "; ".join(
        f"{start.words}: {_say_curve([row for row in facts.rows if row.arm == start.arm])}"
        for start in facts.starts
    )
    size_in = _choose_size(facts.starts)
    return draw_picture("transfer", draw, size_in=size_in, alt=f"{alt}.", caption=RESEARCH_USE)


def _say_curve(rows: Sequence[TransferRow]) -> str:
    """Return a curve's points in words."""
    return ", ".join(f"{say_number(row.auc)} at {row.n_subjects:.3g}" for row in rows)


def _draw_similarity(facts: TransferFacts, styles: Mapping[str, _Style]) -> Picture:
    """Draw each arm's CKA before and after training by block, with the range over networks."""
    middle = (len(facts.starts) - 1) / 2

    def draw(axes: Axes) -> None:
        for place, start in enumerate(facts.starts):
            shift = 0.06 * (place - middle)
            rows = [row for row in facts.similarity if row.arm == start.arm]
            points = [
                _Point(row.block + shift, row.cka, row.least, row.most)
                for row in rows
                if row.cka is not None
            ]
            _draw_line(axes, points, styles[start.arm])
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("Block, from the input on")
        axes.set_ylabel("CKA, before and after")
        _finish(axes, facts.starts)

    alt = "Similarity of each block before and after training, 1 for unmoved. " + "; ".join(
        f"{start.words}: {_say_blocks([r for r in facts.similarity if r.arm == start.arm])}"
        for start in facts.starts
    )
    size_in = _choose_size(facts.starts)
    return draw_picture("similarity", draw, size_in=size_in, alt=f"{alt}.", caption=RESEARCH_USE)


def _say_blocks(rows: Sequence[SimilarityRow]) -> str:
    """Return the blocks' figures in words."""
    return ", ".join(say_number(row.cka) for row in rows)


def _choose_size(starts: Sequence[StartFacts]) -> tuple[float, float]:
    """Return width and height in inches, with room for the legend's lines."""
    return _WIDTH_IN, 3.0 + 0.16 * -(-len(starts) // _count_columns(starts))
