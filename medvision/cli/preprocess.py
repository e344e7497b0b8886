"""`medvision preprocess`: the cohort's images through one MONAI pipeline into one array store."""

import json
import logging
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from medvision.cli._run import Step, open_step, study_command
from medvision.config.model import Study
from medvision.domain.geometry import Affine
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid, format_shape, parse_shape
from medvision.io.tables import Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from medvision.preprocess.store import StoredImage, StoreResult

REJECT_COLUMNS = ("image_id", "reason", "detail")

_ROUNDING_MM = 1e-12

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
        _preprocess(study, step, rows=sorted(rows, key=lambda row: row["image_id"]))


def _preprocess(study: Study, step: Step, *, rows: list[Row]) -> None:
    """Introduce the images to the pipeline, and write the store with its tables."""
    from medvision.preprocess.dimensions import choose_dimensions
    from medvision.preprocess.pipeline import build_pipeline
    from medvision.preprocess.store import check_classes_left, write_arrays
    from medvision.runtime.device import limit_threads
    from medvision.runtime.progress import track

    # One thread: sums depend on how they are split, and the record holds no thread count.
    limit_threads(1)
    shapes = {row["image_id"]: parse_shape(row["shape"]) for row in rows}
    spatial_dims, others = choose_dimensions(shapes, dimensions=study.data.dimensions)
    left_out = {rejection.image_id for rejection in others}
    kept = [image_id for image_id in shapes if image_id not in left_out]
    transform, steps = build_pipeline(spatial_dims=spatial_dims, **dict(study.preprocess))
    result = write_arrays(
        track(kept, "preprocessing images", total=len(kept)),
        lambda image_id: _load_image(step, image_id),
        transform=transform,
        spatial_dims=spatial_dims,
        path=step.write(step.layout.arrays),
    )
    result = replace(result, rejections=(*others, *result.rejections))
    check_classes_left({row["image_id"]: row["label"] for row in rows}, result)
    _write_tables(step, result, spatial_dims=spatial_dims, steps=[s.as_dict() for s in steps])


def _load_image(step: Step, image_id: str) -> tuple[FloatGrid, Affine]:
    """Read one ingested image."""
    from medvision.io.nifti.read import read_nifti

    image = read_nifti(step.read(step.layout.image(image_id)))
    return image.array.astype("float32"), image.affine


def _write_tables(
    step: Step, result: "StoreResult", *, spatial_dims: int, steps: list[JsonValue]
) -> None:
    """Write the index, the rejects and the meta file, and note the counts for the record."""
    write_table(
        step.write(step.layout.array_index),
        [_describe_row(row, image) for row, image in enumerate(result.images)],
        columns=ARRAY_INDEX_COLUMNS,
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


def _describe_row(row: int, image: "StoredImage") -> dict[str, str | int]:
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
