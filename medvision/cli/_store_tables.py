"""The tables of the array store, and what of it stands in the record."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from medvision.cli._run import Step
from medvision.domain.record import JsonValue
from medvision.io.tables import write_table
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.files import write_json

if TYPE_CHECKING:
    from medvision.preprocess.store import StoredRow, StoreResult

REJECT_COLUMNS = ("image_id", "reason", "detail")

_log = logging.getLogger(__name__)


def write_tables(
    step: Step,
    result: "StoreResult",
    *,
    spatial_dims: int,
    steps: Sequence[JsonValue],
    inverted: frozenset[str],
    displays: Mapping[str, str],
) -> None:
    """Write the index, the rejects and the meta file, and note the counts for the record.

    Args:
        step: The running step.
        result: What was stored.
        spatial_dims: 2 or 3.
        steps: Name and parameters of the steps of the pipeline.
        inverted: Images that were turned over before it.
        displays: Image to the window or table of its header by which it was scaled, in words.
    """
    from medvision.preprocess.earlier import ROW_COLUMNS
    from medvision.preprocess.rejection import REASONS

    total = step.study.preprocess.shards
    write_table(
        step.write(step.layout.array_index),
        [
            _describe_row(row, stored, n_shards=total)
            | {
                "inverted": stored.row.image_id in inverted,
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
        "spatial_dims": spatial_dims,
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
