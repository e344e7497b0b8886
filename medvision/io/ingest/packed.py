"""The packs of all shards made whole when they are gathered: directories, and one index of all."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from medvision.runtime.alone import lock
from medvision.runtime.files import disk_faults, writing
from medvision.runtime.packs import INDEX, write_index
from medvision.runtime.zipped import Entry, build_directory


def finish_packs(connection: sqlite3.Connection, images: Path) -> None:
    """Give each pack its directory, so that every tool opens it, and write the index of all.

    Args:
        connection: Its temporary table `written` names all images and where they lie.
        images: Folder of the packs.

    Raises:
        StorageError: The folder cannot be written, its disk is full, or fails.
    """
    packs = connection.execute("SELECT DISTINCT pack FROM written WHERE pack != '' ORDER BY pack")
    for (name,) in packs.fetchall():
        path = images / name
        with disk_faults(path), path.open("r+b", buffering=0) as raw:
            stream = cast(BinaryIO, raw)
            # Where another process adds to it, it may: no reader of ours needs the directory.
            if lock(stream) is not False:
                _finish(stream, connection, name)
    with writing(images / INDEX) as temporary:
        write_index(temporary, _list_members(connection))


def _finish(stream: BinaryIO, connection: sqlite3.Connection, name: str) -> None:
    """Write a pack's directory, unless it is there: a pack without news keeps its time."""
    query = "SELECT name, offset, n_bytes, crc FROM written WHERE pack = ? ORDER BY offset"
    end = 0
    for row in connection.execute(query, (name,)):
        end = max(end, Entry(*row).end)

    def build() -> Iterator[bytes]:
        rows = connection.execute(query, (name,))
        return build_directory((Entry(*row) for row in rows), start=end)

    stream.seek(end)
    if all(stream.read(len(piece)) == piece for piece in build()) and not stream.read(1):
        return
    stream.truncate(end)
    stream.seek(end)
    for piece in build():
        stream.write(piece)


def _list_members(connection: sqlite3.Connection) -> Iterator[tuple[str, str, int, int, int]]:
    """Yield what the index says of each member, sorted by name."""
    query = "SELECT name, pack, offset, n_bytes, crc FROM written WHERE pack != '' ORDER BY name"
    yield from connection.execute(query)
