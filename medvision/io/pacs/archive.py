"""The archive that a pull fills: each instance written whole or not at all, under its pseudonym."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Literal

from medvision.errors import StorageError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.pacs.ledger import ReceivedFile, append_entry, hash_from
from medvision.io.pacs.part10 import Identity, find_dataset, read_identity
from medvision.io.pacs.reasons import RefusedError
from medvision.runtime.files import PARTIAL_PREFIX, storage_faults

SUFFIX = ".dcm"
Arrival = Literal["stored", "duplicate", "conflict"]
SeriesName = tuple[str, str]
"""StudyInstanceUID and SeriesInstanceUID, raw."""

_GIGABYTE = 10**9
_VARIANT_MARK = "~"


@dataclass
class Archive:
    """A folder of DICOM files as they were received, by pseudonymous UIDs.

    The files themselves are as the server sent them and name the patient: their folders are open
    to their owner alone.

    Args:
        root: Where the files go: study/series/instance.dcm.
        ledger: Where the digests are kept, a table per series.
        names: Makes the pseudonyms.
        min_free_gb: Space that must stay free, in 10^9 bytes.
        counts: Instances by arrival, those refused included.
        is_closed: Whether anything is still taken.
    """

    root: Path
    ledger: Path
    names: Pseudonymiser
    min_free_gb: float
    counts: Counter[str] = field(default_factory=Counter)
    is_closed: bool = False
    _lock: Lock = field(default_factory=Lock)

    def check_space(self) -> None:
        """Refuse to begin a file when the disk is about to be full.

        Raises:
            StorageError: Less than min_free_gb is free.
        """
        with storage_faults(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.root).free
        if free < self.min_free_gb * _GIGABYTE:
            raise StorageError(
                f"{self.root.parent}: the disk must keep {self.min_free_gb:g} GB free, "
                f"got {free / _GIGABYTE:.1f} GB."
            )

    @contextmanager
    def receive(self) -> Iterator[BinaryIO]:
        """Yield a new temporary file to be filled; it is removed unless `keep` renamed it.

        Raises:
            StorageError: The disk is full or closed.
        """
        self.check_space()
        with storage_faults(self.root):
            # mkstemp makes the file with mode 0600.
            handle, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=SUFFIX, dir=self.root)
            os.close(handle)
            try:
                with Path(name).open("w+b") as stream:
                    yield stream
            finally:
                Path(name).unlink(missing_ok=True)

    def keep(
        self, stream: BinaryIO, *, of: Container[SeriesName] | None, sop_uid: str = ""
    ) -> Arrival:
        """Give a file that was received whole its place.

        Args:
            stream: What `receive` yielded, filled with a DICOM file.
            of: The series that were asked for; None takes any.
            sop_uid: The SOPInstanceUID that it was announced under, where it was.

        Returns:
            What was done: an instance that is there already is not written again, and one that
            differs from the instance there is written beside it.

        Raises:
            RefusedError: `broken-answer`: no DICOM file, or not the instance that was announced.
                `foreign-instances`: of another series.
            StorageError: The disk is full or closed.
        """
        with storage_faults(self.root):
            stream.flush()
            stream.seek(0)
            offset, syntax = find_dataset(stream)
            identity = read_identity(stream, offset=offset, syntax=syntax)
            if sop_uid not in ("", identity.sop_uid):
                raise RefusedError("broken-answer")
            if of is not None and (identity.study_uid, identity.series_uid) not in of:
                raise RefusedError("foreign-instances")
            entry = ReceivedFile(stream.name, hash_from(stream, 0), stream.tell())
            with self._lock:
                arrival, target = self._find_place(stream, identity, offset=offset)
                if arrival != "duplicate":
                    Path(stream.name).rename(target)
                    ledger = self.find_ledger(target.parent)
                    append_entry(ledger, replace(entry, name=target.name))
                self.counts[arrival] += 1
        return arrival

    def _find_place(
        self, stream: BinaryIO, identity: Identity, *, offset: int
    ) -> tuple[Arrival, Path]:
        """Return what an instance is beside those on disk, and its path."""
        if self.is_closed:
            raise RefusedError("refused")
        folder = self.find_folder((identity.study_uid, identity.series_uid))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = self.names.uid(identity.sop_uid)
        target = folder / f"{name}{SUFFIX}"
        if not _is_whole(target):
            return "stored", target
        digest = hash_from(stream, offset)
        if _hash_dataset(target) == digest:
            return "duplicate", target
        # Ingestion decides by the pixels whether two that bear one name are one.
        variant = folder / f"{name}{_VARIANT_MARK}{digest[:16]}{SUFFIX}"
        return ("duplicate" if _is_whole(variant) else "conflict"), variant

    def find_folder(self, series: SeriesName) -> Path:
        """Return the folder of a series."""
        return self.root / self.names.uid(series[0]) / self.names.uid(series[1])

    def find_ledger(self, folder: Path) -> Path:
        """Return the table of digests of a series' folder."""
        return self.ledger / f"{folder.parent.name}_{folder.name}.tsv"

    def list_received(self, series: SeriesName) -> frozenset[str]:
        """Return the pseudonymous UIDs of a series' instances that are on disk, whole."""
        return list_instances(self.find_folder(series))

    def count_refused(self) -> None:
        """Count an instance that was sent and not stored."""
        with self._lock:
            self.counts["refused"] += 1

    def close(self) -> None:
        """Take no further file: what still arrives belongs to no record."""
        with self._lock:
            self.is_closed = True


def list_instances(folder: Path) -> frozenset[str]:
    """Return the pseudonymous UIDs of the instances in a series' folder; variants count once."""
    if not folder.is_dir():
        return frozenset()
    with os.scandir(folder) as entries:
        return frozenset(
            entry.name.removesuffix(SUFFIX).partition(_VARIANT_MARK)[0]
            for entry in entries
            if entry.name.endswith(SUFFIX)
            and not entry.name.startswith(PARTIAL_PREFIX)
            and entry.stat().st_size
        )


def list_folders(root: Path) -> list[Path]:
    """Return the folders of all series in an archive, sorted by study and series."""
    if not root.is_dir():
        return []
    studies = sorted(path for path in root.iterdir() if path.is_dir())
    return [path for study in studies for path in sorted(study.iterdir()) if path.is_dir()]


def _is_whole(path: Path) -> bool:
    """Tell whether a file is there; one without bytes, as a power cut may leave it, is not."""
    return path.is_file() and path.stat().st_size > 0


def _hash_dataset(path: Path) -> str:
    """Return the digest of a file's dataset, meta information apart."""
    with path.open("rb") as stream:
        offset, _ = find_dataset(stream)
        return hash_from(stream, offset)
