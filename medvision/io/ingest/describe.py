"""The names and facts of an image that was made of a grid of DICOM slices."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from medvision.domain.record import JsonValue
from medvision.domain.study import Grid, Instance, Slice, Value
from medvision.domain.voi import Voi
from medvision.domain.volume import NumberGrid
from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.image import Image
from medvision.io.stacking.resample import Resampling
from medvision.io.stacking.volumes import Arrangement

_EVEN = 0.05
"""Largest deviation of a time step, as a share of the usual one, in an even time series."""


def describe_image(
    grid: Grid,
    slices: Sequence[Slice],
    arrangement: Arrangement,
    *,
    array: NumberGrid,
    volume: str,
    is_colour: bool,
    flags: set[str],
    names: Pseudonymiser,
    voi: Voi | None = None,
) -> Image:
    """Give a converted grid, or one volume of it, its pseudonyms and facts.

    Args:
        grid: What was converted.
        slices: Its usable slices.
        arrangement: Which of them lies where.
        array: (I, J, K), (I, J, K, T), or of colour with a last axis of 3.
        volume: Name of the volume in the manifest.
        is_colour: The last axis holds red, green and blue.
        flags: What the pixels gave cause to flag.
        names: Makes names.
        voi: How the header asks for it to be shown.

    Returns:
        The image, ready to be written.
    """
    first = grid.first
    used = list_used(slices, arrangement, volume)
    instances = [item.instance for item in used]
    units = {instance.units for instance in instances}
    all_flags = set(chain(flags, arrangement.flags, *(item.flags for item in instances)))
    if volume not in ("", "all"):
        all_flags.add("one-of-many")
    return Image(
        image_id=_name(first, grid.index, volume, names),
        subject=first.subject,
        subject_key=first.subject_key,
        study=first.study_uid,
        series=first.series_uid,
        source="dicom",
        modality=first.modality,
        units=units.pop() if len(units) == 1 else "none",
        image_key=first.image_key,
        array=array,
        affine=arrangement.affine,
        is_placed=grid.is_stack,
        n_files=len({instance.file for instance in instances}),
        flags=tuple(sorted(all_flags)),
        origin=_describe_origin(used, arrangement, volume),
        role="derived" if arrangement.resampling is not None else first.role,
        part=_publish_part(grid),
        axis=arrangement.axis,
        n_volumes=len(arrangement.volumes),
        volume=volume,
        date=first.date,
        age_years=first.age_years,
        sex=first.sex,
        frame_of_reference=first.frame_of_reference,
        person_key=first.person_key,
        is_colour=is_colour,
        step_s=_find_step(arrangement) if volume == "all" else None,
        voi=voi,
    )


def _publish_part(grid: Grid) -> tuple[tuple[str, Value], ...]:
    """Return what sets a grid apart, without times of the day: they help to tell who it was."""
    return tuple(
        ("pass", float(grid.index + 1)) if name.endswith("-time-s") else (name, value)
        for name, value in grid.part
    )


def _find_step(arrangement: Arrangement) -> float | None:
    """Return the seconds between the volumes of an even time series, None where they vary."""
    times = [value for value in arrangement.values if isinstance(value, float)]
    if arrangement.axis != "time" or len(times) < 2:
        return None
    steps = np.diff(times)
    step = float(np.median(steps))
    is_even = step > 0 and bool(np.abs(steps - step).max() <= _EVEN * step)
    return step if is_even else None


def list_used(slices: Sequence[Slice], arrangement: Arrangement, volume: str) -> list[Slice]:
    """Return the slices that an image is made of, in its own order.

    Args:
        slices: The usable slices of its grid.
        arrangement: Which of them lies where.
        volume: Name of the volume in the manifest.
    """
    if volume.isdecimal():
        return [slices[index] for index in arrangement.volumes[int(volume) - 1]]
    return [slices[index] for index in chain.from_iterable(arrangement.volumes)]


def _name(first: Instance, index: int, volume: str, names: Pseudonymiser) -> str:
    """Return the image's id; the first image of a series keeps the series' own."""
    place = f"{index}" if volume in ("", "1", "mean", "all") else f"{index}/{volume}"
    if place == "0":
        return first.image_name
    return names.image_id(f"{first.image_name}/{place}", subject=first.subject)


def _describe_origin(
    used: Sequence[Slice], arrangement: Arrangement, volume: str
) -> dict[str, JsonValue]:
    """Tell which instance each plane came from, how it was rescaled, and how it was acquired."""
    rescales = sorted({(item.frame.slope, item.frame.intercept) for item in used})
    origin: dict[str, JsonValue] = {
        "Manufacturer": used[0].instance.manufacturer or None,
        "Rescale": [list(pair) for pair in rescales] if len(rescales) == 1 else "varies by slice",
        "SOPInstanceUIDs": [item.instance.sop_uid for item in used],
        "FrameNumbers": [item.frame.index + 1 for item in used],
        "SourceFiles": [item.instance.file for item in used],
        **_list_tiles(used),
        **_describe_resampling(arrangement.resampling),
        **_find_common(used),
    }
    if arrangement.n_missing:
        origin["MissingSlices"] = arrangement.n_missing
    if arrangement.axis:
        origin["Axis"] = arrangement.axis
        origin["AxisUnit"] = arrangement.unit
        origin["AxisValues"] = list(_choose_values(arrangement, volume))
        origin |= _list_gradients(used, arrangement, volume=volume)
    return origin


def _list_tiles(used: Sequence[Slice]) -> dict[str, JsonValue]:
    """Return where in its mosaic each plane begins, where they are tiles of mosaics."""
    tiles = [item.frame.tile for item in used]
    if any(tile is None for tile in tiles):
        return {}
    return {"MosaicTiles": [list(tile) for tile in tiles if tile is not None]}


def _describe_resampling(resampling: Resampling | None) -> dict[str, JsonValue]:
    """Return which source slices were mixed and moved, where an even grid was made of them."""
    if resampling is None:
        return {}
    offsets: JsonValue = [list(pair) for pair in resampling.offsets]
    return {
        "Resampled": {
            "Lower": list(resampling.lower),
            "Shares": list(resampling.shares),
            "Offsets": offsets,
            "Margins": list(resampling.margins),
        }
    }


def _list_gradients(
    used: Sequence[Slice], arrangement: Arrangement, *, volume: str
) -> dict[str, JsonValue]:
    """Return the direction of each volume's diffusion gradient, LPS+, where b-values differ."""
    if arrangement.axis != "b-value" or volume != "all":
        return {}
    n_slices = len(arrangement.volumes[0])
    directions = [dict(item.frame.variant).get("gradient", "") for item in used[::n_slices]]
    return {"GradientDirections": list(directions)}


def _find_common(used: Sequence[Slice]) -> dict[str, JsonValue]:
    """Return what all slices say alike about how they were acquired."""
    first, *others = {item.instance.protocol for item in used}
    return dict(sorted(set(first).intersection(*others)))


def _choose_values(arrangement: Arrangement, volume: str) -> tuple[Value, ...]:
    """Return what the fourth axis says of the volumes that an image holds."""
    if volume.isdecimal():
        return (arrangement.values[int(volume) - 1],)
    return arrangement.values
