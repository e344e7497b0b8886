"""The source folder: which files it holds, one after the other."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from medvision.errors import DataError


class Found(NamedTuple):
    """A file below the source folder.

    Args:
        path: Relative POSIX path.
        n_bytes: Its size.
        mtime_ns: When it was changed, nanoseconds; -1 where that cannot be told.
        is_file: It is a regular file, or a link to one.
    """

    path: str
    n_bytes: int
    mtime_ns: int
    is_file: bool


def walk_files(source: Path, *, without: Path) -> Iterator[Found]:
    """Yield the files below a folder; only the names of one folder at a time are held.

    Args:
        source: Folder to walk; links to folders are not followed, so that no file counts twice.
        without: Folder to leave out where it lies below `source`: this study's own output.

    Yields:
        Files, those of each folder sorted by name.

    Raises:
        DataError: The folder is missing or cannot be read.
    """
    if not source.is_dir():
        raise DataError(
            f"data.path: must be an existing folder, got {source}.",
            f"correct data.path; paths are relative to the working directory, {Path.cwd()}.",
        )
    home, excluded = source.resolve(), without.resolve()
    left_out = excluded.relative_to(home).as_posix() if excluded.is_relative_to(home) else None
    folders = [""]
    while folders:
        folder = folders.pop()
        if folder == left_out:
            continue
        names, below = _list_folder(source, folder)
        prefix = f"{folder}/" if folder else ""
        for name in names:
            yield _look_at(source, prefix + name)
        folders += [prefix + name for name in reversed(below)]


def _list_folder(source: Path, folder: str) -> tuple[list[str], list[str]]:
    """Return the sorted names of a folder's files and of its folders."""
    names, below = [], []
    try:
        with os.scandir(source / folder) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    below.append(item.name)
                elif not (item.is_symlink() and item.is_dir()):
                    names.append(item.name)
    except OSError as error:
        raise DataError(
            f"data.path: every folder must be readable, got {type(error).__name__} below {source}.",
            "give this account the right to read all folders below data.path.",
        ) from error
    return sorted(names), sorted(below)


def _look_at(source: Path, path: str) -> Found:
    """Return what the file system says of a file; a broken link or a pipe is no file."""
    try:
        status = os.stat(f"{source}/{path}")  # noqa: PTH116 - a Path costs as much as the call
    except OSError:
        return Found(path, 0, -1, is_file=False)
    return Found(path, status.st_size, status.st_mtime_ns, stat.S_ISREG(status.st_mode))


def list_files(source: Path, *, without: Path) -> list[str]:
    """List the files below a folder as relative POSIX paths, sorted.

    Args:
        source: Folder to walk.
        without: Folder to leave out where it lies below `source`.

    Raises:
        DataError: The folder is missing or cannot be read.
    """
    return sorted(item.path for item in walk_files(source, without=without))
