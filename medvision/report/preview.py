"""One image before and after preprocessing, cut through the same point, at the same scale."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from medvision.domain.geometry import Affine, Points, compute_spacing_mm, transform_points
from medvision.domain.volume import Volume, format_shape
from medvision.report.canvas import house_style, save_figure
from medvision.report.display import Plane, choose_plane, find_flat, list_planes
from medvision.report.theme import INK, MUTED
from medvision.report.words import RESEARCH_USE

_PANEL_IN = 3.1
_HIGHEST_IN = 4.4
_GAP_IN = 0.2
_MARGIN_IN = 0.2
_HEAD_IN = 0.78
_LINE_IN = 0.15
_CHARACTERS = 112
_PERCENTILES = (0.5, 99.5)
_FRAME = "#ffe45c"
_HALO = [withStroke(linewidth=1.4, foreground="k")]

Range = tuple[float, float]
"""Values shown black and white."""

Extent = tuple[float, float, float, float]
"""Left, right, bottom, top in mm from the common point; rows run downwards."""


@dataclass(frozen=True)
class Shown:
    """One side of a preview.

    Args:
        name: Such as Source.
        volume: (C, I, J, K) float32, C of 1 or 3, with its affine.
        limits: Values shown black and white.
    """

    name: str
    volume: Volume
    limits: Range


@dataclass(frozen=True)
class _Cut:
    """A plane of one side: its pixels, and where they lie."""

    side: Shown
    plane: Plane
    pixels: NDArray[np.float32]
    extent: Extent


def choose_limits(volume: Volume, *, is_unit: bool) -> Range:
    """Return the values to show black and white.

    Args:
        volume: (C, I, J, K), finite somewhere.
        is_unit: The values were scaled to 0 and 1.

    Returns:
        0 and 1, or percentiles 0.5 and 99.5; or the whole range, where those are equal.
    """
    if is_unit:
        return 0.0, 1.0
    values = volume.array[np.isfinite(volume.array)]
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
    return (low, high) if low < high else (float(values.min()), float(values.max()) + 1e-6)


def draw_preview(
    title: str, sides: tuple[Shown, Shown], *, steps: Sequence[str], has_geometry: bool
) -> bytes:
    """Draw source and result side by side, one row for each plane of a volume.

    Both are cut through the centre of the result and drawn at the same scale; a frame on the
    source shows how far the result reaches.

    Args:
        title: One line, such as the image's pseudonym and label.
        sides: Source and result.
        steps: What was done, a line or more each.
        has_geometry: Whether the source lies in space; without, no direction is written.

    Returns:
        PNG; equal images give equal bytes.
    """
    centre = _find_centre(sides[1].volume)
    rows = _cut_both(sides, centre, has_geometry=has_geometry)
    boxes = [_merge(one.extent, other.extent) for one, other in rows]
    scale = _choose_scale(boxes)
    lines = [line for n, text in enumerate(steps, 1) for line in _wrap(f"{n}. {text}")]
    lines += [f"Frame: reach of the result. {RESEARCH_USE}"]
    height_in = _HEAD_IN + sum(scale * (box[2] - box[3]) + _GAP_IN for box in boxes)
    height_in += len(lines) * _LINE_IN + _MARGIN_IN
    with house_style():
        figure = Figure(figsize=(2 * (_PANEL_IN + _MARGIN_IN) + _GAP_IN, height_in))
        FigureCanvasAgg(figure)
        _write(figure, title, top_in=0.12, size=9, colour=INK, weight="bold")
        for n, side in enumerate(sides):
            left_in = _MARGIN_IN + n * (_PANEL_IN + _GAP_IN)
            _write(figure, _describe(side), top_in=0.34, left_in=left_in)
        top_in = _HEAD_IN
        for row, box in zip(rows, boxes, strict=True):
            _draw_row(figure, row, box, scale=scale, top_in=top_in, centre=centre)
            top_in += scale * (box[2] - box[3]) + _GAP_IN
        _write(figure, "\n".join(lines), top_in=top_in)
        return save_figure(figure, "png", dpi=150)


def _find_centre(volume: Volume) -> Points:
    """Return the place (1, 3) of the middle voxel, RAS+ mm."""
    middle = np.array([[length // 2 for length in volume.array.shape[1:]]], dtype=np.float64)
    return transform_points(volume.affine, middle)


def _cut_both(
    sides: tuple[Shown, Shown], centre: Points, *, has_geometry: bool
) -> list[tuple[_Cut, _Cut]]:
    """Cut both sides in each plane, or in the one of two images that are flat in one direction."""
    flat, other = (find_flat(side.volume.affine, side.volume.array.shape[1:]) for side in sides)
    is_flat = flat is not None and flat == other
    planes = (
        _list_planes(side.volume, is_flat=is_flat, has_geometry=has_geometry) for side in sides
    )
    return [
        (_cut(sides[0], one, centre), _cut(sides[1], other, centre))
        for one, other in zip(*planes, strict=True)
    ]


def _list_planes(volume: Volume, *, is_flat: bool, has_geometry: bool) -> tuple[Plane, ...]:
    """Return the planes that one side is cut in."""
    affine, shape = volume.affine, volume.array.shape[1:]
    if is_flat:
        return (choose_plane(affine, shape, has_geometry=has_geometry),)
    return list_planes(affine, shape, has_geometry=has_geometry)


def _cut(side: Shown, plane: Plane, centre: Points) -> _Cut:
    """Cut one side in a plane through the point, or the slice that is nearest to it."""
    shape = side.volume.array.shape[1:]
    (place,) = transform_points(_invert(side.volume.affine), centre).tolist()
    normal, row, column = plane.axes
    index = int(np.clip(round(place[normal]), 0, shape[normal] - 1))
    pixels = np.moveaxis(side.volume.array, 0, -1).transpose(*plane.axes, 3)[index]
    pixels = pixels[:: -1 if plane.flips[1] else 1, :: -1 if plane.flips[2] else 1]
    left, right = _find_ends(place[column], shape[column], plane, which=2)
    top, bottom = _find_ends(place[row], shape[row], plane, which=1)
    return _Cut(side, plane, pixels, (left, right, bottom, top))


def _invert(affine: Affine) -> Affine:
    """Return the map from RAS+ mm to voxel indices."""
    return np.linalg.inv(affine).astype(np.float64)


def _find_ends(place: float, length: int, plane: Plane, *, which: int) -> tuple[float, float]:
    """Return where an axis of the screen begins and ends, in mm from the point."""
    first, last = (-0.5 - place), (length - 0.5 - place)
    if plane.flips[which]:
        first, last = -last, -first
    return first * plane.spacing_mm[which], last * plane.spacing_mm[which]


def _merge(one: Extent, other: Extent) -> Extent:
    """Return the box around two."""
    left, top = min(one[0], other[0]), min(one[3], other[3])
    return left, max(one[1], other[1]), max(one[2], other[2]), top


def _choose_scale(boxes: Sequence[Extent]) -> float:
    """Return inches per mm at which the widest and the highest box fit."""
    wide, high = (max(box[1] - box[0] for box in boxes), max(box[2] - box[3] for box in boxes))
    return min(_PANEL_IN / wide, _HIGHEST_IN / high)


def _draw_row(
    figure: Figure,
    row: tuple[_Cut, _Cut],
    box: Extent,
    *,
    scale: float,
    top_in: float,
    centre: Points,
) -> None:
    """Draw one plane of both sides."""
    width_in, height_in = figure.get_size_inches()
    wide, high = scale * (box[1] - box[0]), scale * (box[2] - box[3])
    for n, cut in enumerate(row):
        left = _MARGIN_IN + n * (_PANEL_IN + _GAP_IN) + (_PANEL_IN - wide) / 2
        bottom = height_in - top_in - high
        axes = figure.add_axes(
            (left / width_in, bottom / height_in, wide / width_in, high / height_in)
        )
        _draw_cut(axes, cut, box)
        if n == 0:
            _draw_frame(axes, cut, row[1], centre=centre)


def _draw_cut(axes: Axes, cut: _Cut, box: Extent) -> None:
    """Draw the pixels of one plane, and the directions at its edges."""
    low, high = cut.side.limits
    grey = np.clip((np.nan_to_num(cut.pixels, nan=low) - low) / (high - low), 0, 1)
    is_colour = grey.shape[-1] == 3
    axes.imshow(
        grey if is_colour else grey[..., 0],
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=cut.extent,
        interpolation="auto",
    )
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#000000")
    for spine in axes.spines.values():
        spine.set_visible(False)
    left, right, top, bottom = cut.plane.edges
    places = ((0.02, 0.5, left), (0.98, 0.5, right), (0.5, 0.98, top), (0.5, 0.02, bottom))
    for x, y, letter in places:
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            color=_FRAME,
            fontsize=7,
            path_effects=_HALO,
            ha={0.02: "left", 0.98: "right"}.get(x, "center"),
            va={0.02: "bottom", 0.98: "top"}.get(y, "center"),
        )


def _draw_frame(axes: Axes, cut: _Cut, result: _Cut, *, centre: Points) -> None:
    """Draw on the source how far the result reaches."""
    source, reached = cut.side.volume, result.side.volume
    _, row, column = result.plane.axes
    (middle,) = transform_points(_invert(reached.affine), centre)
    corners = np.repeat(middle[np.newaxis], 4, axis=0)
    corners[:, row] = np.array([-0.5, -0.5, 1, 1])
    corners[:, column] = np.array([-0.5, 1, 1, -0.5])
    for axis in (row, column):
        corners[:, axis][corners[:, axis] == 1] = reached.array.shape[axis + 1] - 0.5
    places = transform_points(_invert(source.affine) @ reached.affine, corners)
    (origin,) = transform_points(_invert(source.affine), centre)
    lines = []
    for which in (2, 1):
        axis = cut.plane.axes[which]
        sign = -1 if cut.plane.flips[which] else 1
        lines.append(sign * (places[:, axis] - origin[axis]) * cut.plane.spacing_mm[which])
    outline = np.stack(lines, axis=1)
    axes.add_patch(Polygon(outline, closed=True, fill=False, edgecolor=_FRAME, linewidth=0.8))


def _describe(side: Shown) -> str:
    """Return two lines: name and size, and what is black and white."""
    shape = side.volume.array.shape[1:]
    n_axes = 2 if shape[2] == 1 else 3
    sizes = compute_spacing_mm(side.volume.affine)[:n_axes]
    spacing = " × ".join(f"{size:.3g}" for size in sizes)
    low, high = side.limits
    shown = format_shape(shape[:n_axes]).replace("x", " × ")
    unit = "pixels" if n_axes == 2 else "voxels"
    return f"{side.name}: {shown} {unit} of {spacing} mm\nblack {low:.4g}, white {high:.4g}"


def _write(
    figure: Figure,
    text: str,
    *,
    top_in: float,
    left_in: float = _MARGIN_IN,
    size: float = 7,
    colour: str = MUTED,
    weight: str = "normal",
) -> None:
    """Write lines from the left."""
    width_in, height_in = figure.get_size_inches()
    x, y = left_in / width_in, 1 - top_in / height_in
    figure.text(x, y, text, fontsize=size, color=colour, weight=weight, va="top", linespacing=1.35)


def _wrap(text: str) -> list[str]:
    """Break a line where it would leave the figure."""
    return textwrap.wrap(text, _CHARACTERS, subsequent_indent="    ")
