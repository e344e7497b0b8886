"""Mosaics of Siemens and UIH: slices tiled into one image, unfolded into planes with places."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.novelty.vendors import find_vendor
from medvision.domain.study import Frame, Orientation, PositionMm
from medvision.io.dicom.elements import (
    find_bytes,
    find_items,
    find_numbers,
    guess_numbers,
)
from medvision.io.dicom.values import read_integer, read_text, read_texts
from medvision.io.frames.csa import read_csa, read_protocol_positions
from medvision.io.frames.planes import read_thickness
from medvision.io.frames.private import (
    SIEMENS_CSA,
    SIEMENS_MR,
    SIEMENS_SDS,
    UIH_BLOCK,
    find_block,
)
from medvision.io.frames.variants import parse_number, parse_numbers
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_MARKS = frozenset({"MOSAIC", "VFRAME"})
_POSITION = 0x0020_0032
_PER_FRAME_GROUPS = 0x5200_9230
_MAX_TILES = 4096
_PARALLEL = 0.99
"""Least cosine between the CSA header's normal and the rows' and columns' own."""

_COUNT = "NumberOfImagesInMosaic"
_NORMAL = "SliceNormalVector"
_PROTOCOLS = ("MrPhoenixProtocol", "MrProtocol")

Vector = NDArray[np.float64]
"""(3,) LPS+."""


def is_mosaic(dataset: "Dataset") -> bool:
    """Say whether an image is a mosaic of several slices.

    Either ImageType says so, or a private count of slices above 1. An object with functional groups
    or with several frames is none: newer Siemens software unfolds mosaics and leaves the word.

    Args:
        dataset: Header with FRAME_KEYWORDS and PRIVATE_TAGS.

    Raises:
        RefusalError: `unreadable`: NumberOfFrames, ImageType or the groups are broken.
    """
    if read_integer(dataset, "NumberOfFrames", default=1) > 1:
        return False
    if find_items(dataset, _PER_FRAME_GROUPS):
        return False
    return not _MARKS.isdisjoint(_read_kinds(dataset)) or (_count_flat(dataset) or 0) > 1


def unfold_mosaic(dataset: "Dataset", plane: Frame) -> tuple[tuple[Frame, ...], int, int]:
    """Tell where each tile of a mosaic lies, in the image and in space.

    Siemens: the header's position is that of a plane as large as the mosaic, so the first tile's
    lies half the difference of the two sizes further along rows and columns. The tiles follow each
    other by SpacingBetweenSlices along the normal, whose sign the CSA header gives; where it gives
    none, the order of the slices in the protocol does. UIH: each tile has its own position.

    Args:
        dataset: Header of an image for which is_mosaic holds.
        plane: The whole image as one plane, from the public attributes.

    Returns:
        (frames, rows, columns): one frame per tile, in the order of the tiles; the size of one.

    Raises:
        RefusalError: `mosaic-without-header`: the private header, or a public attribute that
            places the tiles, is missing or contradicts itself.

    Source:
        nibabel, "DICOM mosaic"; dcm2niix, notes on Siemens and UIH (facts only).
    """
    kinds = _read_kinds(dataset)
    if len(kinds) > 2 and _MARKS.isdisjoint(kinds):
        raise _refuse("ImageType must say MOSAIC where tiles are counted, got other values")
    if plane.orientation is None or plane.spacing_mm is None:
        raise _refuse("ImageOrientationPatient and PixelSpacing must be given, got none")
    n_uih = _count_uih(dataset)
    count = _count_siemens(dataset) if n_uih is None else n_uih
    across = ceil(sqrt(count))
    down = across if n_uih is None else ceil(count / across)
    rows, columns = _measure_tile(dataset, tiles_down=down, tiles_across=across)
    if n_uih is None:
        margin = (across - 1) * rows / 2, (across - 1) * columns / 2
        positions = _place(dataset, plane, count=count, margin=margin)
    else:
        positions = _read_positions(dataset, count)
    frames = tuple(
        replace(
            plane, index=k, position_mm=position, tile=(k // across * rows, k % across * columns)
        )
        for k, position in enumerate(positions)
    )
    return frames, rows, columns


def _read_kinds(dataset: "Dataset") -> tuple[str, ...]:
    """Return the values of ImageType in capitals."""
    return tuple(value.upper() for value in read_texts(dataset, "ImageType"))


def _refuse(detail: str) -> RefusalError:
    """Return the refusal of a mosaic that cannot be unfolded surely."""
    return RefusalError("mosaic-without-header", detail)


def _count_flat(dataset: "Dataset") -> int | None:
    """Return the number of slices that a private element of its own states, None without one."""
    block = find_block(dataset, SIEMENS_MR)
    counts = () if block is None else guess_numbers(dataset, block | 0x0A, vr="US")
    return int(counts[0]) if counts else _count_uih(dataset)


def _count_uih(dataset: "Dataset") -> int | None:
    """Return the number of slices in a grid of UIH, None where it is none."""
    manufacturer = find_vendor(read_text(dataset, "Manufacturer"))
    if manufacturer != "UIH" and "VFRAME" not in _read_kinds(dataset):
        return None
    counts = guess_numbers(dataset, UIH_BLOCK | 0x50, vr="DS")
    return _check_count(counts[0]) if counts and counts[0] > 1 else None


def _check_count(count: float) -> int:
    """Refuse a number of slices that no mosaic has."""
    if not 1 <= count <= _MAX_TILES or count != int(count):
        raise _refuse(f"number of tiles must be 1 to {_MAX_TILES}, got {count:g}")
    return int(count)


def _measure_tile(dataset: "Dataset", *, tiles_down: int, tiles_across: int) -> tuple[int, int]:
    """Return rows and columns of one tile."""
    rows = read_integer(dataset, "Rows", default=0)
    columns = read_integer(dataset, "Columns", default=0)
    if rows < 1 or columns < 1 or rows % tiles_down or columns % tiles_across:
        raise _refuse(
            f"tiles must be {tiles_down}x{tiles_across} parts of the image, got {rows}x{columns}"
        )
    return rows // tiles_down, columns // tiles_across


def _count_siemens(dataset: "Dataset") -> int:
    """Return the number of slices in a mosaic of Siemens, which may be stated twice."""
    texts = _read_csa(dataset, 0x10, names=(_COUNT,)).get(_COUNT, ())
    stated = [
        number for number in (parse_number(texts), _count_flat(dataset)) if number is not None
    ]
    if not stated:
        raise _refuse(f"{_COUNT} must be given, got none")
    if len(set(stated)) > 1:
        raise _refuse(f"number of tiles must be one, got {stated[0]:g} and {stated[1]:g}")
    return _check_count(stated[0])


def _find_normal(dataset: "Dataset", orientation: Orientation, *, count: int) -> Vector:
    """Return the unit vector from one slice of a mosaic of Siemens to the next, LPS+."""
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    if length < _PARALLEL:
        raise _refuse(f"rows and columns must be perpendicular, got a sine of {length:.4g}")
    texts = _read_csa(dataset, 0x10, names=(_NORMAL,)).get(_NORMAL, ())
    direction = parse_numbers(texts) or _read_protocol(dataset, count)
    if direction is None or len(direction) != 3 or not np.any(direction):
        raise _refuse(f"{_NORMAL} must be given, got none")
    cosine = float(normal @ np.array(direction) / (length * np.linalg.norm(direction)))
    if not abs(cosine) > _PARALLEL:
        raise _refuse(f"{_NORMAL} must be parallel to the normal, got a cosine of {cosine:.4g}")
    step: Vector = np.sign(cosine) * normal / length
    return step


def _read_csa(
    dataset: "Dataset", element: int, *, names: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return named values of the CSA header of the image (0x10) or of the series (0x20)."""
    block = find_block(dataset, SIEMENS_CSA)
    return {} if block is None else read_csa(find_bytes(dataset, block | element), names)


def _read_protocol(dataset: "Dataset", count: int) -> tuple[float, ...] | None:
    """Return the direction from the first slice of the protocol to the last, None where unknown."""
    series = _read_csa(dataset, 0x20, names=_PROTOCOLS)
    texts = [values[0] for name in _PROTOCOLS if (values := series.get(name))]
    block = find_block(dataset, SIEMENS_SDS)
    if block is not None:
        texts.append(find_bytes(dataset, block | 0x19).decode("latin-1"))
    for text in texts:
        positions = read_protocol_positions(text)
        if positions and len(positions) == count and 0 in positions and count - 1 in positions:
            step = np.subtract(positions[count - 1], positions[0])
            return tuple(float(value) for value in step) if count > 1 else None
    return None


def _place(
    dataset: "Dataset",
    plane: Frame,
    *,
    count: int,
    margin: tuple[float, float],
) -> Sequence[PositionMm]:
    """Return the tiles' positions; `margin` is in rows and columns, from the mosaic's corner."""
    step_mm = read_thickness(dataset)
    if plane.position_mm is None or plane.orientation is None or plane.spacing_mm is None:
        raise _refuse("ImagePositionPatient must be given, got none")
    if step_mm is None:
        raise _refuse("SpacingBetweenSlices or SliceThickness must be given, got none")
    normal = _find_normal(dataset, plane.orientation, count=count)
    row, column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    row_spacing_mm, column_spacing_mm = plane.spacing_mm
    first = (
        np.array(plane.position_mm)
        + column * (row_spacing_mm * margin[0])
        + row * (column_spacing_mm * margin[1])
    )
    return [
        cast(PositionMm, tuple(float(v) for v in first + k * step_mm * normal))
        for k in range(count)
    ]


def _read_positions(dataset: "Dataset", count: int) -> Sequence[PositionMm]:
    """Return the positions that UIH states for each tile."""
    items = find_items(dataset, UIH_BLOCK | 0x51)
    if len(items) != count:
        raise _refuse(f"slices of the grid must be {count}, got {len(items)}")
    positions = [find_numbers(item, _POSITION, vr="DS") for item in items]
    if any(position is None or len(position) != 3 for position in positions):
        raise _refuse("each slice of the grid must have a position, got none")
    return cast("list[PositionMm]", positions)
