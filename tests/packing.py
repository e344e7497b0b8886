"""Folders whose files lie in one pack, made without ingestion."""

import zlib
from collections.abc import Mapping
from pathlib import Path

from medvision.runtime.packs import INDEX, name_pack, write_index
from medvision.runtime.zipped import Entry, build_directory, build_header


def build_pack(contents: Mapping[str, bytes], *, gap: int = 0) -> tuple[bytes, list[Entry]]:
    """A ZIP with so many bytes of nobody before each member, and its members."""
    content, entries = bytearray(), []
    for name, held in contents.items():
        content += b"?" * gap
        entries.append(Entry(name, len(content), len(held), zlib.crc32(held)))
        content += build_header(entries[-1]) + held
    return bytes(content) + b"".join(build_directory(entries, start=len(content))), entries


def write_pack(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Write a folder of one pack and its index; returns the pack."""
    folder.mkdir(parents=True, exist_ok=True)
    content, entries = build_pack(contents)
    path = folder / name_pack("1-of-2")
    path.write_bytes(content)
    (folder / INDEX).unlink(missing_ok=True)
    rows = [(e.name, path.name, e.offset, e.n_bytes, e.crc) for e in sorted(entries)]
    write_index(folder / INDEX, rows)
    return path


def pack_folder(folder: Path) -> Path:
    """Put the files of a folder into one pack; returns the pack."""
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    contents = {path.name: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    return write_pack(folder, contents)
