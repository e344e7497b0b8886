"""A cohort pulled: what is asked for listed, every series fetched, every one accounted for."""

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from medvision.io.pacs.archive import Archive, SeriesName, list_folders, list_instances
from medvision.io.pacs.cohort import Cohort, Wish
from medvision.io.pacs.ledger import list_entries
from medvision.io.pacs.listing import Gap, SeriesEntry, Server, list_wanted
from medvision.io.pacs.retry import Fuse, Policy
from medvision.io.pacs.series import SeriesResult, State, pull_series
from medvision.io.tables import write_table
from medvision.runtime.files import storage_faults
from medvision.runtime.progress import track
from medvision.runtime.seeds import derive_seed

Item = TypeVar("Item")
Result = TypeVar("Result")

SERIES_COLUMNS = ("line", "study", "series", "expected", "received", "state", "reason")
ARCHIVE_COLUMNS = ("file", "digest", "bytes")

_AHEAD = 4
_SILENT = frozenset({"connection-lost", "timed-out"})
_NOT_FOUND = frozenset({"no-study", "no-series"})
_SOUND = frozenset({"complete", "pushed"})


def pull_cohort(
    cohort: Cohort, server: Server, archive: Archive, *, policy: Policy, connections: int
) -> list[SeriesResult]:
    """Fetch all series of a cohort that are not on disk yet.

    A series that cannot be had never stops the others: its row says why.

    Args:
        cohort: What is asked for.
        server: Where it is.
        archive: Where it goes; what it holds already is not fetched again.
        policy: How often a request is repeated.
        connections: Requests at a time.

    Returns:
        One result per series, and per line of the table that no series was found for, sorted.

    Raises:
        DataError: The server does not answer, refuses us, or is not what the configuration says.
        StorageError: The disk is full or closed.
    """
    entries, gaps = _list_all(cohort, server, policy=policy, connections=connections)
    work = partial(pull_series, server=server, archive=archive, policy=policy, fuse=Fuse())
    results = _map_in_order(work, entries, workers=connections)
    pulled = list(track(results, "pulling series", total=len(entries)))
    missed = [_describe_gap(gap, archive) for gap in gaps]
    return sorted([*pulled, *missed, *_list_others(archive, pulled, missed)], key=_order)


def _list_all(
    cohort: Cohort, server: Server, *, policy: Policy, connections: int
) -> tuple[list[SeriesEntry], list[Gap]]:
    """List the series of all wishes, each once, and what could not be listed."""

    def look(wish: Wish) -> list[SeriesEntry | Gap]:
        seed = derive_seed("list", wish.line)
        return list_wanted(server, cohort, wish, policy=policy, seed=seed)

    # The first alone: a server that does not answer is told of once, not once a line.
    first, *rest = cohort.wishes
    found = look(first)
    if any(isinstance(item, Gap) and item.reason in _SILENT for item in found):
        raise server.fail_silent()
    for items in track(
        _map_in_order(look, rest, workers=connections), "listing series", total=len(rest)
    ):
        found += items
    entries: dict[SeriesName, SeriesEntry] = {}
    for item in found:
        if isinstance(item, SeriesEntry):
            entries.setdefault((item.study_uid, item.series_uid), item)
    return list(entries.values()), [item for item in found if isinstance(item, Gap)]


def _map_in_order(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Iterator[Result]:
    """Yield the results in the order of the items, a bounded number of them under way."""
    with ThreadPoolExecutor(workers, thread_name_prefix="pull") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _describe_gap(gap: Gap, archive: Archive) -> SeriesResult:
    """Return the row of something that could not be listed."""
    return SeriesResult(
        line=gap.line,
        study=archive.names.uid(gap.study_uid) if gap.study_uid else "",
        series="",
        expected=None,
        received=0,
        state="not-found" if gap.reason in _NOT_FOUND else "incomplete",
        reason=gap.reason,
    )


def _list_others(
    archive: Archive, pulled: Sequence[SeriesResult], missed: Sequence[SeriesResult]
) -> list[SeriesResult]:
    """Return rows for the series on disk that were not among those listed now."""
    asked = {(result.study, result.series) for result in pulled}
    # As long as something could not be listed, what is held may well be part of it.
    is_sure = all(result.state == "not-found" for result in missed)
    state: State = "not-asked" if is_sure else "unverified"
    reason = "not-asked" if is_sure else "not-listed"
    return [
        SeriesResult(0, *name, expected=None, received=n, state=state, reason=reason)
        for name, n in _list_held(archive.root)
        if name not in asked
    ]


def prune_archive(results: Sequence[SeriesResult], archive: Archive) -> list[SeriesResult]:
    """Delete the series that nothing asks for any more; return the other results."""
    for result in results:
        if result.state == "not-asked":
            folder = archive.root / result.study / result.series
            with storage_faults(folder):
                shutil.rmtree(folder)
                archive.find_ledger(folder).unlink(missing_ok=True)
    return [result for result in results if result.state != "not-asked"]


def take_stock(archive: Archive) -> list[SeriesResult]:
    """Return a result for each series of an archive that was filled by others' pushing.

    Nobody says how many instances a pushed series has: it counts as it is.
    """
    return [
        SeriesResult(0, *name, expected=None, received=n, state="pushed", reason="")
        for name, n in _list_held(archive.root)
    ]


def _list_held(root: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield study, series and number of instances of each series on disk."""
    for folder in list_folders(root):
        n_instances = len(list_instances(folder))
        if n_instances:
            yield (folder.parent.name, folder.name), n_instances


def _order(result: SeriesResult) -> tuple[int, str, str, str]:
    """Sort rows by line of the table, then by pseudonyms."""
    return result.line, result.study, result.series, result.reason


def list_unsound(results: Iterable[SeriesResult]) -> list[SeriesResult]:
    """Return the results that are neither complete nor pushed."""
    return [result for result in results if result.state not in _SOUND]


def write_results(
    results: Sequence[SeriesResult], archive: Archive, *, series: Path, listing: Path
) -> tuple[int, int]:
    """Write what became of each series, and the name and digest of each file.

    Args:
        results: As `pull_cohort` or `take_stock` returned them.
        archive: What was filled.
        series: Where the table of series goes.
        listing: Where the table of files goes.

    Returns:
        Number of files, and of bytes.
    """
    write_table(series, [vars(result) for result in results], columns=SERIES_COLUMNS)
    sizes: list[int] = []
    write_table(listing, _list_files(archive, sizes), columns=ARCHIVE_COLUMNS)
    return len(sizes), sum(sizes)


def _list_files(archive: Archive, sizes: list[int]) -> Iterator[dict[str, str | int]]:
    """Yield the row of each file, series after series, and note its size."""
    for folder in list_folders(archive.root):
        for entry in list_entries(folder, archive.find_ledger(folder)):
            sizes.append(entry.size)
            name = (folder / entry.name).relative_to(archive.root).as_posix()
            yield {"file": name, "digest": entry.digest, "bytes": entry.size}
