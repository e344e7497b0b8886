"""Values of elements as texts, straight from their bytes, for plain values alone.

A value that pydicom could read in another way, or not at all, is None: then pydicom decides.
"""

import re
import struct
from collections.abc import Callable
from functools import lru_cache

RawTexts = tuple[str, ...] | None
"""As values.read_texts gives them; None where the bytes are not plain."""

_DECIMAL = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
_MAX_VALUES = 16


@lru_cache(maxsize=4096)
def decode_raw(value: bytes, vr: str) -> RawTexts:
    """Return the values that the bytes of an element stand for, little endian.

    The files of a series share most values, so those last met are remembered.

    Args:
        value: The element's bytes.
        vr: Value representation, one of those of attributes.ATTRIBUTES.

    Returns:
        Texts without padding, none where the element is empty; None where text is not printable
        ASCII, so that the character set would count, or where a number is written oddly.

    Source:
        PS3.5 6.2 (value representations).
    """
    if not value or vr == "SQ":
        return ()
    return _DECODERS[vr](value)


def _decode_text(value: bytes) -> RawTexts:
    """Split text at its backslashes."""
    stripped = value.rstrip(b" \0")
    if not stripped:
        return ()
    if not stripped.isascii():
        return None
    text = stripped.decode("ascii")
    if not text.isprintable():
        return None
    return tuple([part.strip() for part in text.split("\\")]) if "\\" in text else (text.strip(),)


def _decode_decimals(value: bytes) -> RawTexts:
    """Read decimal strings."""
    return _check(_decode_text(value), _DECIMAL)


def _decode_integers(value: bytes) -> RawTexts:
    """Read integer strings."""
    return _check(_decode_text(value), _INTEGER)


def _check(texts: RawTexts, pattern: re.Pattern[str]) -> RawTexts:
    """Return texts that all fit a pattern."""
    if texts is None or len(texts) > _MAX_VALUES:
        return None
    return texts if all(map(pattern.fullmatch, texts)) else None


def _decode_short(value: bytes) -> RawTexts:
    """Read one unsigned number of 16 bits."""
    return (str(value[0] | value[1] << 8),) if len(value) == 2 else None


def _make_real_decoder(code: str, size: int) -> Callable[[bytes], RawTexts]:
    """Make the reader of binary real numbers."""

    def decode(value: bytes) -> RawTexts:
        count, rest = divmod(len(value), size)
        if rest or count > _MAX_VALUES:
            return None
        return tuple(str(number) for number in struct.unpack(f"<{count}{code}", value))

    return decode


_DECODERS: dict[str, Callable[[bytes], RawTexts]] = {
    **dict.fromkeys(("AS", "CS", "DA", "DT", "LO", "PN", "TM", "UI"), _decode_text),
    "DS": _decode_decimals,
    "FD": _make_real_decoder("d", 8),
    "FL": _make_real_decoder("f", 4),
    "IS": _decode_integers,
    "US": _decode_short,
}
