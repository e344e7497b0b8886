"""Where converted images lie, a file each or in the packs of shards, and what is in place."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

from medvision.io.ingest.jobs import Written
from medvision.runtime.packs import holds

Kind = Literal["files", "packs"]
"""One file and one sidecar an image, or both of all images of a shard in its pack."""


@dataclass
class Places:
    """The folder of the images, as a run of one shard finds it.

    Args:
        images: The folder.
        kind: How images shall lie in it.
        ends: Name of a pack to the byte behind the last of its members that was found in place.
    """

    images: Path
    kind: Kind
    ends: dict[str, int] = field(default_factory=dict)
    _open: dict[str, BinaryIO | None] = field(default_factory=dict)

    def are_in_place(self, written: tuple[Written, ...]) -> bool:
        """Say whether the files of a job are as it wrote them, and as they shall lie."""
        if any((self.kind == "packs") != bool(item.pack) for item in written):
            return False
        if not self.are_there(written):
            return False
        for item in written:
            if item.pack:
                self.ends[item.pack] = max(self.ends.get(item.pack, 0), item.entry.end)
        return True

    def are_there(self, written: tuple[Written, ...]) -> bool:
        """Say whether the files of a job are as it wrote them, whichever way they lie."""
        return all(self._is_there(item) for item in written)

    def close(self) -> None:
        """Let go of the packs that were looked at."""
        for stream in self._open.values():
            if stream is not None:
                stream.close()
        self._open.clear()

    def _is_there(self, item: Written) -> bool:
        """Say whether a file is as it was written."""
        if item.pack:
            stream = self._open_pack(item.pack)
            return stream is not None and holds(stream, item.entry)
        try:
            status = (self.images / item.name).stat()
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns) == (item.n_bytes, item.mtime_ns)

    def _open_pack(self, name: str) -> BinaryIO | None:
        """Return a pack, open; the last one that was asked for stays so, None where it is none."""
        if name not in self._open:
            self.close()
            try:
                pack = (self.images / name).open("rb", buffering=0)
                self._open[name] = cast(BinaryIO, pack)
            except FileNotFoundError:
                self._open[name] = None
        return self._open[name]
