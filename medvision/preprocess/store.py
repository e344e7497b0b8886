"""Writing the array store: images one after the other into one file, in the order given."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, FloatVolume, GridShape
from medvision.errors import DataError, GeometryError
from medvision.preprocess.execute import Executor
from medvision.preprocess.rejection import Rejection, UnusableImageError
from medvision.runtime.files import writing

Load = Callable[[str], tuple[FloatGrid | FloatVolume, Affine]]
"""Image id to (array (I, J, K) or (C, I, J, K) float32, affine), the channels of all images alike.

It raises GeometryError for an impossible affine.
"""


@dataclass(frozen=True)
class StoredImage:
    """One row of the store: where the image came from and where its array lies in space."""

    image_id: str
    source_shape: GridShape
    source_affine: Affine
    tensor_affine: Affine


@dataclass(frozen=True)
class StoreResult:
    """What was written: shape (N, C, I, J[, K]), its rows in order, and what was left out."""

    shape: tuple[int, ...]
    images: tuple[StoredImage, ...]
    rejections: tuple[Rejection, ...]


def write_arrays(
    image_ids: Iterable[str],
    load: Load,
    *,
    transform: Executor,
    spatial_dims: int,
    path: Path,
) -> StoreResult:
    """Preprocess images into one `.npy` file that is then memory-mapped.

    Rows are appended with plain writes, not through a memory map: on a full disk a write raises
    an error that can be told to the user, a mapped page kills the process.

    Args:
        image_ids: Images in the order of their rows.
        load: Reads one source image.
        transform: What `build_executor` returned.
        spatial_dims: 2 stores (N, C, I, J), 3 stores (N, C, I, J, K).
        path: The file; appears only when complete.

    Returns:
        Rows and rejections. Equal images and settings give equal bytes.

    Raises:
        DataError: No image is left.
        StorageError: The folder cannot be written, or its disk is full.
    """
    images: list[StoredImage] = []
    rejections: list[Rejection] = []
    shape: tuple[int, ...] = ()
    with writing(path) as temporary, temporary.open("wb") as stream:
        for image_id in image_ids:
            try:
                array, stored = _prepare(image_id, load, transform=transform)
            except UnusableImageError as error:
                rejections.append(Rejection(image_id, error.reason, error.detail))
                continue
            row = array if spatial_dims == 3 else array[..., 0]
            if not images:
                _write_header(stream, (0, *row.shape))
            stream.write(row.tobytes())
            images.append(stored)
            shape = (len(images), *row.shape)
        _check_any_left(rejections, n_stored=len(images))
        stream.seek(0)
        _write_header(stream, shape)
    return StoreResult(shape, tuple(images), tuple(rejections))


def check_classes_left(labels: Mapping[str, str], result: StoreResult) -> None:
    """Refuse a store that has lost a whole class.

    Args:
        labels: Image to its label, of all images that were to be stored.
        result: What `write_arrays` returned.

    Raises:
        DataError: All images of a label were rejected.
    """
    left = {labels[image.image_id] for image in result.images}
    for lost in sorted(set(labels.values()) - left):
        ids = [image_id for image_id, label in labels.items() if label == lost]
        held = [rejection for rejection in result.rejections if rejection.image_id in ids]
        raise DataError(
            f"preprocess: every class must keep an image, got none of {len(ids)} left in class "
            f"{lost} ({_count_reasons(held)}).",
            _HINT,
        )


_HINT = (
    "look at the images named; window, size, foreground_above or data.dimensions may not fit them."
)


def _prepare(image_id: str, load: Load, *, transform: Executor) -> tuple[FloatVolume, StoredImage]:
    """Load one image and send it through the pipeline."""
    try:
        image, affine = load(image_id)
    except GeometryError as error:
        raise UnusableImageError("bad-geometry", error.message) from error
    volume = transform(image, affine)
    i, j, k = image.shape[-3:]
    return volume.array, StoredImage(image_id, (i, j, k), affine, volume.affine)


def _write_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write the header; numpy leaves room in it for the first axis to grow."""
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )


def _check_any_left(rejections: list[Rejection], *, n_stored: int) -> None:
    """Refuse to write an empty store."""
    if n_stored:
        return
    raise DataError(
        f"preprocess: at least one image must be usable, got none of {len(rejections)} "
        f"({_count_reasons(rejections)}).",
        _HINT,
    )


def _count_reasons(rejections: list[Rejection]) -> str:
    """Return counts per reason and one image as an example of each."""
    reasons = sorted({rejection.reason for rejection in rejections})
    parts = []
    for reason in reasons:
        ids = [item.image_id for item in rejections if item.reason == reason]
        parts.append(f"{len(ids)} {reason}, such as {ids[0]}")
    return "; ".join(parts)
