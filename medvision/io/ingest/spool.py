"""The spool: members of compressed tars, unpacked while their series are converted."""

import shutil
from collections import defaultdict
from pathlib import Path

from medvision.io.ingest.archive import MARK
from medvision.io.ingest.entry import Sealer
from medvision.io.ingest.index import Index
from medvision.io.ingest.members import MemberReader, spool_members
from medvision.io.ingest.plan import list_streamed
from medvision.io.ingest.scanner import Scanner
from medvision.runtime.files import storage_faults


class Spool:
    """Fills a private folder before the jobs of a batch begin, and empties it behind them.

    Args:
        folder: The folder; whatever an earlier run left in it is removed.
        scanner: Settings of the run.
        index: Tells what a batch needs.
    """

    def __init__(self, folder: Path, scanner: Scanner, index: Index) -> None:
        self.reader = MemberReader(scanner.source, folder, scanner.names, scanner.limit)
        self._index = index
        self._sealer = Sealer(scanner.names.key)
        self._held: dict[str, list[str]] = {}
        self.clear()

    def fill(self, batch: str) -> None:
        """Unpack what the jobs of a batch need.

        Raises:
            StorageError: The folder cannot be written.
        """
        wanted: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for file, sealed, sealed_archive in list_streamed(self._index.connection, batch):
            archive = self._sealer.unseal(sealed_archive)
            wanted[archive][self._sealer.unseal(sealed)[len(archive) + len(MARK) :]] = file
        reader = self.reader
        for archive, names in sorted(wanted.items()):
            spool_members(reader.source / archive, names, spool=reader.spool, limit=reader.limit)
            self._held.setdefault(batch, []).extend(names.values())

    def drop(self, batch: str) -> None:
        """Remove what a batch needed, after its last job."""
        for file in self._held.pop(batch, ()):
            (self.reader.spool / file).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        with storage_faults(self.reader.spool):
            if self.reader.spool.is_dir():
                shutil.rmtree(self.reader.spool)
