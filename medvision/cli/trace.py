"""`medvision trace`: the stored object, frame, row and column behind a voxel of an image."""

from collections.abc import Mapping
from typing import cast

import click

from medvision.cli._run import study_command
from medvision.config.model import Study
from medvision.domain.record import JsonValue
from medvision.domain.tracing import Origin, parse_planes, trace_voxel
from medvision.errors import DataError
from medvision.layout import Layout

COLUMNS = ("sop_instance_uid", "file", "frame", "row", "column", "share")


@study_command(
    "trace",
    help="Print which stored DICOM object, frame, row and column a voxel's value comes from. The "
    "voxel is counted from 0, in the order of the image's NIfTI file; frame, row and column from "
    "1, as DICOM does. Several lines where slices were mixed. UIDs and files are pseudonyms: "
    "`medvision locate` finds the file.",
    example="medvision trace sub-0123456789_img-0123456789ab 31 40 12",
)
@click.argument("image_id")
@click.argument("voxel", nargs=-1, required=True, type=click.IntRange(min=0))
def command(study: Study, layout: Layout, *, image_id: str, voxel: tuple[int, ...]) -> None:  # noqa: ARG001 - the signature of every command
    """Ask the image's sidecar."""
    from medvision.runtime.files import read_json
    from medvision.runtime.packs import has_file

    path = layout.sidecar(image_id)
    if not has_file(path):
        raise DataError(
            f"trace: image must be one that was ingested, got {image_id}.",
            "images stand in the column image_id of ingest/manifest.tsv.",
        )
    planes = parse_planes(cast(Mapping[str, JsonValue], read_json(path)))
    if planes is None:
        raise DataError(
            f"trace: image must be made of DICOM objects, got {image_id} of a NIfTI file.",
            "its voxels are those of the file, which ingest/sources.tsv names.",
        )
    origins = trace_voxel(planes, voxel)
    if not origins:
        raise DataError(
            f"trace: voxel must have been measured, got {', '.join(map(str, voxel))}, which was "
            "filled when slices were laid on an even grid.",
            "take a voxel within the slices.",
        )
    for line in (COLUMNS, *map(_list_cells, origins)):
        click.echo("\t".join(line))


def _list_cells(origin: Origin) -> tuple[str, ...]:
    """Return a place as cells."""
    numbers = (origin.row, origin.column, origin.share)
    return (
        origin.sop_uid,
        origin.file,
        str(origin.frame),
        *(f"{number:.6g}" for number in numbers),
    )
