"""A tar read forward, one member after the other, whatever its headers claim."""

from collections.abc import Iterator
from typing import NamedTuple

from medvision.io.ingest.kind import is_tar
from medvision.io.ingest.unpack import Reader
from medvision.io.reasons import RefusalError

_BLOCK = 512
_MOST_OF_A_NAME = 1 << 16
_MOST_OF_A_HEADER = 1 << 20
_FOLDER = b"5"
_NOT_FILES = b"12346"
_SPARSE = b"S"


class TarMember(NamedTuple):
    """A member of a tar.

    Args:
        name: As it stands in the header; never used as a path.
        n_bytes: Its size.
        offset: Where its bytes begin in the unpacked stream.
        kind: file, folder, other (links, devices) or sparse.
    """

    name: str
    n_bytes: int
    offset: int
    kind: str


def read_members(reader: Reader) -> Iterator[TarMember]:
    """Yield the members of a tar; between two of them the caller may read the member's bytes.

    Args:
        reader: Stands at the beginning.

    Raises:
        RefusalError: `archive-broken` or `archive-too-large`.

    Source:
        IEEE Std 1003.1 (ustar, pax); GNU tar manual, long names and base-256 numbers.
    """
    extra: dict[str, str] = {}
    while (block := reader.read(_BLOCK)) and any(block):
        if not is_tar(block):
            raise _break("header of a member must hold its checksum, got another")
        type_flag = block[156:157]
        if type_flag in b"LKxXg":
            extra |= _read_extra(reader, block, type_flag=type_flag)
            continue
        member = _describe(block, extra, offset=reader.position)
        extra = {}
        yield member
        _finish(reader, member)


def _describe(block: bytes, extra: dict[str, str], *, offset: int) -> TarMember:
    """Return the member that a header block begins."""
    name, type_flag = extra.get("path", _read_name(block)), block[156:157]
    if type_flag in _NOT_FILES or type_flag == _FOLDER:
        return TarMember(name, 0, offset, "folder" if type_flag == _FOLDER else "other")
    size = extra.get("size", "")
    n_bytes = int(size) if size.isdecimal() and len(size) < 20 else _read_number(block[124:136])
    if type_flag == _SPARSE or any(key.startswith("GNU.sparse") for key in extra):
        return TarMember(name, n_bytes, offset, "sparse")
    # Before ustar a folder was told by the end of its name.
    is_folder = type_flag == b"\0" and name.endswith("/")
    return TarMember(name, n_bytes, offset, "folder" if is_folder else "file")


def _finish(reader: Reader, member: TarMember) -> None:
    """Move on to the block behind a member."""
    end = member.offset + -(-member.n_bytes // _BLOCK) * _BLOCK
    missing = end - reader.position
    if reader.skip(missing) < missing - (end - member.offset - member.n_bytes):
        raise _break("member must be complete, got the archive's end")


def _read_extra(reader: Reader, block: bytes, *, type_flag: bytes) -> dict[str, str]:
    """Read an extended header: what it says of the next member."""
    size = _read_number(block[124:136])
    most = _MOST_OF_A_NAME if type_flag in b"LK" else _MOST_OF_A_HEADER
    if size > most:
        raise _break(f"header of a member must have {most} bytes at most, got more")
    content = reader.read(size)
    reader.skip(-size % _BLOCK)
    if type_flag == b"L":
        return {"path": _decode(content.partition(b"\0")[0])}
    # Global headers and the targets of links say nothing that counts here.
    return _read_records(content) if type_flag in b"xX" else {}


def _read_records(content: bytes) -> dict[str, str]:
    """Read the records of a pax header, `<length> <key>=<value>` and a line's end."""
    records = {}
    while content:
        digits, space, _ = content[:20].partition(b" ")
        if not (space and digits.isdigit()):
            raise _break("records of a header must begin with their length, got another text")
        length = int(digits)
        key, equals, value = content[len(digits) + 1 : length - 1].partition(b"=")
        if not equals or not len(digits) < length <= len(content):
            raise _break("records of a header must be complete, got a part")
        records[_decode(key)] = _decode(value)
        content = content[length:]
    return records


def _read_name(block: bytes) -> str:
    """Return the name in a header block."""
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return _decode(prefix + b"/" + name if prefix else name)


def _read_number(text: bytes) -> int:
    """Return a number in octal digits, or in base 256 where its first bit is set."""
    if text[0] == 0x80:
        return int.from_bytes(text[1:])
    digits = text.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise _break("size of a member must be a number, got another text") from None


def _decode(name: bytes) -> str:
    """Return a name as text; bytes that are none are kept."""
    return name.decode(errors="surrogateescape")


def _break(detail: str) -> RefusalError:
    """Return the refusal of a tar that cannot be read on."""
    return RefusalError("archive-broken", detail)
