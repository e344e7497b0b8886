"""`medvision preprocess`: the cohort's images through one MONAI pipeline into one array store."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from medvision.cli._run import Step, open_step, study_command
from medvision.config.model import Study
from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatVolume, format_shape, parse_shape
from medvision.io.tables import Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from medvision.preprocess.plan import Plan
    from medvision.preprocess.rejection import Rejection
    from medvision.preprocess.store import StoredImage, StoreResult

REJECT_COLUMNS = ("image_id", "reason", "detail")

_ROUNDING_MM = 1e-12

_INVERTED = "monochrome1"
_INVERSION: JsonValue = {
    "name": "Invert",
    "parameters": {"images_flagged": _INVERTED, "value": "maximum + minimum - value"},
}
"""The step before the pipeline; the index tells which images it concerns."""

_log = logging.getLogger(__name__)


@study_command(
    "preprocess",
    help="Compute the arrays that networks are trained on, one row per image of the cohort.",
    example="medvision preprocess --set preprocess.size='[96, 96, 96]'",
)
def command(study: Study, layout: Layout) -> None:
    """Preprocess the cohort's images, in the order of their ids."""
    with open_step("preprocess", study, upstream=("ingest", "cohort")) as step:
        rows = read_table(step.read(layout.cohort), required=("image_id", "label", "shape"))
        manifest = read_table(step.read(layout.manifest), required=("image_id", "flags"))
        rows.sort(key=lambda row: row["image_id"])
        _preprocess(study, step, rows=rows, manifest=manifest)


def _preprocess(study: Study, step: Step, *, rows: list[Row], manifest: list[Row]) -> None:
    """Introduce the images to the pipeline, and write the store with its tables."""
    from medvision.preprocess.channels import choose_channels
    from medvision.preprocess.dimensions import choose_dimensions
    from medvision.preprocess.execute import build_executor
    from medvision.preprocess.store import check_classes_left, write_arrays
    from medvision.runtime.device import limit_threads
    from medvision.runtime.progress import track

    # One thread: sums depend on how they are split, and the record holds no thread count.
    limit_threads(1)
    inverted = frozenset(
        row["image_id"] for row in manifest if _INVERTED in row["flags"].split(",")
    )
    shapes = {row["image_id"]: parse_shape(row["shape"]) for row in rows}
    spatial_dims, others = choose_dimensions(shapes, dimensions=study.data.dimensions)
    kept = _leave_out(shapes, others)
    colours = {image_id: _is_colour(step, image_id) for image_id in kept}
    _, other_channels = choose_channels(colours)
    kept = _leave_out(kept, other_channels)
    held = [row for row in manifest if row["image_id"] in set(kept)]
    plan = _plan(study, spatial_dims=spatial_dims, manifest=held)
    transform = build_executor(plan)
    step.facts["executor"] = transform.kind
    result = write_arrays(
        track(kept, "preprocessing images", total=len(kept)),
        lambda image_id: _load_image(step, image_id, is_inverted=image_id in inverted),
        transform=transform,
        spatial_dims=spatial_dims,
        path=step.write(step.layout.arrays),
    )
    result = replace(result, rejections=(*others, *other_channels, *result.rejections))
    check_classes_left({row["image_id"]: row["label"] for row in rows}, result)
    _write_tables(
        step,
        result,
        spatial_dims=spatial_dims,
        steps=[*([_INVERSION] if inverted & set(kept) else []), *(s.as_dict() for s in plan.steps)],
        inverted=inverted,
    )


def _plan(study: Study, *, spatial_dims: int, manifest: list[Row]) -> "Plan":
    """Plan what all images go through, auto resolved by their modality."""
    from medvision.preprocess.modality import resolve_intensity
    from medvision.preprocess.plan import build_plan

    modalities = {row.get("modality", "unknown") for row in manifest}
    resolved = resolve_intensity(study.preprocess.intensity, modalities=modalities)
    return build_plan(spatial_dims=spatial_dims, **(dict(study.preprocess) | resolved))


def _leave_out(image_ids: Iterable[str], rejections: Sequence["Rejection"]) -> list[str]:
    """Return the images that were not rejected."""
    gone = {rejection.image_id for rejection in rejections}
    return [image_id for image_id in image_ids if image_id not in gone]


def _is_colour(step: Step, image_id: str) -> bool:
    """Tell by its header whether an ingested image is coloured."""
    from medvision.io.nifti.read import read_header

    return read_header(step.read(step.layout.image(image_id))).is_colour


def _load_image(step: Step, image_id: str, *, is_inverted: bool) -> tuple[FloatVolume, Affine]:
    """Read one ingested image."""
    from medvision.io.nifti.read import read_nifti
    from medvision.preprocess.channels import put_channels_first

    image = read_nifti(step.read(step.layout.image(image_id)))
    volume = put_channels_first(image.array, is_colour=image.is_colour, is_inverted=is_inverted)
    return volume, image.affine


def _write_tables(
    step: Step,
    result: "StoreResult",
    *,
    spatial_dims: int,
    steps: list[JsonValue],
    inverted: frozenset[str],
) -> None:
    """Write the index, the rejects and the meta file, and note the counts for the record."""
    write_table(
        step.write(step.layout.array_index),
        [
            _describe_row(row, image) | {"inverted": image.image_id in inverted}
            for row, image in enumerate(result.images)
        ],
        columns=(*ARRAY_INDEX_COLUMNS, "inverted"),
    )
    rejections = sorted(result.rejections, key=lambda rejection: rejection.image_id)
    write_table(
        step.write(step.layout.preprocess_rejects),
        [asdict(rejection) for rejection in rejections],
        columns=REJECT_COLUMNS,
    )
    meta: dict[str, JsonValue] = {
        "spatial_dims": spatial_dims,
        "channels": result.shape[1],
        "shape": list(result.shape),
        "steps": steps,
    }
    write_json(step.write(step.layout.array_meta), meta)
    step.facts |= {"n_images": len(result.images), "n_rejected": len(rejections), **meta}
    for reason, count in sorted(Counter(r.reason for r in rejections).items()):
        _log.warning("%d images left out: %s (see preprocess/rejects.tsv)", count, reason)


def _describe_row(row: int, image: "StoredImage") -> dict[str, str | int | bool]:
    """Return one line of the index."""
    return {
        "row": row,
        "image_id": image.image_id,
        "source_shape": format_shape(image.source_shape),
        "source_affine": _format_affine(image.source_affine),
        "tensor_affine": _format_affine(_clear_rounding(image.tensor_affine)),
    }


def _clear_rounding(affine: Affine) -> Affine:
    """Return a computed affine without what rounding left of its zeros: machines differ in it."""
    return np.where(np.abs(affine) < _ROUNDING_MM, 0.0, affine)


def _format_affine(affine: Affine) -> str:
    """Return a matrix as JSON with nine digits, which hold any float32 exactly."""
    # Adding zero turns -0.0, which the same matrix may or may not have, into 0.0.
    return json.dumps([[float(f"{value:.9g}") + 0.0 for value in row] for row in affine.tolist()])
