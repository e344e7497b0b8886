"""The archive's folder claimed: by one process at a time, and by one key for good."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medvision.errors import StaleOutputError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.pacs.archive import Archive
from medvision.runtime.files import storage_faults, write_text

_KEY_ID = "key-id"
_LOCK = "lock"


@contextmanager
def claim_archive(root: Path, names: Pseudonymiser, *, min_free_gb: float) -> Iterator[Archive]:
    """Open the archive that a pull or a listener fills, and close it at the end.

    Args:
        root: Folder of the step; the archive and its ledger lie below it.
        names: Makes the pseudonyms.
        min_free_gb: Space that must stay free, in 10^9 bytes.

    Raises:
        StaleOutputError: Another process is at work here, or the files bear names of another key.
        StorageError: The folder cannot be written.
    """
    archive = Archive(root / "archive", root / "ledger", names, min_free_gb)
    with storage_faults(archive.ledger):
        archive.ledger.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (archive.ledger / _LOCK).open("w") as lock:
            _take(lock.fileno(), root)
            _check_key(archive.ledger / _KEY_ID, names, root)
            try:
                yield archive
            finally:
                archive.close()


def _take(handle: int, root: Path) -> None:
    """Lock a file for as long as it is open, so that a killed process leaves no lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StaleOutputError(
            f"{root}: one process at a time must fill the archive, got another at work.",
            "wait for the other `medvision pull`, or stop `medvision listen` first.",
        ) from error
    except OSError:
        # Some network file systems know no locks.
        return


def _check_key(path: Path, names: Pseudonymiser, root: Path) -> None:
    """Refuse an archive whose names another key made: everything would be fetched twice."""
    if not path.is_file():
        write_text(path, names.key_id)
        return
    held = path.read_text(encoding="ascii").strip()
    if held != names.key_id:
        raise StaleOutputError(
            f"{root}: archive must bear names of key {names.key_id}, got {held}.",
            "set ingest.key to the key it was begun with, or choose another output.path.",
        )
