"""One series pulled: asked for, counted, and what is missing asked for again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from medvision.io.pacs.archive import Archive
from medvision.io.pacs.listing import SeriesEntry, Server, list_instances
from medvision.io.pacs.part10 import is_uid
from medvision.io.pacs.reasons import RefusedError, TransientError
from medvision.io.pacs.retry import Fuse, Policy
from medvision.runtime.seeds import derive_seed

State = Literal["complete", "incomplete", "unverified", "not-found", "not-asked", "pushed"]


@dataclass(frozen=True)
class SeriesResult:
    """What became of one series, in pseudonyms.

    Args:
        line: Line of pacs.studies that asks for it; 0 for none.
        study: Pseudonymous StudyInstanceUID; "" where there is none.
        series: Pseudonymous SeriesInstanceUID; "" where there is none.
        expected: Instances that the server counts; None where it does not.
        received: Instances on disk.
        state: complete; incomplete; unverified, where nobody knows the count; not-found, where
            nothing fits the line; not-asked, where an earlier pull left it; pushed.
        reason: A key of REASONS; "" for complete and pushed.
    """

    line: int
    study: str
    series: str
    expected: int | None
    received: int
    state: State
    reason: str


@dataclass
class _Account:
    """What is known of a series while it is pulled."""

    series: SeriesEntry
    archive: Archive
    expected: int | None
    held: frozenset[str] = field(default_factory=frozenset)
    is_first: bool = True

    def count(self) -> bool:
        """Look what is on disk; return whether that is more than before."""
        before = len(self.held)
        self.held = self.archive.list_received((self.series.study_uid, self.series.series_uid))
        return len(self.held) > before

    @property
    def is_complete(self) -> bool:
        return self.expected is not None and len(self.held) >= self.expected


def pull_series(
    series: SeriesEntry,
    server: Server,
    archive: Archive,
    *,
    policy: Policy,
    fuse: Fuse,
    sleep: Callable[[float], object] = time.sleep,
) -> SeriesResult:
    """Fetch what of a series is not on disk yet, until it is complete or patience ends.

    Args:
        series: The series.
        server: Where it is.
        archive: Where it goes.
        policy: How often a request is repeated; one that brought anything new starts the count
            again.
        fuse: Tells whether the server still answers.
        sleep: Waits so many seconds.

    Returns:
        What became of it.

    Raises:
        DataError: The pull as a whole cannot go on.
        StorageError: The disk is full or closed.
    """
    account = _Account(series, archive, series.expected)
    account.count()
    seed = derive_seed("pull", archive.names.uid(series.series_uid))
    waits, code = policy.waits_s(seed), ""
    while not account.is_complete:
        if fuse.is_blown or not is_uid(series.series_uid):
            code = "unreachable" if fuse.is_blown else "bad-uid"
            break
        attempt = _attempt(account, server)
        code = attempt.code
        if account.count():
            waits = policy.waits_s(seed)
        pause_s = next(waits, None) if attempt.is_failure else 0.0
        if account.is_complete or attempt.is_final or pause_s is None:
            break
        sleep(max(pause_s, attempt.wait_s))
    fuse.note("" if account.is_complete else code)
    return _judge(account, code)


@dataclass(frozen=True)
class _Attempt:
    """How one request went: why there is more to ask for, and what to do about it."""

    code: str
    is_failure: bool
    is_final: bool = False
    wait_s: float = 0.0


def _attempt(account: _Account, server: Server) -> _Attempt:
    """Ask once for what is missing: for all of it at first, then one by one."""
    is_whole = account.is_first and not account.held
    account.is_first = False
    try:
        if is_whole:
            server.fetch(account.series, None)
        else:
            _fetch_missing(account, server)
    except TransientError as error:
        return _Attempt(error.code, is_failure=True, wait_s=error.wait_s)
    except RefusedError as error:
        # What is refused as a whole may still be listed and handed out one by one.
        return _Attempt(error.code, is_failure=False, is_final=not is_whole)
    return _Attempt("sent-fewer", is_failure=not is_whole)


def _fetch_missing(account: _Account, server: Server) -> None:
    """List the series' instances and fetch those that are not on disk."""
    instances = list_instances(server, account.series)
    if not instances:
        raise RefusedError("lists-fewer" if account.expected else "count-unknown")
    account.expected = max(account.expected or 0, len(instances))
    name = account.archive.names.uid
    missing = [item for item in instances if name(item.sop_uid) not in account.held]
    if missing:
        server.fetch(account.series, missing)
    elif not account.is_complete:
        raise RefusedError("lists-fewer")


def _judge(account: _Account, code: str) -> SeriesResult:
    """Return the row of the table."""
    state: State = "complete" if account.is_complete else "incomplete"
    if account.expected is None:
        state, code = "unverified", code if code not in {"", "sent-fewer"} else "count-unknown"
    name = account.archive.names.uid
    return SeriesResult(
        line=account.series.line,
        study=name(account.series.study_uid),
        series=name(account.series.series_uid),
        expected=account.expected,
        received=len(account.held),
        state=state,
        reason="" if state == "complete" else code,
    )
