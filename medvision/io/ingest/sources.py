"""Files of the input opened once more after ingestion, members of archives among them."""

import io
from collections.abc import Iterator
from typing import BinaryIO

from medvision.io.ingest.archive import MARK, PACKED_TAR
from medvision.io.ingest.index import Index
from medvision.io.ingest.members import MemberReader, spool_members


class Sources:
    """The files that an index holds: their paths in an order that reads each archive once.

    Args:
        index: The index, complete.
        reader: Reads members; its spool takes those of compressed tars.
    """

    def __init__(self, index: Index, reader: MemberReader) -> None:
        self._index = index
        self._reader = reader

    def list_paths(self) -> Iterator[str]:
        """Yield every path; a member can be opened until the next path is asked for.

        Raises:
            StorageError: The spool cannot be written.
        """
        yield from self._index.list_paths("")
        for archive, layout in self._index.list_archives():
            held = self._fill(archive) if layout == PACKED_TAR else []
            yield from self._index.list_paths(archive)
            for name in held:
                (self._reader.spool / name).unlink(missing_ok=True)

    def open(self, path: str) -> BinaryIO:
        """Open a path as `list_paths` yields it.

        Raises:
            RefusalError: It is a member that cannot be read.
            OSError: It cannot be opened.
        """
        place = self._reader.source / path
        is_member = MARK in path and not place.is_file()
        return io.BytesIO(self._reader(path)) if is_member else place.open("rb")

    def _fill(self, archive: str) -> list[str]:
        """Unpack all members of a compressed tar; return their ids."""
        path = self._index.find_path(archive) or ""
        names = {
            member[len(path) + len(MARK) :]: self._reader.names.file_id(member)
            for member in self._index.list_paths(archive)
        }
        spool, limit = self._reader.spool, self._reader.limit
        spool_members(self._reader.source / path, names, spool=spool, limit=limit)
        return list(names.values())
