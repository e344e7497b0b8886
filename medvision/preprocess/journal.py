"""What is computed already of a store that is not whole yet, for the next run to go on from."""

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, cast

from medvision.preprocess.entries import Place, append_entry, list_entries, read_entry
from medvision.preprocess.rows import Outcome, parse_outcome
from medvision.runtime.files import storage_faults

_DIGITS = 6
_NAME = re.compile(r"[0-9]+-(?:([0-9]+)-of-([0-9]+)-)?[0-9a-f]+\.rows")
"""Of a file: its number, the shard that it was written for, if any, and what makes it unique."""


class Journal:
    """A folder of files, one for each process that has written to it; entries are appended.

    An entry has the length and the digest of what follows, so that neither what a killed run left
    half-written nor a damaged file is ever taken for a result. Of equal keys the last counts.

    Args:
        folder: Where they lie; nothing is read or made before it is needed.
        part: Number of a shard, from 1, and how many there are; its files say so in their names,
            and those of the other shards of this division are left alone. None knows all.
    """

    def __init__(self, folder: Path, part: tuple[int, int] | None = None) -> None:
        self._folder, self._part = folder, part
        self._stream: BinaryIO | None = None
        self._path = folder
        self._places: dict[str, Place] = {}
        self._scanned: dict[Path, int] | None = None

    def write(self, outcome: Outcome, content: bytes) -> None:
        """Put down one outcome, with the bytes of its array or none.

        Raises:
            StorageError: The folder cannot be written, or its disk is full.
        """
        body = json.dumps(asdict(outcome)).encode() + b"\n" + content
        with storage_faults(self._folder / "entry"):
            stream = self._open()
            append_entry(self._path, stream, key=outcome.key, body=body)

    def refresh(self) -> None:
        """Learn what other processes have written since the last look."""
        scanned = self._scanned = self._scanned or {}
        paths = sorted(self._folder.glob("*.rows")) if self._folder.is_dir() else []
        for path in paths:
            if not self._concerns(path):
                continue
            # Unbuffered: only heads are looked at, and on a network a buffer may be 1 MiB.
            with path.open("rb", buffering=0) as stream:
                for key, place in list_entries(path, stream, start=scanned.get(path, 0)):
                    self._places[key] = place
                    scanned[path] = place.end

    def read(self, key: str, *, image_id: str) -> tuple[Outcome, bytes] | None:
        """Return an outcome and its bytes, as of the last look; one that is damaged is none.

        Args:
            key: Of the image and the pipeline.
            image_id: Whose it is: images of equal content share an entry.
        """
        if self._scanned is None:
            self.refresh()
        place = self._places.get(key)
        if place is None:
            return None
        body = read_entry(place)
        if body is None:
            return None
        head, _, content = body.partition(b"\n")
        return parse_outcome({**json.loads(head), "image_id": image_id}), content

    def close(self) -> None:
        """Let go of this process's own file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def clear(self) -> None:
        """Remove all entries: the store holds them now."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._places, self._scanned = {}, None

    def _concerns(self, path: Path) -> bool:
        """Tell whether a file may hold what is sought: it is no other shard's of this division."""
        match = _NAME.fullmatch(path.name)
        if self._part is None or match is None or match[1] is None:
            return True
        number, total = int(match[1]), int(match[2])
        return total != self._part[1] or number == self._part[0]

    def _open(self) -> BinaryIO:
        """Return this process's own file, which comes behind all that are there."""
        if self._stream is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            names = (path.name[:_DIGITS] for path in self._folder.glob("*.rows"))
            number = 1 + max((int(name) for name in names if name.isdecimal()), default=0)
            # Another process may take the same number: what both write is of different images.
            part = "" if self._part is None else "{}-of-{}-".format(*self._part)
            name = f"{number:0{_DIGITS}}-{part}{os.urandom(6).hex()}.rows"
            self._path = self._folder / name
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            self._stream = cast(BinaryIO, os.fdopen(handle, "wb", buffering=0))
        return self._stream
