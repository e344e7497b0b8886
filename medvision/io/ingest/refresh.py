"""The index brought up to date: what is new or changed is looked at, what is gone is removed."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from medvision.io.ingest.entry import Entry
from medvision.io.ingest.index import Index
from medvision.io.ingest.pool import map_in_order
from medvision.io.ingest.scan import scan_files
from medvision.io.ingest.scanner import Scanner, refuse_for_now
from medvision.io.ingest.verdict import Verdict
from medvision.io.ingest.walk import Found, walk_files
from medvision.runtime.progress import track

_CHUNK = 64
"""Files that travel to a process together."""

_SEEN_AT_ONCE = 1024
_COMMIT_ENTRIES = 8192
_CRASH = Verdict("refused", "unreadable", "reader must survive the file, got a crash")


def refresh_index(index: Index, scanner: Scanner, *, without: Path, workers: int) -> None:
    """Look at the files that are new or changed, and at no others.

    Memory is bounded whatever the number of files; what was looked at survives a kill.

    Args:
        index: The index.
        scanner: Settings of the run.
        without: Folder to leave out: this study's own output.
        workers: Processes that read.

    Raises:
        DataError: The folder is missing or cannot be read.
        ConfigError: No process can be started.
    """
    index.begin_walk()
    chunks = _cut(_list_changed(index, scanner, without), _CHUNK)
    n_waiting = 0
    for entries in track(_scan_all(chunks, scanner, workers=workers), "reading headers"):
        index.put(entries)
        n_waiting += len(entries)
        if n_waiting >= _COMMIT_ENTRIES:
            index.commit()
            n_waiting = 0
    index.end_walk()


def _list_changed(index: Index, scanner: Scanner, without: Path) -> Iterator[Found]:
    """Yield the files that the index does not hold as they are."""
    names = scanner.names
    for files in _cut(walk_files(scanner.source, without=without), _SEEN_AT_ONCE):
        yield from index.choose_changed([(names.file_id(item.path), item) for item in files])


def _cut(files: Iterable[Found], size: int) -> Iterator[list[Found]]:
    """Yield files in lists."""
    waiting = iter(files)
    while piece := list(itertools.islice(waiting, size)):
        yield piece


def _scan_all(
    chunks: Iterator[list[Found]], scanner: Scanner, *, workers: int
) -> Iterator[Sequence[Entry]]:
    """Look at files, a chunk at a time, in processes where there are many."""
    first = list(itertools.islice(chunks, 2))
    is_apart = workers > 1 and len(first) > 1
    scan = partial(scan_files, scanner=scanner)
    results = map_in_order(scan, itertools.chain(first, chunks), workers=workers, is_apart=is_apart)
    for chunk, entries in results:
        yield entries if entries is not None else _scan_one_by_one(chunk, scanner)


def _scan_one_by_one(chunk: list[Found], scanner: Scanner) -> list[Entry]:
    """Look at each file by itself, since one of them killed the process."""
    entries: list[Entry] = []
    scan = partial(scan_files, scanner=scanner)
    results = map_in_order(scan, ([item] for item in chunk), workers=1, is_apart=True)
    for (item,), found in results:
        entries += found or [refuse_for_now(scanner.begin_entry(item), _CRASH)]
    return entries
