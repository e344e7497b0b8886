"""`medvision preprocess`: the cohort's images through one pipeline into one array store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli._inputs import parse_shard
from medvision.cli._run import Step, open_step, read_record, study_command
from medvision.cli._store_tables import write_tables
from medvision.config.model import Study
from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatVolume, parse_shape
from medvision.errors import StaleOutputError
from medvision.io.tables import Row, read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file, write_json

if TYPE_CHECKING:
    from medvision.io.nifti.planes import NiftiPlanes
    from medvision.preprocess.keys import Task
    from medvision.preprocess.rejection import Rejection
    from medvision.preprocess.store import Workshop

_INVERTED = "monochrome1"
_INVERSION: JsonValue = {
    "name": "Invert",
    "parameters": {"images_flagged": _INVERTED, "value": "maximum + minimum - value"},
}
"""The step before the pipeline; the index tells which images it concerns."""


@dataclass(frozen=True)
class Images:
    """The cohort's images as far as they fit together; goes to worker processes by pickle.

    Args:
        layout: Where they lie.
        kept: Image ids, sorted.
        digests: Path of each file, as records name it, to its sha256.
        inverted: Images that are turned over.
        modalities: Those of the images kept.
        spatial_dims: 2 or 3.
        rejections: Images that do not fit the others.
    """

    layout: Layout
    kept: tuple[str, ...]
    digests: Mapping[str, str]
    inverted: frozenset[str]
    modalities: frozenset[str]
    spatial_dims: int
    rejections: tuple["Rejection", ...]

    def digest(self, image_id: str) -> str | None:
        """Return the sha256 of an image's file as ingestion wrote it."""
        path = self.layout.image(image_id).relative_to(self.layout.root)
        return self.digests.get(path.as_posix())

    def load(self, image_id: str) -> tuple[FloatVolume, Affine]:
        """Read one ingested image, which must be as it was written: rows go by its digest.

        Raises:
            StaleOutputError: The file has other bytes.
        """
        from medvision.io.nifti.read import read_nifti
        from medvision.preprocess.channels import put_channels_first

        path = self._find(image_id)
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

        return None if image_id in self.inverted else open_planes(self._find(image_id))

    def _find(self, image_id: str) -> Path:
        """Return where an image lies, its bytes as they were written."""
        path = self.layout.image(image_id)
        if hash_file(path) != self.digest(image_id):
            name = path.relative_to(self.layout.root).as_posix()
            raise StaleOutputError(
                f"{name}: file must be as an earlier step wrote it, got other bytes.",
                "run the step ingest again.",
            )
        return path


@study_command(
    "preprocess",
    help="Compute the arrays that networks are trained on, one row per image of the cohort. Only "
    "what is new or changed since the last run is computed.",
    example="medvision preprocess --set preprocess.size='[96, 96, 96]'",
)
@click.option(
    "--shard",
    metavar="K/N",
    help="Compute the K-th of N parts; a run without writes the whole store.",
)
def command(study: Study, layout: Layout, *, shard: str | None) -> None:
    """Preprocess the cohort's images, or one part of them."""
    if shard is not None:
        _compute_part(study, layout, part=parse_shard(shard))
        return
    with open_step(
        "preprocess", study, upstream=("ingest", "cohort"), keeps=layout.step("preprocess")
    ) as step:
        step.read(layout.manifest)
        rows = _read_cohort(step.layout)
        step.read(layout.cohort)
        for row in rows:
            step.read(layout.image(row["image_id"]))
        _write_store(study, step, rows=rows)


def _compute_part(study: Study, layout: Layout, *, part: tuple[int, int]) -> None:
    """Compute the rows of one shard into the journal, and leave a mark."""
    from medvision.preprocess.store import compute_missing, select_shard

    number, total = part
    images = _choose_images(study, layout, rows=_read_cohort(layout))
    workshop, tasks, _ = _prepare(study, layout, images=images)
    chosen = select_shard(tasks, shard=number, n_shards=total)
    compute_missing(chosen, workshop)
    write_json(layout.array_folder("shards") / f"{number}-of-{total}.json", {"images": len(chosen)})


def _write_store(study: Study, step: Step, *, rows: list[Row]) -> None:
    """Write the shards and their tables; what is left of other runs goes."""
    from medvision.preprocess.execute import build_executor
    from medvision.preprocess.rows import Journal
    from medvision.preprocess.store import check_classes_left, write_store

    layout, total = step.layout, study.preprocess.shards
    images = _choose_images(study, layout, rows=rows)
    workshop, tasks, steps = _prepare(study, layout, images=images)
    step.facts["executor"] = build_executor(workshop.recipe.plan).kind
    shards = layout.array_shards(total)
    result = write_store(
        tasks, workshop, find_shard=lambda number: step.write(shards[number - 1]), n_shards=total
    )
    result = replace(result, rejections=(*images.rejections, *result.rejections))
    check_classes_left({row["image_id"]: row["label"] for row in rows}, result)
    write_tables(
        step, result, spatial_dims=images.spatial_dims, steps=steps, inverted=images.inverted
    )
    Journal(layout.array_folder("journal")).clear()
    for path in _list_others(layout, shards):
        path.unlink(missing_ok=True)


def _list_others(layout: Layout, shards: Sequence[Path]) -> list[Path]:
    """Return the shards of a store that was cut in another number of them."""
    found = layout.step("preprocess").glob(layout.array_shard("*").name)
    return sorted(set(found) - set(shards))


def _read_cohort(layout: Layout) -> list[Row]:
    """Return the cohort's rows, sorted by image."""
    rows = read_table(layout.cohort, required=("image_id", "label", "shape"))
    return sorted(rows, key=lambda row: row["image_id"])


def _choose_images(study: Study, layout: Layout, *, rows: list[Row]) -> Images:
    """Leave out the images that cannot be in one array with the others."""
    from medvision.preprocess.channels import choose_channels
    from medvision.preprocess.dimensions import choose_dimensions

    shapes = {row["image_id"]: parse_shape(row["shape"]) for row in rows}
    spatial_dims, others = choose_dimensions(shapes, dimensions=study.data.dimensions)
    kept = _leave_out(shapes, others)
    _, other_channels = choose_channels({name: _is_colour(layout, name) for name in kept})
    manifest = read_table(layout.manifest, required=("image_id", "flags"))
    record = read_record(layout, "ingest")
    kept = _leave_out(kept, other_channels)
    held = set(kept)
    return Images(
        layout=layout,
        kept=tuple(kept),
        modalities=frozenset(
            row.get("modality", "unknown") for row in manifest if row["image_id"] in held
        ),
        digests=record.writes if record else {},
        inverted=frozenset(
            row["image_id"] for row in manifest if _INVERTED in row["flags"].split(",")
        ),
        spatial_dims=spatial_dims,
        rejections=(*others, *other_channels),
    )


def _prepare(
    study: Study, layout: Layout, *, images: Images
) -> tuple["Workshop", list["Task"], list[JsonValue]]:
    """Return where rows come from, the images as tasks, and the steps for the record."""
    from medvision.preprocess.bench import Recipe
    from medvision.preprocess.earlier import EarlierStore
    from medvision.preprocess.keys import build_tasks
    from medvision.preprocess.modality import resolve_intensity
    from medvision.preprocess.plan import build_plan
    from medvision.preprocess.store import Workshop

    section = study.preprocess
    resolved = resolve_intensity(section.intensity, modalities=set(images.modalities))
    plan = build_plan(spatial_dims=images.spatial_dims, **(section.pipeline | resolved))
    recipe = Recipe(
        load=images.load,
        open_planes=images.open_planes,
        plan=plan,
        dtype=section.dtype,
        max_rounding=section.max_rounding,
        keep_after=section.keep_after,
        journal=layout.array_folder("journal"),
        kept=layout.array_folder("kept"),
    )
    earlier = EarlierStore(layout.array_index, find_shard=layout.array_shard)
    sources: dict[str, JsonValue] = {
        image_id: [images.digest(image_id), image_id in images.inverted] for image_id in images.kept
    }
    tasks = build_tasks(sources, plan, keep_after=section.keep_after)
    inversion = [_INVERSION] if images.inverted & set(images.kept) else []
    steps = [*inversion, *(step.as_dict() for step in plan.steps)]
    return Workshop(recipe, section.workers, earlier), tasks, steps


def _leave_out(image_ids: Iterable[str], rejections: Sequence["Rejection"]) -> list[str]:
    """Return the images that were not rejected."""
    gone = {rejection.image_id for rejection in rejections}
    return [image_id for image_id in image_ids if image_id not in gone]


def _is_colour(layout: Layout, image_id: str) -> bool:
    """Tell by its header whether an ingested image is coloured."""
    from medvision.io.nifti.read import read_header

    return read_header(layout.image(image_id)).is_colour
