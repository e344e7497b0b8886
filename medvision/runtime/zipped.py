"""The parts of an uncompressed ZIP, each by itself, so that an archive can grow at its end."""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_STORED_VERSION, _ZIP64_VERSION = 20, 45
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_EPOCH = 0x21  # 1980-01-01: equal content has equal bytes.
_MOST = 0xFFFFFFFF
_MOST_MEMBERS = 0xFFFF

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")


class Entry(NamedTuple):
    """A member of an archive.

    Args:
        name: ASCII.
        offset: Byte at which its header begins.
        n_bytes: Size of its content.
        crc: CRC-32 of its content.
    """

    name: str
    offset: int
    n_bytes: int
    crc: int

    @property
    def start(self) -> int:
        """Byte at which its content begins."""
        return self.offset + len(build_header(self))

    @property
    def end(self) -> int:
        """Byte behind its content."""
        return self.start + self.n_bytes


def build_header(entry: Entry) -> bytes:
    """Return what stands before a member's content; its length depends on name and size alone.

    Source:
        APPNOTE 6.3.10, 4.3.7 and 4.5.3.
    """
    name = entry.name.encode("ascii")
    size, extra, version = entry.n_bytes, b"", _STORED_VERSION
    if entry.n_bytes >= _MOST:
        extra = struct.pack("<2H2Q", 1, 16, entry.n_bytes, entry.n_bytes)
        size, version = _MOST, _ZIP64_VERSION
    fixed = (b"PK\x03\x04", version, 0, 0, 0, _EPOCH, entry.crc, size, size, len(name), len(extra))
    return _LOCAL.pack(*fixed) + name + extra


def build_directory(entries: Iterable[Entry], *, start: int) -> Iterator[bytes]:
    """Yield what stands behind all members, piece by piece; bytes of no member are allowed.

    Args:
        entries: The members.
        start: Byte at which the directory begins.

    Source:
        APPNOTE 6.3.10, 4.3.12 and 4.3.14 to 4.3.16.
    """
    n_members = n_bytes = 0
    for entry in entries:
        piece = _describe(entry)
        n_members, n_bytes = n_members + 1, n_bytes + len(piece)
        yield piece
    behind = start + n_bytes
    if n_members >= _MOST_MEMBERS or behind >= _MOST:
        counts = (n_members, n_members, n_bytes, start)
        versions = (_UNIX | _ZIP64_VERSION, _ZIP64_VERSION)
        yield _END64.pack(b"PK\x06\x06", _END64.size - 12, *versions, 0, 0, *counts)
        yield _LOCATOR.pack(b"PK\x06\x07", 0, behind, 1)
    few = min(n_members, _MOST_MEMBERS)
    yield _END.pack(b"PK\x05\x06", 0, 0, few, few, min(n_bytes, _MOST), min(start, _MOST), 0)


def _describe(entry: Entry) -> bytes:
    """Return a member's line in the directory."""
    name = entry.name.encode("ascii")
    large = [n for n in (entry.n_bytes, entry.n_bytes, entry.offset) if n >= _MOST]
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = _ZIP64_VERSION if large else _STORED_VERSION
    size, offset = min(entry.n_bytes, _MOST), min(entry.offset, _MOST)
    return (
        _CENTRAL.pack(
            *(b"PK\x01\x02", _UNIX | _ZIP64_VERSION, version, 0, 0, 0, _EPOCH),
            *(entry.crc, size, size, len(name), len(extra), 0, 0, 0, _MODE, offset),
        )
        + name
        + extra
    )
