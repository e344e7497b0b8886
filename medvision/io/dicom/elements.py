"""Elements of nested and private groups as numbers and texts, straight from their bytes.

pydicom builds an object per value; a functional group that repeats for ten thousand frames, or a
private element whose VR the file does not state, is read faster and more surely here. Attributes of
the top level are read through `values`.
"""

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvision.io.reasons import RefusalError

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset
    from pydicom.dataelem import RawDataElement

_FORMATS = {
    "FD": ("d", 8),
    "FL": ("f", 4),
    "SL": ("i", 4),
    "SS": ("h", 2),
    "UL": ("I", 4),
    "US": ("H", 2),
}
"""Binary VR: struct's code and bytes per value (PS3.5 6.2)."""

_TEXTS = frozenset(("AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UI", "UT"))
_MAX_BYTES = 1 << 16
"""Elements longer than this hold no list of numbers that this project needs."""


def find_numbers(dataset: "Dataset", tag: int, *, vr: str) -> tuple[float, ...] | None:
    """Return an element's numbers, None where it is absent or empty.

    Args:
        dataset: Top level or item.
        tag: Group and element, 0xGGGGEEEE.
        vr: How the bytes are meant where the file does not say (implicit, or UN).

    Raises:
        RefusalError: `unreadable`: the element is there and holds no finite numbers.

    Source:
        PS3.5 6.2 (value representations).
    """
    element = dataset.get_item(tag)
    if element is None or element.value is None:
        return None
    try:
        numbers = _list_numbers(element, vr)
    except (ValueError, TypeError, struct.error):
        raise RefusalError("unreadable", f"{_name(tag)} must be numbers, got others") from None
    if not all(map(math.isfinite, numbers)):
        raise RefusalError("unreadable", f"{_name(tag)} must be finite, got NaN or infinity")
    return numbers or None


def guess_numbers(dataset: "Dataset", tag: int, *, vr: str) -> tuple[float, ...]:
    """Return an element's numbers, none where it is absent, empty or broken."""
    try:
        return find_numbers(dataset, tag, vr=vr) or ()
    except RefusalError:
        return ()


def find_texts(dataset: "Dataset", tag: int) -> tuple[str, ...]:
    """Return an element's values as texts without padding, none where it is absent."""
    element = dataset.get_item(tag)
    if element is None or element.value is None:
        return ()
    value = element.value
    if isinstance(value, bytes):
        return () if len(value) > _MAX_BYTES else _split(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(item).strip() for item in value)
    return (str(value).strip(),)


def find_bytes(dataset: "Dataset", tag: int) -> bytes:
    """Return an element's bytes, none where it is absent or its value is something else."""
    element = dataset.get_item(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""


def find_pointer(dataset: "Dataset", tag: int) -> int | None:
    """Return the attribute that an element points to, 0xGGGGEEEE, None where it names none.

    Source:
        PS3.5 6.2 (AT).
    """
    element = dataset.get_item(tag)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        if len(value) != 4:
            return None
        order = "<" if getattr(element, "is_little_endian", True) else ">"
        group, number = struct.unpack(f"{order}HH", value)
        return int(group) << 16 | int(number)
    return int(value) if isinstance(value, int) else None


def find_items(dataset: "Dataset", tag: int) -> "Sequence[Dataset]":
    """Return a sequence's items, none where it is absent.

    Raises:
        RefusalError: `unreadable`: the element is there and cannot be parsed as a sequence.
    """
    if tag not in dataset:
        return ()
    try:
        value = dataset[tag].value
    except Exception as error:  # noqa: BLE001 - pydicom raises what it meets; any bytes need a verdict
        raise RefusalError(
            "unreadable", f"{_name(tag)} must be parsable, got {type(error).__name__}"
        ) from None
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise RefusalError("unreadable", f"{_name(tag)} must be a sequence, got another value")
    return value


def find_item(dataset: "Dataset", tag: int) -> "Dataset | None":
    """Return a sequence's first item, None where there is none.

    Raises:
        RefusalError: As find_items.
    """
    items = find_items(dataset, tag)
    return items[0] if items else None


def find_first_private(dataset: "Dataset", group: int, *, creator: str) -> int | None:
    """Return the tag at which a private block begins, None where its creator reserved none.

    Args:
        dataset: Top level or item.
        group: Odd group.
        creator: Text of the private creator, compared without padding and case.

    Returns:
        0xGGGGBB00: add the element's last two digits. A block without any creator in the group
        (some tools strip them) counts as the usual one, 0x10.

    Source:
        PS3.5 7.8.1 (private creators).
    """
    wanted = creator.upper()
    has_creator = False
    for block in range(0x10, 0x20):
        texts = find_texts(dataset, group << 16 | block)
        if texts and texts[0].upper() == wanted:
            return group << 16 | block << 8
        has_creator = has_creator or bool(texts)
    return None if has_creator else group << 16 | 0x1000


def _list_numbers(element: "DataElement | RawDataElement", vr: str) -> tuple[float, ...]:
    """Return an element's values as numbers, by its own VR or else the one expected."""
    value = element.value
    if isinstance(value, bytes):
        stated = str(element.VR) if element.VR is not None else ""
        known = stated if stated in _FORMATS or stated in _TEXTS else vr
        is_little = bool(getattr(element, "is_little_endian", True)) or stated == "UN"
        return _decode(value, known, is_little=is_little)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(float(str(item)) for item in value)
    return (float(str(value)),) if value != "" else ()


def _decode(value: bytes, vr: str, *, is_little: bool) -> tuple[float, ...]:
    """Return the numbers that bytes stand for."""
    if len(value) > _MAX_BYTES:
        raise ValueError
    if vr not in _FORMATS:
        return tuple(float(text) for text in _split(value) if text)
    code, size = _FORMATS[vr]
    count, rest = divmod(len(value), size)
    if rest:
        raise ValueError
    return tuple(map(float, struct.unpack(f"{'<' if is_little else '>'}{count}{code}", value)))


def _split(value: bytes) -> tuple[str, ...]:
    """Return the texts between backslashes, without padding."""
    text = value.decode("latin-1").strip("\0 ")
    return tuple(part.strip() for part in text.split("\\")) if text else ()


def _name(tag: int) -> str:
    """Return a tag as the standard writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
