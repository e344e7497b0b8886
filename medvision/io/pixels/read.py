"""The pixels of a DICOM file as modality values: decoded, masked, made grey, rescaled."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Frame, Instance
from medvision.io.dicom.values import read_items
from medvision.io.pixels.colour import COLOUR, DIRECT, GREY, PALETTE, Painter
from medvision.io.pixels.description import Description, describe_pixels
from medvision.io.pixels.modality import (
    MODALITY_TABLE,
    apply_modality_table,
    has_modality_table,
    rescale_plane,
)
from medvision.io.pixels.rasters import Raster, ReadFrame, open_frames
from medvision.io.quiet import silence_decoder, silence_readers
from medvision.io.reasons import RefusalError

__all__ = ["COLOUR", "GREY", "Colour", "Decoded", "Plane", "read_planes"]

Plane = NDArray[np.number]
"""(rows, columns) modality values, whole where they are whole numbers, else float32; or
(rows, columns, 3) uint8."""

Colour = Literal["luminance", "rgb"]
"""What becomes of colour: one channel, ITU-R BT.601; or three, red, green and blue."""


@dataclass(frozen=True)
class Decoded:
    """Modality values of every frame of a file, and what is worth flagging.

    Args:
        planes: One per frame of the instance, all of one dtype.
        flags: Codes of reasons.FLAGS, sorted.
    """

    planes: tuple[Plane, ...]
    flags: tuple[str, ...]


def read_planes(source: Path | bytes, instance: Instance, *, colour: Colour) -> Decoded:
    """Decode a DICOM file's pixels to modality values.

    Decoding runs native code on untrusted bytes: call it in a process that may die.

    Args:
        source: The file, or its bytes.
        instance: Its translated header. In a mosaic the planes are the tiles.
        colour: What becomes of colour; grey images do not heed it.

    Returns:
        One plane per frame of the instance.

    Raises:
        RefusalError: The pixels cannot be had exactly as the standard means them.
        OSError: The file cannot be opened.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    silence_decoder()
    with silence_readers():
        description = describe_pixels(data, instance)
        _check(description, instance)
        read, flags = open_frames(description)
        planes = []
        found = set(flags)
        for plane, plane_flags in _compute_planes(read, description, instance, colour=colour):
            planes.append(plane)
            found.update(plane_flags)
        if read_items(description.dataset, "VOILUTSequence"):
            found.add("voi-lut")
        return Decoded(_unify(planes), tuple(sorted(found)))


def _check(description: Description, instance: Instance) -> None:
    """Refuse pixels that are not those of the instance, or that mean nothing known."""
    size = (description.rows, description.columns)
    if min(size) < 1:
        raise RefusalError("empty-image", f"image must have rows and columns, got {size}")
    is_mosaic = instance.frames[0].tile is not None
    expected = (instance.rows, instance.columns)
    if not is_mosaic and size != expected:
        raise RefusalError("undecodable", f"image must be {expected}, got {size}")
    n_needed = 1 if is_mosaic else 1 + max(frame.index for frame in instance.frames)
    if n_needed > description.n_frames:
        raise RefusalError(
            "undecodable", f"image must have {n_needed} frames, got {description.n_frames}"
        )
    known = (*GREY, PALETTE) if description.samples == 1 else DIRECT
    if description.samples not in (1, 3) or description.photometric not in known:
        raise RefusalError(
            "photometric-not-supported",
            f"1 or 3 samples must have a known meaning, got {description.samples} samples",
        )


def _compute_planes(
    read: ReadFrame, description: Description, instance: Instance, *, colour: Colour
) -> Iterator[tuple[Plane, tuple[str, ...]]]:
    """Yield the plane of each frame of the instance, decoding one frame at a time."""
    painter = Painter(description)
    varies = len({(frame.slope, frame.intercept) for frame in instance.frames}) > 1
    is_mosaic = instance.frames[0].tile is not None
    tiled = read(0) if is_mosaic else None
    for frame in instance.frames:
        raster = read(frame.index) if tiled is None else _cut_tile(tiled, frame, instance)
        if raster.photometric in GREY:
            yield _compute_grey(raster, frame, description, varies=varies)
        elif colour == "rgb":
            yield painter.compute_rgb(raster)
        else:
            yield painter.compute_luminance(raster)


def _cut_tile(raster: Raster, frame: Frame, instance: Instance) -> Raster:
    """Cut one plane out of a mosaic."""
    row, column = frame.tile or (0, 0)
    tile = raster.values[row : row + instance.rows, column : column + instance.columns]
    if tile.shape[:2] != (instance.rows, instance.columns) or min(row, column) < 0:
        raise RefusalError(
            "undecodable",
            f"tile at {row}, {column} must lie within {raster.values.shape}, got its edge",
        )
    return Raster(tile, raster.photometric, raster.flags)


def _compute_grey(
    raster: Raster, frame: Frame, description: Description, *, varies: bool
) -> tuple[Plane, tuple[str, ...]]:
    """Turn stored values into modality values; how they should be shown is left alone."""
    flags = raster.flags
    if raster.photometric == "MONOCHROME1":
        flags = (*flags, "monochrome1")
    if has_modality_table(description):
        return apply_modality_table(raster.values, description), (*flags, MODALITY_TABLE)
    return rescale_plane(raster.values, frame, varies=varies), flags


def _unify(planes: list[Plane]) -> tuple[Plane, ...]:
    """Give all planes the dtype that holds each of them."""
    dtypes = {plane.dtype for plane in planes}
    if len(dtypes) == 1:
        return tuple(planes)
    common = np.result_type(*dtypes)
    return tuple(plane.astype(common, copy=False) for plane in planes)
