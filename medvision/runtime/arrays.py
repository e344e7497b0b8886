"""Reading the array store: memory-mapped shards of images and the table of their geometry."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from medvision.domain.geometry import Affine
from medvision.domain.volume import GridShape, parse_shape
from medvision.errors import DataError, StaleOutputError
from medvision.runtime.files import read_json
from medvision.runtime.shards import StoredArrays, map_array

ARRAY_INDEX_COLUMNS = (
    *("row", "shard", "image_id", "source_shape", "source_affine", "tensor_affine"),
    *("scale", "offset"),
)
"""Columns that reading needs, one line per row over all shards; affines are JSON lists of lists."""


@dataclass(frozen=True)
class ArrayStore:
    """Preprocessed images with the geometry that leads back to their sources.

    Args:
        array: All images, (N, C, I, J[, K]); nothing is read from disk until a row is asked for.
        image_ids: Image of each row.
        spatial_dims: 2 or 3.
        source_shapes: Image to its source grid (i, j, k).
        source_affines: Image to its source affine (4, 4), index to RAS+ mm.
        tensor_affines: Image to the affine (4, 4) of its row; 2D rows count as K = 1.
    """

    array: StoredArrays
    image_ids: tuple[str, ...]
    spatial_dims: int
    source_shapes: Mapping[str, GridShape]
    source_affines: Mapping[str, Affine]
    tensor_affines: Mapping[str, Affine]

    def row(self, image_id: str) -> int:
        """Return the row of an image.

        Raises:
            DataError: The store does not hold the image.
        """
        self._check_held(image_id)
        return self.image_ids.index(image_id)

    def rows(self) -> dict[str, int]:
        """Return every image's row at once."""
        return {image_id: row for row, image_id in enumerate(self.image_ids)}

    def source_geometry(self, image_id: str) -> tuple[Affine, GridShape]:
        """Return (affine, shape) of the source image.

        Raises:
            DataError: The store does not hold the image.
        """
        self._check_held(image_id)
        return self.source_affines[image_id], self.source_shapes[image_id]

    def tensor_affine(self, image_id: str) -> Affine:
        """Return the (4, 4) affine of an image's row.

        Raises:
            DataError: The store does not hold the image.
        """
        self._check_held(image_id)
        return self.tensor_affines[image_id]

    def _check_held(self, image_id: str) -> None:
        """Refuse an image that was rejected, or that is of another cohort."""
        if image_id not in self.tensor_affines:
            raise DataError(
                f"array store: image must be one of the {len(self.image_ids)} stored, "
                f"got {image_id}.",
                "preprocess/rejects.tsv says why an image was left out.",
            )


def read_array_store(shards: Sequence[Path], index: Path, meta: Path) -> ArrayStore:
    """Open the store that `medvision preprocess` wrote; needs neither torch nor MONAI.

    Args:
        shards: The `.npy` files in order, (n, C, I, J[, K]) float32, float16 or int16.
        index: The table of rows and geometry.
        meta: The JSON with the number of spatial dimensions.

    Returns:
        The store, its arrays mapped read-only.

    Raises:
        DataError: A file is missing or is not what its name says.
        StaleOutputError: The files are not of the same run.
    """
    rows = _read_index(index)
    parts = [_open_shard(path) for path in shards]
    _check_shards(shards, parts, rows)
    spatial_dims = _read_spatial_dims(meta)
    if any(part.ndim != spatial_dims + 2 for part in parts):
        raise StaleOutputError(
            f"{shards[0].name}: array must be ({len(rows)}, C, ...) with {spatial_dims} spatial "
            f"dimensions as its index says, got {parts[0].shape}."
        )
    return ArrayStore(
        array=StoredArrays(
            parts, scales=_read_numbers(rows, "scale"), offsets=_read_numbers(rows, "offset")
        ),
        image_ids=tuple(row["image_id"] for row in rows),
        spatial_dims=spatial_dims,
        source_shapes={row["image_id"]: parse_shape(row["source_shape"]) for row in rows},
        source_affines={row["image_id"]: _parse_affine(row["source_affine"]) for row in rows},
        tensor_affines={row["image_id"]: _parse_affine(row["tensor_affine"]) for row in rows},
    )


def _read_index(path: Path) -> list[dict[str, str]]:
    """Return the index's lines in the order of their rows."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except OSError as error:
        raise DataError(f"{path.name}: array index must be readable, got {error}.") from error
    if any(row["row"] != str(position) for position, row in enumerate(rows)):
        raise StaleOutputError(f"{path.name}: rows must be numbered from 0 in order.")
    return rows


def _open_shard(path: Path) -> NDArray[np.generic]:
    """Map one shard without reading it."""
    try:
        return map_array(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: file must be a readable array, got {error}.") from error


def _check_shards(
    shards: Sequence[Path], parts: Sequence[NDArray[np.generic]], rows: Sequence[Mapping[str, str]]
) -> None:
    """Refuse shards of another run than the index."""
    named = [row["shard"] for row in rows]
    expected = [f"{n}-of-{len(shards)}" for n, part in enumerate(parts, start=1) for _ in part]
    if named != expected:
        raise StaleOutputError(
            f"{shards[0].name}: shards must hold the {len(named)} rows that their index says, "
            f"got {len(expected)} rows in {len(shards)} shards."
        )


def _read_numbers(rows: Sequence[Mapping[str, str]], column: str) -> NDArray[np.float32]:
    """Return a column of numbers."""
    try:
        return np.array([float(row[column]) for row in rows], dtype=np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"array index: {column} must be a number, got {error}.") from error


def _read_spatial_dims(path: Path) -> int:
    """Return 2 or 3 from the store's meta file."""
    meta = read_json(path)
    found = meta.get("spatial_dims") if isinstance(meta, dict) else None
    if found not in (2, 3):
        raise DataError(f"{path.name}: spatial_dims must be 2 or 3, got {found}.")
    return int(cast(int, found))


def _parse_affine(text: str) -> Affine:
    """Return the (4, 4) matrix of its JSON."""
    return np.array(json.loads(text), dtype=np.float64)
