"""Encapsulated pixels cut into frames, whatever the offset tables say."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from medvision.io.reasons import RefusalError

TABLE_IGNORED = "offset-table-ignored"

_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_MAX_FRAGMENTS = 5_000_000
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n")
_ENDS = (b"\xff\xd9", b"\xff\xd9\xff")


@dataclass(frozen=True)
class Fragment:
    """One item of encapsulated pixels.

    Args:
        offset: Of the item's tag, counted from the first item after the offset table.
        data: Its content.
    """

    offset: int
    data: memoryview


def split_frames(
    value: memoryview, *, n_frames: int, extended_table: Sequence[int] = ()
) -> tuple[list[bytes], tuple[str, ...]]:
    """Cut encapsulated pixels into the codestreams of their frames.

    A table of offsets is believed where every offset meets a fragment. Otherwise each frame is a
    fragment if there are as many, or it begins with the fragment that begins a codestream.

    Args:
        value: From the item of the basic offset table on.
        n_frames: Frames that the header states.
        extended_table: The extended offset table, where there is one.

    Returns:
        (frames, flags): the bytes of each frame; offset-table-ignored where a table was wrong.

    Raises:
        RefusalError: `truncated`: the fragments do not end; `undecodable`: they cannot be
            told apart into `n_frames`.

    Source:
        PS3.5 A.4: fragments, basic offset table; PS3.3 C.7.6.3.1.8: extended offset table.
    """
    table_bytes, fragments = _read_items(value)
    if not fragments:
        raise RefusalError("undecodable", "encapsulated pixels must have fragments, got none")
    basic = struct.unpack(f"<{len(table_bytes) // 4}I", table_bytes[: len(table_bytes) // 4 * 4])
    tables = [tuple(table) for table in (extended_table, basic) if table]
    begun = [index for index in range(len(fragments)) if _begins_frame(fragments, index)]
    if len(begun) > n_frames:
        raise RefusalError(
            "undecodable", f"codestreams must be one per frame ({n_frames}), got {len(begun)}"
        )
    for table in tables:
        starts = _follow_table(fragments, table, n_frames=n_frames)
        if starts is not None:
            return _join(fragments, starts), ()
    starts = _find_starts(fragments, begun, n_frames=n_frames)
    return _join(fragments, starts), (TABLE_IGNORED,) if tables else ()


def _read_items(value: memoryview) -> tuple[bytes, list[Fragment]]:
    """Return the basic offset table's bytes, and the fragments."""
    items: list[tuple[int, memoryview]] = []
    offset = 0
    while offset < len(value):
        head = bytes(value[offset : offset + 8])
        if head[:4] == _SEQUENCE_END:
            break
        if head[:4] != _ITEM or len(head) < 8 or len(items) > _MAX_FRAGMENTS:
            raise RefusalError("truncated", "pixel fragments must end with a delimiter, got none")
        end = offset + 8 + int.from_bytes(head[4:], "little")
        if end > len(value):
            raise RefusalError("truncated", f"fragment must end at {end}, got {len(value)} bytes")
        items.append((offset, value[offset + 8 : end]))
        offset = end
    if not items:
        raise RefusalError("undecodable", "encapsulated pixels must have items, got none")
    first = items[1][0] if len(items) > 1 else 0
    # Some writers end with an empty fragment: it holds nothing, and counts for nothing.
    filled = [Fragment(place - first, data) for place, data in items[1:] if len(data)]
    return bytes(items[0][1]), filled


def _follow_table(
    fragments: list[Fragment], table: tuple[int, ...], *, n_frames: int
) -> list[int] | None:
    """Return the first fragment of each frame as a table has it, None where it is wrong."""
    places = {fragment.offset: index for index, fragment in enumerate(fragments)}
    starts = [places.get(offset, -1) for offset in table]
    is_rising = all(before < after for before, after in pairwise(starts))
    if len(starts) != n_frames or starts[0] != 0 or not is_rising:
        return None
    looks_begun = [_has_start(fragments[index]) for index in starts]
    return starts if all(looks_begun) or not looks_begun[0] else None


def _has_start(fragment: Fragment) -> bool:
    """Say whether a fragment's first bytes are those of a codestream."""
    return bytes(fragment.data[:12]).startswith(_STARTS)


def _begins_frame(fragments: list[Fragment], index: int) -> bool:
    """Say whether a fragment begins a codestream, and none is left open before it."""
    if not _has_start(fragments[index]):
        return False
    if index == 0:
        return True
    before = bytes(fragments[index - 1].data[-64:]).rstrip(b"\x00")
    return before.endswith(_ENDS)


def _find_starts(fragments: list[Fragment], begun: list[int], *, n_frames: int) -> list[int]:
    """Return the first fragment of each frame without the help of a table."""
    if n_frames == 1:
        return [0]
    if len(begun) == n_frames and begun[0] == 0:
        return begun
    if len(fragments) == n_frames:
        return list(range(n_frames))
    raise RefusalError(
        "undecodable",
        f"fragments must form {n_frames} frames, got {len(fragments)} fragments "
        f"and {len(begun)} codestreams",
    )


def _join(fragments: list[Fragment], starts: list[int]) -> list[bytes]:
    """Join the fragments of each frame."""
    ends = [*starts[1:], len(fragments)]
    return [
        b"".join(fragment.data for fragment in fragments[start:end])
        for start, end in zip(starts, ends, strict=True)
    ]
