"""The shards and tables of an array store, and what of it stands in the record."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from medvision.cli._images import Images
from medvision.cli._run import Step
from medvision.domain.record import JsonValue
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from medvision.preprocess.keys import Task
    from medvision.preprocess.plan import Plan
    from medvision.preprocess.store import StoredRow, StoreResult, Workshop

REJECT_COLUMNS = ("image_id", "reason", "detail")

_log = logging.getLogger(__name__)


def write_shards(
    step: Step, own: Layout, *, tasks: "Sequence[Task]", workshop: "Workshop"
) -> "StoreResult":
    """Write the arrays in as many shards as the study asks for, registered as written.

    Args:
        step: The running step.
        own: Where the store lies.
        tasks: The images, in the order of their rows.
        workshop: How a row is computed.

    Raises:
        DataError: None of the images can be used.
    """
    from medvision.preprocess.store import write_store

    total = step.study.preprocess.shards
    shards = own.array_shards(total)
    return write_store(
        tasks, workshop, find_shard=lambda number: step.write(shards[number - 1]), n_shards=total
    )


def write_tables(
    step: Step,
    result: "StoreResult",
    *,
    images: Images,
    plan: "Plan",
    steps: Sequence[JsonValue],
) -> None:
    """Write the index, the rejects and the meta file, and note the counts for the record.

    Args:
        step: The running step; sidecars by whose windows images were scaled are registered as read.
        result: What was stored.
        images: Those that were to be stored.
        plan: What they went through.
        steps: Name and parameters of its steps, as the record has them.
    """
    from medvision.preprocess.earlier import ROW_COLUMNS
    from medvision.preprocess.rejection import REASONS

    total, displays = step.study.preprocess.shards, _list_displays(images, plan)
    for image_id in displays:
        step.read(images.layout.sidecar(image_id))
    write_table(
        step.write(step.layout.array_index),
        [
            _describe_row(row, stored, n_shards=total)
            | {
                "inverted": stored.row.image_id in images.inverted,
                "voi": displays.get(stored.row.image_id, ""),
            }
            for row, stored in enumerate(result.rows)
        ],
        columns=tuple(dict.fromkeys((*ARRAY_INDEX_COLUMNS, *ROW_COLUMNS, "inverted", "voi"))),
    )
    rejections = sorted(result.rejections, key=lambda rejection: rejection.image_id)
    write_table(
        step.write(step.layout.preprocess_rejects),
        [asdict(rejection) for rejection in rejections],
        columns=REJECT_COLUMNS,
    )
    meta: dict[str, JsonValue] = {
        "spatial_dims": images.spatial_dims,
        "channels": result.shape[1],
        "shape": list(result.shape),
        "dtype": result.dtype,
        "largest_rounding": result.largest_rounding,
        "shards": total,
        "steps": list(steps),
    }
    write_json(step.write(step.layout.array_meta), meta)
    step.facts |= {"n_images": len(result.rows), "n_rejected": len(rejections), **meta}
    for reason, count in sorted(Counter(r.reason for r in rejections).items()):
        meaning = REASONS[reason]
        _log.warning("%d left out: %s, %s (see preprocess/rejects.tsv)", count, reason, meaning)


def _list_displays(images: Images, plan: "Plan") -> dict[str, str]:
    """Return the windows and tables by which images are scaled, in words; none without headers."""
    from medvision.preprocess.voi import has_voi_step

    if not has_voi_step(plan):
        return {}
    found = {image_id: images.find_display(image_id) for image_id in sorted(images.shown)}
    return {image_id: str(held.voi) for image_id, held in found.items() if held}


def _describe_row(
    number: int, stored: "StoredRow", *, n_shards: int
) -> dict[str, str | int | float | bool]:
    """Return one line of the index."""
    row = stored.row
    return {
        "row": number,
        "shard": f"{stored.shard}-of-{n_shards}",
        "image_id": row.image_id,
        "source_shape": row.source_shape,
        "source_affine": row.source_affine,
        "tensor_affine": row.tensor_affine,
        "scale": f"{row.scale:.9g}",
        "offset": f"{row.offset:.9g}",
        "shape": "x".join(map(str, row.shape)),
        "dtype": row.dtype,
        "error_float16": f"{row.error_float16:.9g}",
        "error_int16": f"{row.error_int16:.9g}",
        "digest": row.digest,
        "key": row.key,
    }
