"""A pack written whole, at once and by one process, with the index that names its members."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from medvision.runtime.files import writing
from medvision.runtime.packs import INDEX, name_pack, write_index
from medvision.runtime.zipped import Entry, build_directory, build_header


class NewPack:
    """A pack that no reader sees yet.

    Args:
        stream: Where it is written.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.entries: list[Entry] = []

    @property
    def end(self) -> int:
        """Byte behind the last member."""
        return self.entries[-1].end if self.entries else 0

    def add(self, name: str, content: bytes) -> None:
        """Write a member behind the others.

        Args:
            name: Of the file, ASCII; no member has it yet.
            content: Its bytes.
        """
        from isal import isal_zlib

        entry = Entry(name, self.end, len(content), isal_zlib.crc32(content))
        self._stream.write(build_header(entry))
        self._stream.write(content)
        self.entries.append(entry)


@contextmanager
def writing_pack(folder: Path) -> Iterator[NewPack]:
    """Yield the one pack of a folder to be filled; it and its index appear when it is whole.

    A run that fails or is killed leaves no pack, and two at once do not meet: each writes its own,
    and the last that is whole stays. No file of the folder may have the name of a member.

    Args:
        folder: Made where it is missing; an earlier pack and its index are replaced.

    Raises:
        StorageError: The folder cannot be written, or its disk is full.
    """
    path = folder / name_pack("1-of-1")
    with writing(path) as temporary, temporary.open("wb") as stream:
        pack = NewPack(cast(BinaryIO, stream))
        yield pack
        for piece in build_directory(pack.entries, start=pack.end):
            stream.write(piece)
    with writing(folder / INDEX) as temporary:
        write_index(temporary, ((e.name, path.name, *e[1:]) for e in sorted(pack.entries)))
