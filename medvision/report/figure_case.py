"""One case as a figure: image and every map side by side, with sign, scale and unit."""

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from medvision.report.canvas import Picture, house_style, save_figure
from medvision.report.case import CaseView
from medvision.report.explanation import Case, MethodMap
from medvision.report.overlay import build_palette
from medvision.report.theme import MUTED
from medvision.report.words import RESEARCH_USE

_PANEL_IN = 2.3
_MAX_COLUMNS = 4
_OUTLINE = "#ffe45c"
_MIDDLE_GREY = 112
_HALO = [withStroke(linewidth=1.6, foreground="k")]
_SIDES: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")


def draw_case(case: Case, view: CaseView) -> Picture:
    """Draw the key slice of a case, plain and under each map, with a colour bar each.

    Args:
        case: Facts of the case.
        view: Its pictures.

    Returns:
        Picture `case-<nn>`, a PNG alone.
    """
    maps = [held for held in case.methods if held.method in view.overlays]
    with house_style():
        panels = [None, *maps]
        columns = _choose_columns(len(panels))
        rows = -(-len(panels) // columns)
        picture_in = _PANEL_IN / view.aspect
        figure = Figure(
            figsize=(_PANEL_IN * columns, rows * (picture_in + 0.6) + 0.35), layout="constrained"
        )
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            2 * rows, columns, squeeze=False, height_ratios=[picture_in, 0.09] * rows
        )
        for axes in grid.flat[:]:
            axes.set_axis_off()
        for n, held in enumerate(panels):
            row, column = divmod(n, columns)
            _draw_panel(grid[2 * row, column], view, held=held)
            _draw_bar(grid[2 * row + 1, column], view, held=held)
        figure.suptitle(
            f"Case {case.number}: labelled {case.label}, predicted {case.predicted}",
            fontsize=9,
            x=0.01,
            ha="left",
        )
        figure.supxlabel(RESEARCH_USE, fontsize=6.5, color=MUTED)
        png = save_figure(figure, "png", dpi=140)
    names = ", ".join(held.words for held in maps)
    alt = f"Case {case.number}, slice {view.facts.key_slice}: image, {names}"
    return Picture(f"case-{case.number:02d}", png, "", alt)


def _choose_columns(n_panels: int) -> int:
    """Return how many panels stand beside one another, so that rows are full and few."""
    rows = -(-n_panels // _MAX_COLUMNS)
    return -(-n_panels // rows)


def _draw_panel(axes: Axes, view: CaseView, *, held: MethodMap | None) -> None:
    """Draw the grey slice, the map over it, the lesion's outline and the sides."""
    rows, columns = view.size
    extent = (0.0, float(columns), float(rows), 0.0)
    layers = view.key_layers
    axes.set_axis_off()
    axes.imshow(layers.grey, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="bilinear")
    if held is not None:
        colours = build_palette()[layers.levels[held.method]]
        axes.imshow(colours, extent=extent, interpolation="bilinear")
    if layers.mask is not None and layers.mask.any():
        full_rows, full_columns = layers.mask.shape
        x = [(n + 0.5) * columns / full_columns for n in range(full_columns)]
        y = [(n + 0.5) * rows / full_rows for n in range(full_rows)]
        if full_rows > 1 and full_columns > 1:
            axes.contour(x, y, layers.mask, levels=[0.5], colors=[_OUTLINE], linewidths=0.9)
    axes.set_aspect((columns / rows) / view.aspect)
    axes.set_title("Image" if held is None else held.words)
    for letter, x_share, side in ((view.edges[0], 0.03, "left"), (view.edges[1], 0.97, "right")):
        axes.text(
            x_share,
            0.5,
            letter,
            color="w",
            ha=side,
            va="center",
            transform=axes.transAxes,
            path_effects=_HALO,
        )


def _draw_bar(axes: Axes, view: CaseView, *, held: MethodMap | None) -> None:
    """Draw the symmetric colour bar of a map."""
    if held is None:
        axes.set_axis_off()
        return
    axes.set_axis_on()
    scale = view.facts.scales[held.method]
    palette = build_palette().astype(float) / 255
    grey, alpha = _MIDDLE_GREY / 255, palette[:, 3:]
    colours = ListedColormap(list(map(tuple, alpha * palette[:, :3] + (1 - alpha) * grey)))
    axes.imshow(
        [list(range(len(palette)))], cmap=colours, aspect="auto", extent=(-scale, scale, 0, 1)
    )
    axes.set_yticks([])
    axes.set_xticks([-scale, 0, scale], [f"−{scale:.2g}", "0", f"{scale:.2g}"], fontsize=6.5)
    for label, side in zip(axes.get_xticklabels(), _SIDES, strict=True):
        label.set_horizontalalignment(side)
    axes.set_xlabel(held.unit, fontsize=6.5)
    axes.spines[:].set_visible(b=False)
