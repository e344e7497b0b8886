"""The digests of what was received, noted as it came: a resumed pull reads no file again."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


@dataclass(frozen=True)
class ReceivedFile:
    """One file of the archive.

    Args:
        name: File name within its series.
        digest: BLAKE3 of the whole file, in hexadecimal.
        size: Bytes.
    """

    name: str
    digest: str
    size: int


def append_entry(path: Path, entry: ReceivedFile) -> None:
    """Add a line to a series' ledger, in one write, so that a kill tears the last line at most."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # The leading line break ends a line that a kill may have torn.
        os.write(handle, f"\n{entry.name}\t{entry.digest}\t{entry.size}".encode())
    finally:
        os.close(handle)


def list_entries(folder: Path, ledger: Path) -> Iterator[ReceivedFile]:
    """Yield the files of a series with their digests, sorted by name.

    A file that the ledger does not know, or knows by another size, is hashed.

    Args:
        folder: The series' folder.
        ledger: Its table of digests.
    """
    known = _read_ledger(ledger)
    for path in sorted(folder.iterdir()):
        size = path.stat().st_size
        entry = known.get(path.name)
        if entry is None or entry.size != size:
            with path.open("rb") as stream:
                entry = ReceivedFile(path.name, hash_from(stream, 0), size)
        yield entry


def _read_ledger(path: Path) -> dict[str, ReceivedFile]:
    """Return a ledger's whole lines; a torn one has no place in it."""
    if not path.is_file():
        return {}
    entries = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        name, *rest = line.split("\t")
        if len(rest) == 2 and len(rest[0]) == 64 and rest[1].isdecimal():
            entries[name] = ReceivedFile(name, rest[0], int(rest[1]))
    return entries


def hash_from(stream: BinaryIO, offset: int) -> str:
    """Return the BLAKE3 digest of a stream from an offset to its end, in hexadecimal."""
    # Imported here: most commands hash nothing by the gigabyte.
    from blake3 import blake3

    digest = blake3()
    stream.seek(offset)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
