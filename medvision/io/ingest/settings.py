"""What a run of ingestion is told, and what it tells."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medvision.io.ingest.kind import DICOM, NIFTI
from medvision.io.ingest.places import Kind
from medvision.io.ingest.workshop import ConversionSettings


@dataclass(frozen=True)
class IngestSettings:
    """How a folder is ingested: the fields of the configuration's section ingest, and two more.

    Args:
        key: Secret of the pseudonyms; made at random where the file is missing.
        workers: Processes that read in parallel; their number changes no byte of the output.
        archives: Open archives, or list them only.
        archive_limit_gb: Bytes to which one archive may unpack, in 10⁹.
        conversion: How images are made.
        images: A file and a sidecar an image, or both of all images of a shard in its pack.
        kinds: kind.DICOM, kind.NIFTI or both; images of another kind are left out.
        masks: Files that are masks of other images, and so no images.
    """

    key: Path
    workers: int
    archives: Literal["open", "list"]
    archive_limit_gb: float
    conversion: ConversionSettings
    images: Kind = "files"
    kinds: frozenset[str] = frozenset({DICOM, NIFTI})
    masks: frozenset[Path] = field(default_factory=frozenset)


@dataclass(frozen=True)
class IngestSummary:
    """What became of the input.

    Args:
        n_files: Files found, members of archives included.
        n_images: Images written.
        n_subjects: Subjects with at least one image.
        n_done: Series and files converted in this run; the others were as they are.
        verdicts: Number of files per verdict.
        refused: Number of files per reason, refused files alone.
        key_id: Published name of the key that made the pseudonyms.
        written: Name of every image and sidecar and its sha256, sorted.
    """

    n_files: int
    n_images: int
    n_subjects: int
    n_done: int
    verdicts: dict[str, int]
    refused: dict[str, int]
    key_id: str
    written: tuple[tuple[str, str], ...]
