"""What a case's pictures show, kept so that they can be drawn again from the raw maps."""

import io
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import matplotlib
import numpy as np
from matplotlib.ft2font import __freetype_version__
from numpy.typing import NDArray
from PIL import Image

from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.report.case import CaseView, DisplayFacts, KeyLayers, choose_key_slice
from medvision.report.display import choose_plane, cut_slices, shrink_slices
from medvision.report.overlay import (
    colour_slices,
    compute_scale,
    encode_grey,
    encode_palette,
    stack_slices,
)

_LARGE_DIFFERENCE = 32
_MAX_SHARE = 0.02


@dataclass(frozen=True)
class KeptLayers:
    """What is kept of a case's pictures beside its raw maps.

    Args:
        image: PNG of the grey levels of all slices shown, below one another as on the page.
        mask: PNG of the key slice's lesion, 0 or 255; None where the case has no mask.
        parameters: How the pictures were drawn, as JSON.
    """

    image: bytes
    mask: bytes | None
    parameters: dict[str, JsonValue]


def describe_versions() -> dict[str, str]:
    """Return what turns a figure into pixels: versions, and the kind of machine."""
    return {
        "matplotlib": matplotlib.__version__,
        "freetype": __freetype_version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def keep_layers(view: CaseView) -> KeptLayers:
    """Return the background of a case's pictures, and how they were drawn.

    Args:
        view: Pictures of the case.
    """
    facts, layers = view.facts, view.key_layers
    mask = None if layers.mask is None else encode_grey(layers.mask.astype(np.uint8) * 255)
    parameters: dict[str, JsonValue] = {
        "image_id": facts.image_id,
        "plane": facts.plane,
        "shown": list(facts.shown),
        "key_slice": facts.key_slice,
        "has_mask": facts.has_mask,
        "window": list(facts.window),
        "units": facts.units,
        "reduction": facts.reduction,
        "scales": dict(facts.scales),
        "versions": dict(describe_versions()),
    }
    return KeptLayers(view.base, mask, parameters)


def rebuild_view(
    kept: KeptLayers, maps: Mapping[str, FloatGrid], affine: Affine, *, has_geometry: bool
) -> tuple[CaseView, list[str]]:
    """Build what a case's pictures are drawn from out of raw maps, by the report's own rules.

    Args:
        kept: What the report kept.
        maps: Method to raw signed map (I, J, K), in the report's order.
        affine: (4, 4), voxel index to RAS+ mm, of the maps.
        has_geometry: False where the affine is a convention.

    Returns:
        (view, faults): scales, plane and, without a lesion, key slice follow from the maps; a
        fault in words for each that was kept otherwise.

    Raises:
        ValueError: What was kept does not fit the maps.
    """
    said = kept.parameters
    shape = next(iter(maps.values())).shape
    plane = choose_plane(affine, shape, has_geometry=has_geometry)
    slices = {name: cut_slices(grid, plane) for name, grid in maps.items()}
    scales = {name: compute_scale(held) for name, held in slices.items()}
    key = (
        cast(int, said["key_slice"]) - 1 if said["has_mask"] else choose_key_slice(slices, None)[0]
    )
    n_slices, rows, columns = next(iter(slices.values())).shape
    shown = _read_shown(said, n_slices=n_slices, key=key)
    factor = cast(int, said["reduction"])
    grey = _unstack(_decode(kept.image, "L"), n_slices=len(shown))
    levels = {
        name: colour_slices(shrink_slices(held[shown], factor), scales[name])
        for name, held in slices.items()
    }
    place = shown.index(key)
    facts = _describe(said, plane.name, n_slices=n_slices, key=key, shown=shown, scales=scales)
    view = CaseView(
        facts=facts,
        key=place,
        aspect=columns * plane.spacing_mm[2] / (rows * plane.spacing_mm[1]),
        size=(grey.shape[1], grey.shape[2]),
        edges=plane.edges,
        base=kept.image,
        overlays={
            name: encode_palette(stack_slices(levels[name]))
            for name, scale in scales.items()
            if scale > 0
        },
        profiles={},
        outlines=(),
        outline_size=(rows, columns),
        key_layers=KeyLayers(
            grey=grey[place],
            levels={name: level[place] for name, level in levels.items()},
            mask=None if kept.mask is None else _decode(kept.mask, "L") > 0,
        ),
    )
    return view, _find_faults(said, facts)


def _read_shown(said: Mapping[str, JsonValue], *, n_slices: int, key: int) -> list[int]:
    """Return the slices shown, from 0."""
    shown = [cast(int, number) - 1 for number in cast(list[JsonValue], said["shown"])]
    if key not in shown or shown != sorted(set(shown)) or not 0 <= shown[0] <= shown[-1] < n_slices:
        raise ValueError(f"slices shown must rise within 1 to {n_slices} and hold {key + 1}")
    return shown


def _unstack(stack: NDArray[np.uint8], *, n_slices: int) -> NDArray[np.uint8]:
    """Return the slices (S, Y, X) of a tall picture, without their spare rows."""
    tall = len(stack) // n_slices
    if tall < 3 or tall * n_slices != len(stack):
        raise ValueError(f"picture must have as many rows for each of {n_slices} slices")
    return stack.reshape(n_slices, tall, -1)[:, 1:-1]


def _describe(
    said: Mapping[str, JsonValue],
    plane: str,
    *,
    n_slices: int,
    key: int,
    shown: list[int],
    scales: Mapping[str, float],
) -> DisplayFacts:
    """Return the facts of the pictures: from the maps where they can be, else as kept."""
    return DisplayFacts(
        image_id=str(said["image_id"]),
        plane=plane,
        n_slices=n_slices,
        shown=tuple(n + 1 for n in shown),
        key_slice=key + 1,
        rule="",
        window=cast(tuple[float, float], tuple(cast(list[float], said["window"]))),
        units=str(said["units"]),
        reduction=cast(int, said["reduction"]),
        scales=dict(scales),
        has_mask=bool(said["has_mask"]),
        n_lesion_slices=0,
    )


def _find_faults(said: Mapping[str, JsonValue], facts: DisplayFacts) -> list[str]:
    """Name what was kept otherwise than the raw maps give it."""
    follows = {"plane": facts.plane, "key_slice": facts.key_slice, "scales": facts.scales}
    return [
        f"{name} must follow from the raw maps, {value}, got {said[name]}."
        for name, value in follows.items()
        if said[name] != value
    ]


def compare_pictures(kept: bytes, drawn: bytes, *, is_exact: bool) -> str | None:
    """Compare two PNG files pixel by pixel.

    Args:
        kept: The file as handed on.
        drawn: The file as drawn here.
        is_exact: Whether every pixel must be equal; else at most 2 % of them may differ, by more
            than 32 of 255 in some channel, which leaves room for another font renderer.

    Returns:
        What is wrong, in words; None where they agree.
    """
    one, other = _decode(kept, "RGBA"), _decode(drawn, "RGBA")
    if one.shape != other.shape:
        return f"picture must have {other.shape[:2]} pixels, got {one.shape[:2]}."
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=2)
    share = float((apart > (0 if is_exact else _LARGE_DIFFERENCE)).mean())
    limit = 0.0 if is_exact else _MAX_SHARE
    if share <= limit:
        return None
    return f"pixels that differ must be at most {limit:.0%}, got {share:.2%}."


def _decode(png: bytes, mode: str) -> NDArray[np.uint8]:
    """Return the pixels of a PNG."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image.convert(mode), dtype=np.uint8)
