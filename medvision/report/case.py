"""One explained case for the screen: slices, overlays, outline, and how they were chosen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid
from medvision.report.display import (
    Plane,
    Slices,
    apply_window,
    choose_plane,
    choose_window,
    cut_slices,
    shrink_slices,
)
from medvision.report.overlay import (
    colour_slices,
    compute_scale,
    encode_grey,
    encode_palette,
    stack_slices,
    trace_outline,
)

_MAX_EDGE_3D, _MAX_EDGE_2D = 144, 384
_MAX_SLICES, _MIN_SLICES = 24, 5
_MAX_PIXELS = 300_000


@dataclass(frozen=True)
class CaseGrids:
    """The arrays of one case, all on the source image's own grid.

    Args:
        image: (I, J, K) float32, HU or modality values.
        affine: (4, 4), voxel index to RAS+ mm.
        maps: Method to signed map (I, J, K).
        mask: Lesions (I, J, K), not zero inside; None where the case has no mask.
        has_geometry: False where the affine is a convention.
        window: Intensities shown as black and white; None takes percentiles.
        units: Unit of the intensities, such as HU; "" when unknown.
        controls: Control to signed map (I, J, K); none are shown without.
    """

    image: FloatGrid
    affine: Affine
    maps: Mapping[str, FloatGrid]
    mask: FloatGrid | None
    has_geometry: bool
    window: tuple[float, float] | None
    units: str
    controls: Mapping[str, FloatGrid] = field(default_factory=dict)


@dataclass(frozen=True)
class DisplayFacts:
    """What the caption of a case says about its pictures; held by report.json."""

    image_id: str
    plane: str
    n_slices: int
    shown: tuple[int, ...]
    key_slice: int
    rule: str
    window: tuple[float, float]
    units: str
    reduction: int
    scales: dict[str, float]
    has_mask: bool
    n_lesion_slices: int


@dataclass(frozen=True)
class CaseView:
    """The pictures of one case.

    Args:
        facts: What is said about them.
        key: Position of the key slice among those shown.
        aspect: Width over height of a slice, in mm.
        size: Rows and columns of a slice as shown.
        edges: Letters at the left, right, top, bottom.
        base: PNG, slices below one another, each with a spare row above and below.
        overlays: Method or control to PNG of the same layout; none for an empty map.
        profiles: Method to the sum of absolute values of each slice shown, relative to the
            largest of them.
        outlines: Lesion's SVG path for each slice shown, "" where none.
        outline_size: Rows and columns of the outline's coordinates.
        key_layers: The key slice as arrays.
    """

    facts: DisplayFacts
    key: int
    aspect: float
    size: tuple[int, int]
    edges: tuple[str, str, str, str]
    base: bytes
    overlays: dict[str, bytes]
    profiles: dict[str, tuple[float, ...]]
    outlines: tuple[str, ...]
    outline_size: tuple[int, int]
    key_layers: "KeyLayers" = field(repr=False)


@dataclass(frozen=True)
class KeyLayers:
    """The key slice as arrays, for figures drawn elsewhere.

    Args:
        grey: (Y, X) uint8.
        levels: Method or control to palette indices (Y, X) uint8.
        mask: (Y', X') bool at full resolution, None where the case has no mask.
    """

    grey: NDArray[np.uint8]
    levels: dict[str, NDArray[np.uint8]]
    mask: NDArray[np.bool_] | None


def build_case_view(image_id: str, grids: CaseGrids) -> CaseView:
    """Cut, turn, window and colour one case.

    Args:
        image_id: Pseudonymous name of the image.
        grids: Its arrays.

    Returns:
        Pictures of bounded size: slices are thinned and pixels averaged where an image is
        large, which the facts say; maps keep their sign, on a symmetric scale.
    """
    plane = choose_plane(grids.affine, grids.image.shape, has_geometry=grids.has_geometry)
    image = cut_slices(grids.image, plane)
    maps = {name: cut_slices(grid, plane) for name, grid in grids.maps.items()}
    mask = None if grids.mask is None else cut_slices(grids.mask, plane) > 0
    key, rule = choose_key_slice(maps, mask)
    laid = maps | {name: cut_slices(grid, plane) for name, grid in grids.controls.items()}
    factor = _choose_reduction(image)
    shown = _choose_slices(image, key=key, factor=factor)
    window = choose_window(image, grids.window)
    grey = apply_window(shrink_slices(image[shown], factor), window)
    scales = {name: compute_scale(slices) for name, slices in laid.items()}
    levels = {
        name: colour_slices(shrink_slices(slices[shown], factor), scales[name])
        for name, slices in laid.items()
    }
    facts = DisplayFacts(
        image_id=image_id,
        plane=plane.name,
        n_slices=len(image),
        shown=tuple(n + 1 for n in shown),
        key_slice=key + 1,
        rule=rule,
        window=window,
        units=grids.units,
        reduction=factor,
        scales=scales,
        has_mask=mask is not None and bool(mask.any()),
        n_lesion_slices=0 if mask is None else int(mask.any(axis=(1, 2)).sum()),
    )
    return _assemble(
        facts, plane, shown=shown, key=key, grey=grey, levels=levels, maps=maps, mask=mask
    )


def _assemble(
    facts: DisplayFacts,
    plane: Plane,
    *,
    shown: list[int],
    key: int,
    grey: NDArray[np.uint8],
    levels: dict[str, NDArray[np.uint8]],
    maps: dict[str, Slices],
    mask: NDArray[np.bool_] | None,
) -> CaseView:
    """Encode the pictures."""
    position = shown.index(key)
    _, row_mm, column_mm = plane.spacing_mm
    full = next(iter(maps.values())).shape[1:] if maps else grey.shape[1:]
    full = mask.shape[1:] if mask is not None else full
    height_mm, width_mm = full[0] * row_mm, full[1] * column_mm
    return CaseView(
        facts=facts,
        key=position,
        aspect=width_mm / height_mm,
        size=(grey.shape[1], grey.shape[2]),
        edges=plane.edges,
        base=encode_grey(stack_slices(grey)),
        overlays={
            n: encode_palette(stack_slices(levels[n])) for n in levels if facts.scales[n] > 0
        },
        profiles={n: _compute_profile(maps[n][shown]) for n in maps},
        outlines=() if mask is None else tuple(trace_outline(mask[n]) for n in shown),
        outline_size=(full[0], full[1]),
        key_layers=KeyLayers(
            grey=grey[position],
            levels={name: level[position] for name, level in levels.items()},
            mask=None if mask is None else mask[key],
        ),
    )


def choose_key_slice(maps: Mapping[str, Slices], mask: NDArray[np.bool_] | None) -> tuple[int, str]:
    """Choose the slice that stands for a case, by a rule that looks at no result.

    Args:
        maps: Method to map (S, Y, X).
        mask: Lesions (S, Y, X), or None.

    Returns:
        (position, rule): 0-based, and the rule in words.
    """
    if mask is not None and mask.any():
        return int(mask.sum(axis=(1, 2)).argmax()), "the slice with the largest part of the lesion"
    if not maps:
        return 0, "the first slice"
    first = next(iter(maps.values()))
    peak = int(np.nan_to_num(np.abs(first)).max(axis=(1, 2)).argmax())
    return peak, "the slice with the largest absolute value of the first map"


def _choose_reduction(image: Slices) -> int:
    """Return how many pixels become one along each edge."""
    limit = _MAX_EDGE_2D if len(image) == 1 else _MAX_EDGE_3D
    return -(-max(int(n) for n in image.shape[1:]) // limit)


def _choose_slices(image: Slices, *, key: int, factor: int) -> list[int]:
    """Return the slices shown: all, or evenly thinned ones with the key slice among them."""
    pixels = -(-image.shape[1] // factor) * -(-image.shape[2] // factor)
    limit = max(_MIN_SLICES, min(_MAX_SLICES, _MAX_PIXELS // pixels))
    step = -(-len(image) // limit)
    return list(range(key % step, len(image), step))


def _compute_profile(slices: Slices) -> tuple[float, ...]:
    """Return the sum of absolute values of each slice, relative to the largest of them."""
    sums = np.nan_to_num(np.abs(slices)).sum(axis=(1, 2), dtype=np.float64)
    relative = sums / sums.max() if sums.max() > 0 else sums
    return tuple(round(float(value), 3) for value in relative)
