"""The cohort's images as preprocessing takes them: which fit together, and how each is read."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from medvision.cli._run import read_record
from medvision.config.model import Study
from medvision.domain.geometry import Affine
from medvision.domain.labels.rows import EXTERNAL
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatVolume, parse_shape
from medvision.errors import StaleOutputError
from medvision.io.tables import Row, read_columns, read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file, read_json
from medvision.runtime.packs import say_remedy

if TYPE_CHECKING:
    from medvision.io.nifti.planes import NiftiPlanes
    from medvision.preprocess.rejection import Rejection
    from medvision.preprocess.voi import Display

INVERTED = "monochrome1"
"""Flag of images that are turned over."""


@dataclass(frozen=True)
class Images:
    """The cohort's images as far as they fit together; goes to worker processes by pickle.

    Args:
        layout: Where they lie.
        kept: Image ids, sorted.
        digests: Path of each file, as records name it, to its sha256.
        inverted: Images that are turned over.
        shown: Images whose header has a window or table for display.
        modality: DICOM code of each image kept, or unknown.
        spatial_dims: 2 or 3.
        channels: 1, or 3 of colour.
        rejections: Images that do not fit the others.
    """

    layout: Layout
    kept: tuple[str, ...]
    digests: Mapping[str, str]
    inverted: frozenset[str]
    shown: frozenset[str]
    modality: Mapping[str, str]
    spatial_dims: int
    channels: int
    rejections: tuple["Rejection", ...]

    def digest(self, path: Path) -> str | None:
        """Return the sha256 of a file as ingestion wrote it."""
        return self.digests.get(path.relative_to(self.layout.root).as_posix())

    def describe(self, image_id: str, *, is_shown: bool) -> JsonValue:
        """Return all that an image's array depends on before the plan.

        Args:
            image_id: The image.
            is_shown: It is scaled as its header asks.
        """
        held: list[JsonValue] = [self.digest(self.layout.image(image_id))]
        held.append(image_id in self.inverted)
        return [*held, self.digest(self.layout.sidecar(image_id))] if is_shown else held

    def load(self, image_id: str) -> tuple[FloatVolume, Affine]:
        """Read one ingested image, which must be as it was written: rows go by its digest.

        Raises:
            StaleOutputError: The file has other bytes.
        """
        from medvision.io.nifti.read import read_nifti
        from medvision.preprocess.channels import put_channels_first

        path = self._check(self.layout.image(image_id))
        image = read_nifti(path)
        is_inverted = image_id in self.inverted
        volume = put_channels_first(image.array, is_colour=image.is_colour, is_inverted=is_inverted)
        return volume, image.affine

    def open_planes(self, image_id: str) -> "NiftiPlanes | None":
        """Open an image to be read plane by plane; None where it must be read as a whole.

        Raises:
            StaleOutputError: As `load`.
        """
        from medvision.io.nifti.planes import open_planes

        return (
            None
            if image_id in self.inverted
            else open_planes(self._check(self.layout.image(image_id)))
        )

    def find_display(self, image_id: str) -> "Display | None":
        """Return what an image's header asks for, None where it asks for nothing.

        Raises:
            StaleOutputError: The sidecar has other bytes than ingestion wrote.
        """
        from medvision.domain.voi import decode_voi
        from medvision.preprocess.voi import Display

        if image_id not in self.shown:
            return None
        sidecar = read_json(self._check(self.layout.sidecar(image_id)))
        voi = decode_voi(cast("dict[str, JsonValue]", sidecar).get("VOI"))
        return Display(voi, is_inverted=image_id in self.inverted)

    def _check(self, path: Path) -> Path:
        """Return the path of a file whose bytes are as they were written."""
        if hash_file(path) != self.digest(path):
            name = path.relative_to(self.layout.root).as_posix()
            raise StaleOutputError(
                f"{name}: file must be as an earlier step wrote it, got other bytes.",
                say_remedy(path, "ingest"),
            )
        return path


def read_cohort(layout: Layout) -> list[Row]:
    """Return the cohort's rows, sorted by image."""
    rows = read_table(layout.cohort, required=("image_id", "label", "shape"))
    return sorted(rows, key=lambda row: row["image_id"])


def choose_images(study: Study, layout: Layout, *, rows: list[Row]) -> Images:
    """Leave out the images that cannot be in one array with the others.

    What the array is like, those of an external cohort have no say in.

    Args:
        study: The configuration in force.
        layout: Where its files lie.
        rows: The cohort's.

    Raises:
        DataError: 2D was asked for and the cohort holds volumes.
    """
    from medvision.preprocess.channels import choose_channels
    from medvision.preprocess.dimensions import choose_dimensions

    shapes = {row["image_id"]: parse_shape(row["shape"]) for row in rows}
    external = frozenset(row["image_id"] for row in rows if is_external(row))
    spatial_dims, others = choose_dimensions(
        shapes, dimensions=study.data.dimensions, uncounted=external
    )
    kept = _leave_out(shapes, others)
    manifest = _read_manifest(layout)
    channels, other_channels = choose_channels(
        {name: _has_colour(layout, name, manifest) for name in kept}, uncounted=external
    )
    record = read_record(layout, "ingest")
    kept = _leave_out(kept, other_channels)
    return Images(
        layout=layout,
        kept=tuple(kept),
        modality={name: manifest.modality[name] for name in kept if name in manifest.modality},
        digests=record.writes if record else {},
        inverted=frozenset(manifest.inverted),
        shown=frozenset(kept) & manifest.shown,
        spatial_dims=spatial_dims,
        channels=channels,
        rejections=(*others, *other_channels),
    )


@dataclass(frozen=True)
class _Manifest:
    """What the manifest says of images that concerns their arrays."""

    modality: dict[str, str] = field(default_factory=dict)
    n_channels: dict[str, str] = field(default_factory=dict)
    inverted: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)


def _read_manifest(layout: Layout) -> _Manifest:
    """Read the manifest, of which no row is held: a shard reads it for all images."""
    manifest = _Manifest()
    optional = ("modality", "voi", "n_channels")
    for row in read_columns(layout.manifest, ("image_id", "flags"), optional=optional):
        name = row["image_id"]
        manifest.modality[name] = sys.intern(row["modality"] or "unknown")
        manifest.n_channels[name] = sys.intern(row["n_channels"])
        if INVERTED in row["flags"].split(","):
            manifest.inverted.add(name)
        if row["voi"]:
            manifest.shown.add(name)
    return manifest


def _has_colour(layout: Layout, image_id: str, manifest: _Manifest) -> bool:
    """Tell whether an image is coloured; its file is opened only where the manifest is older."""
    said = manifest.n_channels.get(image_id)
    return said == "3" if said else is_colour(layout, image_id)


def is_external(row: Row) -> bool:
    """Tell whether a row of the cohort is of its external part.

    Args:
        row: Of `cohort/cohort.tsv`, or of another table of images.
    """
    return row.get("given_split") == EXTERNAL


def _leave_out(image_ids: Iterable[str], rejections: Sequence["Rejection"]) -> list[str]:
    """Return the images that were not rejected."""
    gone = {rejection.image_id for rejection in rejections}
    return [image_id for image_id in image_ids if image_id not in gone]


def is_colour(layout: Layout, image_id: str) -> bool:
    """Tell by its header whether an ingested image is coloured.

    Args:
        layout: Where it lies.
        image_id: Which one.
    """
    from medvision.io.nifti.read import read_header

    return read_header(layout.image(image_id)).is_colour
