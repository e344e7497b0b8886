"""Lookup tables: their descriptor and their entries, packed as bytes or as words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medvision.io.dicom.values import read_numbers, read_value
from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import Dataset

Entries = NDArray[np.uint16]
"""(n,)"""


def read_descriptor(dataset: "Dataset", keyword: str, *, is_signed: bool) -> tuple[int, int, int]:
    """Return a table's number of entries, the stored value of the first, and bits per entry.

    Args:
        dataset: Holds the descriptor.
        keyword: Its name.
        is_signed: Stored values have a sign, and so has the first of them.

    Raises:
        RefusalError: `undecodable`: there is no descriptor, or entries of more than 16 bits.

    Source:
        PS3.3 C.11.1.1 and C.7.6.3.1.5: 0 entries mean 65536.
    """
    numbers = read_numbers(dataset, keyword, count=3)
    if numbers is None:
        raise RefusalError("undecodable", f"{keyword} must be given, got none")
    n_entries, first, bits = (int(number) for number in numbers)
    first &= 0xFFFF
    if is_signed and first >= 1 << 15:
        first -= 1 << 16
    if not 1 <= bits <= 16:
        raise RefusalError("undecodable", f"{keyword} must have 1 to 16 bits, got {bits}")
    return (n_entries & 0xFFFF) or 1 << 16, first, bits


def read_entries(
    dataset: "Dataset", keyword: str, *, n_entries: int, bits: int, is_big_endian: bool
) -> Entries:
    """Return a table's entries.

    Args:
        dataset: Holds the data.
        keyword: Their name.
        n_entries: As the descriptor has it.
        bits: Bits of an entry, 1 to 16.
        is_big_endian: Byte order of the words.

    Raises:
        RefusalError: `undecodable`: there are fewer entries than stated.

    Source:
        PS3.3 C.7.6.3.1.6 and C.11.1.1: entries of 8 bits are packed in words, or have one each.
    """
    raw = read_value(dataset, keyword)
    if isinstance(raw, bytes):
        entries = _read_packed(raw, n_entries, bits=bits, is_big_endian=is_big_endian)
    elif isinstance(raw, int):
        entries = np.array([raw & 0xFFFF], np.uint16)
    elif isinstance(raw, Sequence) and not isinstance(raw, str):
        entries = np.array([int(value) & 0xFFFF for value in raw], np.uint16)
    else:
        raise RefusalError("undecodable", f"{keyword} must be given, got none")
    if len(entries) < n_entries:
        raise RefusalError(
            "undecodable", f"{keyword} must have {n_entries} entries, got {len(entries)}"
        )
    # An entry of 8 bits in a word of its own: in the lower byte, or the same in both.
    return entries[:n_entries] & np.uint16(0xFF) if bits <= 8 else entries[:n_entries]


def _read_packed(raw: bytes, n_entries: int, *, bits: int, is_big_endian: bool) -> Entries:
    """Read entries from bytes."""
    words = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2" if is_big_endian else "<u2")
    if bits > 8 or len(raw) >= 2 * n_entries:
        return words.astype(np.uint16)
    if is_big_endian:
        return words.astype("<u2").view(np.uint8).astype(np.uint16)
    return np.frombuffer(raw, np.uint8).astype(np.uint16)
