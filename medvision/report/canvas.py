"""A figure from blank to bytes: one house style, the same bytes for the same drawing."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medvision.report.theme import INK, MUTED, PAPER, RULE, make_themable

if TYPE_CHECKING:
    from matplotlib.typing import RcGroupKeyType

_STYLE: dict[str, dict[str, object]] = {
    "font": {"family": ["DejaVu Sans"], "size": 8},
    "text": {"color": INK},
    "axes": {
        "labelcolor": MUTED,
        "edgecolor": MUTED,
        "linewidth": 0.6,
        "titlesize": 8.5,
        "titleweight": "bold",
        "titlelocation": "left",
        "facecolor": "none",
    },
    "axes.spines": {"top": False, "right": False},
    "xtick": {"color": MUTED},
    "ytick": {"color": MUTED},
    "xtick.major": {"width": 0.6, "size": 3},
    "ytick.major": {"width": 0.6, "size": 3},
    "grid": {"color": RULE, "linewidth": 0.6},
    "legend": {"frameon": False},
    "svg": {"fonttype": "none", "hashsalt": "medvision"},
}

Draw = Callable[[Axes], None]
"""Draws one chart onto blank axes."""


@dataclass(frozen=True)
class Picture:
    """A figure as a PNG file and as an SVG element for the page.

    Args:
        name: File name without suffix.
        png: Bytes of the file.
        svg: Themable `<svg>` element; empty where the page shows the picture in another way.
        alt: What a screen reader says.
    """

    name: str
    png: bytes
    svg: str
    alt: str


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, whatever the user's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for group, values in _STYLE.items():
            matplotlib.rc(cast("RcGroupKeyType", group), **values)
        yield


def draw_picture(
    name: str, draw: Draw, *, size_in: tuple[float, float], alt: str, caption: str = ""
) -> Picture:
    """Draw one chart.

    Args:
        name: File name without suffix.
        draw: Draws onto the axes.
        size_in: Width and height in inches.
        alt: What a screen reader says.
        caption: Small line below the chart, in the PNG only.

    Returns:
        The picture; equal drawings give equal bytes.
    """
    with house_style():
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        svg = save_figure(figure, "svg").decode()
        if caption:
            figure.supxlabel(caption, fontsize=6.5, color=MUTED)
        png = save_figure(figure, "png")
    return Picture(name, png, make_themable(svg, name=name), alt)


def draw_row(
    name: str, draws: list[Draw], *, size_in: tuple[float, float], alt: str, caption: str = ""
) -> Picture:
    """Draw charts side by side, as a PNG alone.

    Args:
        name: File name without suffix.
        draws: One per chart, from the left.
        size_in: Width and height of one chart in inches.
        alt: What a screen reader says.
        caption: Small line below the charts.

    Returns:
        The picture, without SVG.
    """
    with house_style():
        width, height = size_in
        figure = Figure(figsize=(width * len(draws), height), layout="constrained")
        FigureCanvasAgg(figure)
        for n, draw in enumerate(draws):
            draw(figure.add_subplot(1, len(draws), n + 1))
        if caption:
            figure.supxlabel(caption, fontsize=6.5, color=MUTED)
        return Picture(name, save_figure(figure, "png"), "", alt)


def draw_grid(
    name: str,
    draws: list[Draw],
    *,
    n_columns: int,
    size_in: tuple[float, float],
    alt: str,
    caption: str = "",
) -> Picture:
    """Draw charts in rows.

    Args:
        name: File name without suffix.
        draws: One per chart, from the left, row by row.
        n_columns: Charts in a row.
        size_in: Width and height of one chart in inches.
        alt: What a screen reader says.
        caption: Small line below the charts, in the PNG only.

    Returns:
        The picture; equal drawings give equal bytes.
    """
    n_rows = -(-len(draws) // n_columns)
    with house_style():
        figure = Figure(figsize=(size_in[0] * n_columns, size_in[1] * n_rows), layout="constrained")
        FigureCanvasAgg(figure)
        for n, draw in enumerate(draws):
            draw(figure.add_subplot(n_rows, n_columns, n + 1))
        svg = save_figure(figure, "svg").decode()
        if caption:
            figure.supxlabel(caption, fontsize=6.5, color=MUTED)
        png = save_figure(figure, "png")
    return Picture(name, png, make_themable(svg, name=name), alt)


def save_figure(figure: Figure, kind: str, *, dpi: int = 200) -> bytes:
    """Return the bytes of a png or svg file, without date or software in them."""
    stream = io.BytesIO()
    if kind == "svg":
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    else:
        figure.savefig(stream, format="png", dpi=dpi, facecolor=PAPER, metadata={"Software": None})
    return stream.getvalue()
