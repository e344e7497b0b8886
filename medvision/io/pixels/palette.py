"""Palettes: tables of red, green and blue, plain and segmented, and the planes that they colour."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.io.dicom.values import read_value
from medvision.io.pixels.lookup import Entries, read_descriptor, read_entries
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

_COLOURS = ("Red", "Green", "Blue")
_MAX_SEGMENTS = 200_000
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True)
class Palette:
    """Colours by stored value.

    Args:
        entries: (n, 3) uint8 or uint16.
        first: Stored value of the first entry; lower ones have its colour, higher ones the last.
        bits: 8 or 16: bits of an entry.
    """

    entries: NDArray[np.unsignedinteger]
    first: int
    bits: int

    def find_rows(self, stored: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the place in the table of each stored value."""
        places = stored.astype(np.intp) - self.first
        return np.clip(places, 0, len(self.entries) - 1, out=places)


def read_palette(dataset: "Dataset", *, is_big_endian: bool, is_signed: bool) -> Palette:
    """Read the palette of an image.

    Args:
        dataset: Header with the palette's attributes.
        is_big_endian: Byte order of words in the tables.
        is_signed: Stored values have a sign, and so has the first value of the tables.

    Raises:
        RefusalError: `undecodable`: a table is absent, or shorter or longer than it states.

    Source:
        PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6 (tables), C.7.9.2 (segmented tables).
    """
    columns = []
    heads = set()
    for colour in _COLOURS:
        head = read_descriptor(
            dataset, f"{colour}PaletteColorLookupTableDescriptor", is_signed=is_signed
        )
        heads.add(head)
        columns.append(_read_table(dataset, colour, head=head, is_big_endian=is_big_endian))
    if len(heads) != 1:
        raise RefusalError("undecodable", "palettes must be of one length, got several")
    _, first, stated_bits = heads.pop()
    bits = 8 if stated_bits <= 8 else 16
    entries = np.stack(columns, axis=1)
    if bits == 16 and int(entries.max()) < 1 << 8:
        # Words that were filled with bytes: a palette of 16 bits would be black.
        bits = 8
    return Palette(entries.astype(np.uint8) if bits == 8 else entries, first, bits)


def _read_table(
    dataset: "Dataset", colour: str, *, head: tuple[int, int, int], is_big_endian: bool
) -> Entries:
    """Return the entries of one colour."""
    n_entries, _, bits = head
    keyword = f"{colour}PaletteColorLookupTableData"
    segmented = read_value(dataset, f"Segmented{keyword}")
    if not isinstance(segmented, bytes):
        return read_entries(
            dataset, keyword, n_entries=n_entries, bits=bits, is_big_endian=is_big_endian
        )
    order = ">" if is_big_endian else "<"
    entries = _expand_segments(segmented, n_entries, n_bytes=1 if bits <= 8 else 2, order=order)
    if len(entries) < n_entries:
        raise RefusalError(
            "undecodable", f"palette must have {n_entries} entries, got {len(entries)}"
        )
    return entries


def _expand_segments(data: bytes, n_entries: int, *, n_bytes: int, order: str) -> Entries:
    """Expand a segmented table, up to the number of entries stated and no further."""
    usable = data[: len(data) // n_bytes * n_bytes]
    numbers = np.frombuffer(usable, f"{order}u{n_bytes}").tolist()
    values: list[int] = []
    starts: list[int] = []
    offset = 0
    while offset + 2 <= len(numbers) and len(values) < n_entries:
        if len(starts) > _MAX_SEGMENTS:
            raise RefusalError("undecodable", "palette must have few segments, got too many")
        starts.append(offset)
        if numbers[offset] == _INDIRECT:
            _repeat_segments(numbers, offset, starts[:-1], values, is_wide=n_bytes == 2)
            offset += 4 if n_bytes == 2 else 6
            continue
        offset = _expand_segment(numbers, offset, values)
    return np.array(values[:n_entries], np.uint16)


def _expand_segment(numbers: list[int], offset: int, values: list[int]) -> int:
    """Append a discrete or linear segment's entries; return where the next segment begins."""
    kind, length = numbers[offset], numbers[offset + 1]
    if kind == _DISCRETE:
        values.extend(numbers[offset + 2 : offset + 2 + length])
        return offset + 2 + length
    if kind != _LINEAR or not values or offset + 3 > len(numbers):
        raise RefusalError("undecodable", f"palette segment must be known and whole, got {kind}")
    start, end = values[-1], numbers[offset + 2]
    values.extend(round(start + (end - start) * k / length) for k in range(1, length + 1))
    return offset + 3


def _repeat_segments(
    numbers: list[int], offset: int, starts: list[int], values: list[int], *, is_wide: bool
) -> None:
    """Append the entries of earlier segments that an indirect segment points to."""
    count = numbers[offset + 1]
    low_high = numbers[offset + 2 : offset + (4 if is_wide else 6)]
    if is_wide and len(low_high) == 2:
        target = low_high[0] | low_high[1] << 16
    elif not is_wide and len(low_high) == 4:
        (target,) = struct.unpack("<I", bytes(low_high))
    else:
        raise RefusalError("undecodable", "palette segment must be whole, got its end")
    place = target if target in starts else -1
    for _ in range(count):
        if place < 0 or place >= offset or numbers[place] == _INDIRECT:
            raise RefusalError("undecodable", "palette segment must repeat earlier ones, got none")
        place = _expand_segment(numbers, place, values)
        if len(values) > 1 << 17:
            return
