"""Running the ingest wing in tests: one call, its tables and images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medvision.io.ingest.run import ingest_folder
from medvision.io.ingest.settings import IngestSettings, IngestSummary
from medvision.io.ingest.workshop import ConversionSettings
from medvision.io.tables import Row, read_table
from medvision.layout import Layout

BOTH = frozenset({"dicom", "nifti"})
KEY = "00112233445566778899aabbccddeeff"


@dataclass
class Ingested:
    """What a run left."""

    layout: Layout
    summary: IngestSummary

    @property
    def manifest(self) -> list[Row]:
        return read_table(self.layout.manifest)

    @property
    def rejects(self) -> list[Row]:
        return read_table(self.layout.rejects)

    @property
    def sources(self) -> list[Row]:
        return read_table(self.layout.sources)

    def reasons(self) -> dict[str, int]:
        return dict(self.summary.refused)

    def load(self, row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return one image's array and affine, as nibabel reads them."""
        image = nibabel.load(self.layout.image(row["image_id"]))
        return image.get_fdata(), image.affine

    def load_only(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        (row,) = self.manifest
        return self.load(row)


def write_key(folder: Path) -> Path:
    """Write the key that all tests share."""
    path = folder / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_text(KEY + "\n")
    return path


def build_settings(
    out: Path,
    *,
    workers: int = 1,
    kinds: frozenset[str] = BOTH,
    gap: float = 0.1,
    masks: frozenset[Path] = frozenset(),
    archives: str = "open",
    archive_limit_gb: float = 50,
    images: str = "files",
    **conversion: Any,
) -> IngestSettings:
    """The defaults of the configuration, under the shared key.

    Args:
        out: Output folder; takes the key.
        workers: Processes.
        kinds: Kinds of images.
        gap: Tolerance of gaps.
        masks: Files that are masks.
        archives: open or list.
        archive_limit_gb: Largest unpacked size.
        images: files or packs.
        **conversion: Fields of ConversionSettings that differ from the defaults.
    """
    out.mkdir(parents=True, exist_ok=True)
    defaults = {
        "gap_tolerance": gap,
        "gaps": "refuse",
        "tilt": "keep",
        "volume": "first",
        "colour": "luminance",
        "burned_in": "refuse",
        "region_rules": (),
        "text_detection": "off",
        "compression": "fast",
    }
    return IngestSettings(
        key=write_key(out),
        workers=workers,
        archives=archives,
        archive_limit_gb=archive_limit_gb,
        conversion=ConversionSettings(**{**defaults, **conversion}),
        images=images,
        kinds=kinds,
        masks=masks,
    )


def ingest(source: Path, out: Path, **settings: Any) -> Ingested:
    """Ingest a folder; further arguments as `build_settings` takes them."""
    suffix = ".nii" if settings.get("compression") == "none" else ".nii.gz"
    layout = Layout(out, image_suffix=suffix)
    summary = ingest_folder(source, layout, settings=build_settings(out, **settings))
    return Ingested(layout, summary)


def snapshot(
    folder: Path, *, leave_out: tuple[str, ...] = ("index.sqlite", "shards")
) -> dict[str, bytes]:
    """Return every file below a folder, what is kept between runs aside."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(leave_out) & set(path.relative_to(folder).parts)
    }
