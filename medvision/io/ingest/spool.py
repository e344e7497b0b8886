"""The spool: members of compressed tars, unpacked while their series are converted."""

import shutil
from collections import defaultdict
from pathlib import Path

from medvision.io.ingest.archive import MARK
from medvision.io.ingest.entry import Sealer
from medvision.io.ingest.index import Index
from medvision.io.ingest.members import spool_members
from medvision.io.ingest.plan import list_streamed
from medvision.runtime.files import storage_faults


class Spool:
    """Fills a private folder before the jobs of a batch begin, and empties it behind them.

    Args:
        folder: The folder; whatever an earlier run left in it is removed.
        source: Folder of the input.
        index: Tells what a batch needs.
        sealer: Opens paths.
        limit: Bytes to which one archive may unpack.
    """

    def __init__(
        self, folder: Path, *, source: Path, index: Index, sealer: Sealer, limit: int
    ) -> None:
        self.folder = folder
        self._source = source
        self._index = index
        self._sealer = sealer
        self._limit = limit
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
        for archive, names in sorted(wanted.items()):
            spool_members(self._source / archive, names, spool=self.folder, limit=self._limit)
            self._held.setdefault(batch, []).extend(names.values())

    def drop(self, batch: str) -> None:
        """Remove what a batch needed, after its last job."""
        for file in self._held.pop(batch, ()):
            (self.folder / file).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        with storage_faults(self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)
