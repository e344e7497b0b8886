"""What every conversion of a run needs: where things are, the pseudonyms, the settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.archive import MARK
from medvision.io.ingest.choose import VolumeMode
from medvision.io.ingest.scratch import Scratch
from medvision.io.nifti.write import Compression
from medvision.io.pixels.regions import RegionRule
from medvision.io.reasons import RefusalError
from medvision.layout import Layout


@dataclass(frozen=True)
class ConversionSettings:
    """How images are made; each is a field of the configuration's section ingest.

    Args:
        gap_tolerance: Largest deviation of a slice step, as a share of the slice spacing.
        gaps: What to do with missing slices and uneven spacing.
        tilt: Keep a sheared affine, or resample.
        volume: What of a fourth axis goes on.
        colour: What colour becomes.
        burned_in: What to do with images that may have text in their pixels.
        region_rules: Regions to be blanked.
        text_detection: Refuse images in which text is found.
        compression: Of the images written.
    """

    gap_tolerance: float
    gaps: Literal["refuse", "flag", "resample"]
    tilt: Literal["keep", "resample"]
    volume: VolumeMode
    colour: Literal["luminance", "rgb"]
    burned_in: Literal["refuse", "flag"]
    region_rules: tuple[RegionRule, ...]
    text_detection: Literal["off", "refuse"]
    compression: Compression


@dataclass(frozen=True)
class Workshop:
    """What every conversion of a run needs.

    Args:
        source: Folder of the input.
        layout: Where images are written.
        pseudonymiser: Gives images their names.
        settings: How images are made.
        read_member: Returns the bytes of a member of an archive (`archive!member`).
    """

    source: Path
    layout: Layout
    pseudonymiser: Pseudonymiser
    settings: ConversionSettings
    read_member: Callable[[str], bytes] | None = None

    def read_file(self, path: str) -> bytes:
        """Return the bytes of a file below the source folder, or of a member of an archive.

        Raises:
            RefusalError: `unreadable`, where it has gone.
        """
        try:
            if self.read_member is not None and self.is_member(path):
                return self.read_member(path)
            with self._find(path).open("rb", buffering=0) as stream:
                return stream.readall()
        except OSError as error:
            raise RefusalError(
                "unreadable",
                f"file must stay in place while it is read, got {type(error).__name__}",
            ) from None

    def read_file_into(self, path: str, scratch: Scratch) -> memoryview:
        """Return the bytes of a file like `read_file`, in memory that the next call overwrites.

        Fresh memory costs more than the reading itself.

        Args:
            path: Path below the source folder.
            scratch: The memory.

        Raises:
            RefusalError: `unreadable`, where it has gone.
        """
        try:
            with self._find(path).open("rb", buffering=0) as stream:
                n_bytes = os.fstat(stream.fileno()).st_size
                view = scratch.take(n_bytes)
                n_read = 0
                while n_read < n_bytes and (n := stream.readinto(view[n_read:])):
                    n_read += n
                return view[:n_read]
        except OSError:
            return memoryview(self.read_file(path))

    def is_member(self, path: str) -> bool:
        """Say whether a path names a member of an archive: no file of its own has that name."""
        return MARK in path and not self._find(path).is_file()

    def _find(self, path: str) -> Path:
        """Return the place of a file on the disk."""
        return self.source / path
