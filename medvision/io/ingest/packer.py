"""What the jobs of a shard wrote, appended to its pack: what lies there is never written again."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from medvision.io.ingest.jobs import Done, Written
from medvision.runtime.alone import open_alone, write_all
from medvision.runtime.files import disk_faults
from medvision.runtime.packs import name_pack
from medvision.runtime.zipped import Entry, build_header

_CHUNK = 1 << 20


class Packer:
    """The pack of a shard, growing; opened when the first image comes.

    Nothing of a killed run is taken for an image: what is kept of a job says where its images lie
    in the pack, and is kept after them. What lies behind the last of those is cut off.

    Args:
        images: Folder of the packs.
        shard: Such as `3-of-16`.
        find_end: Name of a pack to the byte behind what must stay of it, 0 where nothing must;
            asked once the pack is locked, when no other process can put anything into it.
    """

    def __init__(self, images: Path, shard: str, find_end: Callable[[str], int]) -> None:
        self._images, self._shard, self._find_end = images, shard, find_end
        self._stream: BinaryIO | None = None
        self._name, self._end = "", 0

    def take(self, done: Done, staged: Path) -> Done:
        """Move the images of a job into the pack.

        Args:
            done: What came of it; its files lie by themselves.
            staged: Their folder.

        Returns:
            The same, with where they lie now.

        Raises:
            StorageError: The pack cannot be written, its disk is full, or fails.
        """
        taken = self.copy(done, staged)
        with disk_faults(staged / self._name):
            for item in done.written:
                (staged / item.name).unlink()
        return taken

    def copy(self, done: Done, folder: Path) -> Done:
        """Put the images of a job into the pack, and leave them where they are; else as `take`."""
        if not done.written:
            return done
        stream = self._open()
        with disk_faults(self._images / self._name):
            return replace(
                done, written=tuple(self._append(stream, item, folder) for item in done.written)
            )

    def sync(self) -> None:
        """Have on the disk what was taken, so that it may be relied on; raises as `take`."""
        # Closed it has nothing new: that was synchronised before.
        if self._stream is not None:
            with disk_faults(self._images / self._name):
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Let go of the pack.

        Raises:
            StorageError: Its disk says only now that it could not hold what was written.
        """
        stream, self._stream = self._stream, None
        if stream is not None:
            with disk_faults(self._images / self._name):
                stream.close()

    def _open(self) -> BinaryIO:
        """Return the pack, at its end: the shard's first that no other process is writing to.

        Two processes may be at one shard, where a cluster has lost sight of the first.
        """
        number = 1
        while self._stream is None:
            self._name = name_pack(self._shard, number)
            number += 1
            with disk_faults(self._images / self._name):
                self._stream = open_alone(self._images / self._name)
                if self._stream is not None:
                    self._end = self._find_end(self._name)
                    self._stream.truncate(self._end)
        return self._stream

    def _append(self, stream: BinaryIO, item: Written, folder: Path) -> Written:
        """Write one file behind the others."""
        path = folder / item.name
        entry = Entry(item.name, self._end, item.n_bytes, 0)
        stream.seek(entry.start)
        crc = _copy(path, stream)
        if stream.tell() != entry.end:
            raise OSError(errno.EIO, f"{item.name} must have {item.n_bytes} bytes")
        # Last of all: a member without a header is none.
        stream.seek(entry.offset)
        stream.write(build_header(entry._replace(crc=crc)))
        self._end = entry.end
        return item._replace(mtime_ns=0, pack=self._name, offset=entry.offset, crc=crc)


def _copy(path: Path, target: BinaryIO) -> int:
    """Copy a file's bytes, and return their CRC-32."""
    from isal import isal_zlib

    crc, buffer = 0, memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as source:
        while n_read := source.readinto(buffer):
            piece = buffer[:n_read]
            crc = isal_zlib.crc32(piece, crc)
            write_all(target, piece)
    return crc
