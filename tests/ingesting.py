"""Running the ingest wing in tests: one call, its tables and images."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from medvision.io.ingest.run import IngestSummary, ingest_folder
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
        """Return one image's array (I, J, K) and affine, as nibabel reads them."""
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


def ingest(
    source: Path, out: Path, *, workers: int = 1, kinds: frozenset[str] = BOTH, gap: float = 0.1
) -> Ingested:
    """Ingest a folder under the shared key."""
    out.mkdir(parents=True, exist_ok=True)
    layout = Layout(out)
    summary = ingest_folder(
        source,
        layout,
        key=write_key(out),
        gap_tolerance=gap,
        workers=workers,
        kinds=kinds,
        masks=frozenset(),
    )
    return Ingested(layout, summary)
