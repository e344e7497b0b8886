"""Siemens' CSA header: a list of named values inside one private element."""

import re
import struct
from collections.abc import Collection

_SV10 = b"SV10"
_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<4i")
_MAX_TAGS = 1024
_MAX_BYTES = 16 << 20
_SLICE = re.compile(
    r"sSliceArray\.asSlice\[(\d{1,4})\]\.sPosition\.d(Sag|Cor|Tra)[ \t]*=[ \t]*(\S+)"
)
_REVERSED = re.compile(r"sSliceArray\.ucImageNumb(?:Sag|Cor|Tra)[ \t]*=[ \t]*(?:0x)?0*[1-9a-fA-F]")

PositionsMm = dict[int, tuple[float, float, float]]
"""Number of a slice in the protocol to its centre, LPS+ mm."""


def read_csa(content: bytes, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read named values of a CSA header, of the newer kind (SV10) or the older one.

    The work is bounded by the bytes given: each tag takes 84 bytes and each item 16 of them.

    Args:
        content: The element's bytes: (0029,xx10) of the image or (0029,xx20) of the series.
        names: Tags to keep, such as NumberOfImagesInMosaic.

    Returns:
        Values as texts, without empty ones; what lies behind broken bytes is absent.

    Source:
        nibabel, "Siemens format DICOM with CSA header"; SPM, spm_dicom_headers (layout only).
    """
    if len(content) > _MAX_BYTES:
        return {}
    is_new = content[:4] == _SV10
    offset = 8 if is_new else 0
    if len(content) < offset + 8:
        return {}
    n_tags = int.from_bytes(content[offset : offset + 4], "little")
    if not 0 < n_tags <= _MAX_TAGS:
        return {}
    offset += 8
    found: dict[str, tuple[str, ...]] = {}
    base: int | None = None
    for _ in range(n_tags):
        if offset + _TAG.size > len(content):
            break
        raw_name, _, _, _, n_items, _ = _TAG.unpack_from(content, offset)
        base = n_items if base is None else base
        name = _read_text(raw_name)
        values, end = _read_items(
            content, offset + _TAG.size, n_items=n_items, base=None if is_new else base
        )
        if end is None:
            break
        offset = end
        if name in names:
            found[name] = values
    return found


def _read_items(
    content: bytes, offset: int, *, n_items: int, base: int | None
) -> tuple[tuple[str, ...], int | None]:
    """Return a tag's values and the next tag's offset, None where the bytes are broken.

    The older kind states lengths with the first tag's number of items added: its `base`.
    """
    values = []
    for _ in range(n_items):
        if offset + _ITEM.size > len(content):
            return (), None
        first, second, _, _ = _ITEM.unpack_from(content, offset)
        offset += _ITEM.size
        length = second if base is None else first - base
        if length < 0 or offset + length > len(content):
            return (), None
        text = _read_text(content[offset : offset + length])
        if text:
            values.append(text)
        offset += (length + 3) // 4 * 4
    return tuple(values), offset


def _read_text(content: bytes) -> str:
    """Return the text before the first zero byte."""
    return content.split(b"\0", 1)[0].decode("latin-1").strip()


def read_protocol_positions(protocol: str) -> PositionsMm | None:
    """Read the slices' centres from the text of a protocol (MrPhoenixProtocol).

    Args:
        protocol: Text with lines such as `sSliceArray.asSlice[0].sPosition.dTra = 16.0`.

    Returns:
        Centre by slice; None where there is none, or where the protocol says that images are
        numbered against the slices, so that tiles and slices cannot be matched surely.

    Source:
        none: own definition, held to real files; the names are those of the protocol itself.
    """
    if _REVERSED.search(protocol):
        return None
    found: dict[int, dict[str, float]] = {}
    for number, axis, text in _SLICE.findall(protocol):
        try:
            found.setdefault(int(number), {})[axis] = float(text)
        except ValueError:
            return None
    return {
        number: (axes.get("Sag", 0.0), axes.get("Cor", 0.0), axes.get("Tra", 0.0))
        for number, axes in found.items()
    } or None
