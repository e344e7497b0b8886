"""Stored values into modality values: rescaled, or looked up in a table."""

from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.study import Frame
from medvision.io.dicom.values import read_items
from medvision.io.pixels.description import Description
from medvision.io.pixels.lookup import read_descriptor, read_entries
from medvision.io.pixels.plain import rescale_all
from medvision.io.reasons import RefusalError

Plane = NDArray[np.number]
"""(rows, columns) of modality values."""

MODALITY_TABLE = "modality-lut"

_FLOAT32_WHOLE = 1 << 24


def rescale_plane(stored: Plane, frame: Frame, *, varies: bool) -> Plane:
    """Turn one plane's stored values into modality values.

    Args:
        stored: (rows, columns).
        frame: Gives slope and intercept.
        varies: Another frame of the file has another slope or intercept.

    Returns:
        The smallest whole dtype that is exact, where values, slope and intercept are whole;
        float32 where they are not, or where the rescale varies and float32 is exact; float64
        only of stored float64 that float32 cannot hold.

    Raises:
        RefusalError: `unreadable`: the values leave the range of float32.

    Source:
        PS3.3 C.11.1.1.2: value = slope * stored + intercept.
    """
    if not np.issubdtype(stored.dtype, np.integer):
        return _rescale_real(stored, frame)
    whole = cast("NDArray[np.integer]", stored)
    values = rescale_all(whole, slope=frame.slope, intercept=frame.intercept)
    if np.issubdtype(values.dtype, np.floating):
        _check_finite(values)
        return values
    limit = max(abs(int(values.min())), abs(int(values.max())))
    return values.astype(np.float32) if varies and limit <= _FLOAT32_WHOLE else values


def _rescale_real(stored: Plane, frame: Frame) -> Plane:
    """Rescale real numbers, in float32 where that loses nothing of what is stored."""
    if frame.slope == 1 and frame.intercept == 0:
        narrow = stored.astype(np.float32)
        return narrow if np.array_equal(narrow, stored, equal_nan=True) else stored
    values = (stored.astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)
    _check_finite(values[np.isfinite(stored)])
    return values


def _check_finite(values: Plane) -> None:
    """Refuse a rescale that runs out of numbers."""
    if not np.isfinite(values).all():
        raise RefusalError("unreadable", "rescaled values must be finite, got infinity")


def has_modality_table(description: Description) -> bool:
    """Say whether modality values come from a table."""
    return bool(read_items(description.dataset, "ModalityLUTSequence"))


def apply_modality_table(stored: Plane, description: Description) -> Plane:
    """Look modality values up.

    Args:
        stored: (rows, columns), whole.
        description: Gives the table.

    Returns:
        (rows, columns) uint16; below the first value the first entry, above the last
        the last.

    Raises:
        RefusalError: `undecodable`: the table is broken, or the pixels are real numbers.

    Source:
        PS3.3 C.11.1.1.1.
    """
    if not np.issubdtype(stored.dtype, np.integer):
        raise RefusalError("undecodable", "looked up pixels must be whole, got real numbers")
    item = read_items(description.dataset, "ModalityLUTSequence")[0]
    layout = description.layout
    n_entries, first, bits = read_descriptor(item, "LUTDescriptor", is_signed=layout.is_signed)
    table = read_entries(
        item, "LUTData", n_entries=n_entries, bits=bits, is_big_endian=layout.is_big_endian
    )
    places = np.clip(stored.astype(np.int64) - first, 0, n_entries - 1)
    return table[places]
