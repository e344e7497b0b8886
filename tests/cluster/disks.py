"""Small disks in memory that a test fills, or has become read-only, under what works on them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.slurm import wait_for


@dataclass(frozen=True)
class Disk:
    """A file system of its own, mounted on a folder."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no byte on it."""
        # One page at a time in the end, or the last free ones would be left.
        with self._ballast.open("ab", buffering=0) as stream:
            for size in (2**20, 2**12):
                with suppress(OSError):
                    while True:
                        stream.write(b"\0" * size)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink()

    def turn(self, word: str) -> None:
        """Make it read-only (`ro`) or writable again (`rw`), once nobody is writing."""
        words = ("mount", "-o", f"remount,{word}", str(self.folder))
        wait_for(lambda: _run(*words).returncode == 0, seconds=30, what=f"a disk that is {word}")


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[Disk]:
    """Mount a disk on a folder; skip the test where one may not mount.

    Args:
        folder: Made where it is missing.
        size: As tmpfs takes it, such as 8m.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ("-t", "tmpfs", "-o", f"size={size},mode=755", "medvision-test", str(folder))
    done = _run("mount", *words)
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        # What still has a file open there loses it later.
        _run("umount", "--lazy", str(folder))


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False)
