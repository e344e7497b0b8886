"""What ingestion leaves for others in BIDS's form: participants always, the tree on request."""

import shutil
from pathlib import Path

from medvision.io.bids.participants import gather_people, read_people, write_participants
from medvision.io.bids.tree import write_bids_tree
from medvision.io.deidentify import Pseudonymiser
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import storage_faults


def write_bids(
    layout: Layout, *, source: Path, names: Pseudonymiser, is_tree: bool, version: str
) -> list[Path]:
    """Write `ingest/participants.tsv`, and `ingest/bids/` with its list where asked for.

    What an earlier run left is removed where it is not asked for any more.

    Args:
        layout: The manifest, images and sidecars must be there.
        source: Folder of the input, which may hold a participants.tsv of its own.
        names: Gives its subjects their pseudonyms.
        is_tree: Write the tree too (`ingest.bids`).
        version: medvision's.

    Returns:
        The files written.

    Raises:
        DataError: The manifest or a sidecar cannot be read.
        StorageError: The folder cannot be written.
    """
    rows = read_table(layout.manifest)
    people = gather_people(rows, read_people(source, names))
    folder = layout.step("ingest")
    written = [*write_participants(folder / "participants.tsv", people)]
    if is_tree:
        return written + write_bids_tree(layout, rows, people=people, version=version)
    with storage_faults(folder / "bids"):
        shutil.rmtree(folder / "bids", ignore_errors=True)
        (folder / "bids.tsv").unlink(missing_ok=True)
    return written
