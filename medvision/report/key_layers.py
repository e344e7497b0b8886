"""What a case's picture shows, kept so that it can be drawn again from the raw maps."""

import io
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
from medvision.report.display import Slices, choose_plane, cut_slices, shrink_slices
from medvision.report.overlay import colour_slices, compute_scale, encode_grey

_LARGE_DIFFERENCE = 32
_MAX_SHARE = 0.02


@dataclass(frozen=True)
class KeptLayers:
    """What is kept of a case's picture beside its raw maps.

    Args:
        image: PNG of the key slice's grey levels.
        mask: PNG of the key slice's lesion, 0 or 255; None where the case has no mask.
        parameters: How the picture was drawn, as JSON.
    """

    image: bytes
    mask: bytes | None
    parameters: dict[str, JsonValue]


def describe_versions() -> dict[str, str]:
    """Return the versions of what turns a figure into pixels."""
    return {"matplotlib": matplotlib.__version__, "freetype": __freetype_version__}


def keep_layers(view: CaseView) -> KeptLayers:
    """Return the background of a case's picture, and how it was drawn.

    Args:
        view: Pictures of the case.
    """
    facts, layers = view.facts, view.key_layers
    mask = None if layers.mask is None else encode_grey(layers.mask.astype(np.uint8) * 255)
    parameters: dict[str, JsonValue] = {
        "image_id": facts.image_id,
        "plane": facts.plane,
        "key_slice": facts.key_slice,
        "has_mask": facts.has_mask,
        "has_geometry": any(view.edges),
        "window": list(facts.window),
        "units": facts.units,
        "reduction": facts.reduction,
        "methods": list(facts.scales),
        "scales": dict(facts.scales),
        "versions": dict(describe_versions()),
    }
    return KeptLayers(encode_grey(layers.grey), mask, parameters)


def rebuild_view(
    kept: KeptLayers, maps: Mapping[str, FloatGrid], affine: Affine
) -> tuple[CaseView, list[str]]:
    """Build what a picture is drawn from out of raw maps, by the report's own rules.

    Args:
        kept: What the report kept.
        maps: Method to raw signed map (I, J, K), in the report's order.
        affine: (4, 4), voxel index to RAS+ mm, of the maps.

    Returns:
        (view, faults): scales, plane and, without a lesion, key slice follow from the maps; a
        fault in words for each that was kept otherwise.
    """
    said = kept.parameters
    shape = next(iter(maps.values())).shape
    plane = choose_plane(affine, shape, has_geometry=bool(said["has_geometry"]))
    slices = {name: cut_slices(grid, plane) for name, grid in maps.items()}
    scales = {name: compute_scale(held) for name, held in slices.items()}
    key = (
        cast(int, said["key_slice"]) - 1 if said["has_mask"] else choose_key_slice(slices, None)[0]
    )
    factor = cast(int, said["reduction"])
    grey = _decode(kept.image, "L")
    n_slices, rows, columns = next(iter(slices.values())).shape
    facts = _describe(said, plane.name, n_slices=n_slices, key=key, scales=scales)
    view = CaseView(
        facts=facts,
        key=0,
        aspect=columns * plane.spacing_mm[2] / (rows * plane.spacing_mm[1]),
        size=(grey.shape[0], grey.shape[1]),
        edges=plane.edges,
        base=b"",
        overlays={name: b"" for name, scale in scales.items() if scale > 0},
        profiles={},
        outlines=(),
        outline_size=(rows, columns),
        key_layers=KeyLayers(
            grey=grey,
            levels=_colour_key(slices, scales, key=key, factor=factor),
            mask=None if kept.mask is None else _decode(kept.mask, "L") > 0,
        ),
    )
    return view, _find_faults(said, facts)


def _colour_key(
    slices: Mapping[str, Slices], scales: Mapping[str, float], *, key: int, factor: int
) -> dict[str, NDArray[np.uint8]]:
    """Return the key slice of each map as palette indices (Y, X)."""
    return {
        name: colour_slices(shrink_slices(held[key : key + 1], factor), scales[name])[0]
        for name, held in slices.items()
    }


def _describe(
    said: Mapping[str, JsonValue],
    plane: str,
    *,
    n_slices: int,
    key: int,
    scales: Mapping[str, float],
) -> DisplayFacts:
    """Return the facts of a picture of one slice: from the maps where they can be, else as kept."""
    return DisplayFacts(
        image_id=str(said["image_id"]),
        plane=plane,
        n_slices=n_slices,
        shown=(key + 1,),
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
