"""Files that grow at their end, each by one process at a time."""

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO, cast

_HELD = (errno.EACCES, errno.EAGAIN)


def open_alone(path: Path) -> BinaryIO | None:
    """Open a file for writing, by no two processes at once; None where another may have it.

    Where the file system has no locks, only a file that was not there is nobody else's.

    Args:
        path: The file; made where it is missing.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        handle, is_new = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
    except FileExistsError:
        handle, is_new = os.open(path, os.O_RDWR), False
    # Unbuffered: what was written is in the file before what is written next.
    stream = cast(BinaryIO, os.fdopen(handle, "r+b", buffering=0))
    is_ours = lock(stream)
    if is_ours or (is_ours is None and is_new):
        return stream
    stream.close()
    return None


def lock(stream: BinaryIO) -> bool | None:
    """Lock a file until it is closed; return whether that worked, None where there are no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def write_all(stream: BinaryIO, piece: bytes | memoryview) -> None:
    """Write all of a piece: a disk that is nearly full takes less than it is given.

    Args:
        stream: Unbuffered, at the place where it shall begin.
        piece: The bytes.
    """
    view = memoryview(piece)
    while view:
        view = view[stream.write(view) :]
