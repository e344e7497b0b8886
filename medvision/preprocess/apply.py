"""One image through the pipeline: checked before and after, its affine kept."""

import numpy as np
import torch
from monai.data import MetaTensor

from medvision.domain.geometry import Affine, check_affine
from medvision.domain.volume import FloatGrid, FloatVolume, Volume
from medvision.errors import GeometryError
from medvision.preprocess.rejection import UnusableImageError
from medvision.preprocess.steps import Transform


def transform_image(
    image: FloatGrid | FloatVolume, affine: Affine, *, transform: Transform
) -> Volume:
    """Send one image through the pipeline.

    Args:
        image: Source array (I, J, K) or (C, I, J, K) float32, K = 1 for a 2D image; not changed.
        affine: (4, 4), index to RAS+ mm.
        transform: What `build_pipeline` returned.

    Returns:
        Array (C, I', J', K') float32 with the affine of its own grid.

    Raises:
        UnusableImageError: The image is not finite, constant, of impossible geometry, or nothing is
            left of it.
    """
    _check_source(image, affine)
    source = image if image.ndim == 4 else image[np.newaxis]
    tensor = MetaTensor(
        torch.from_numpy(np.array(source, dtype=np.float32, order="C")),
        affine=torch.from_numpy(np.array(affine, dtype=np.float64)),
    )
    result = _run(transform, tensor)
    array: FloatVolume = np.ascontiguousarray(result.detach().numpy(), dtype=np.float32)
    _check_result(array)
    return Volume(array, result.affine.detach().numpy().astype(np.float64))


def _run(transform: Transform, image: MetaTensor) -> MetaTensor:
    """Call the pipeline; MONAI wraps what a step raises, so the cause is taken out again."""
    try:
        return transform(image)
    except RuntimeError as error:
        if isinstance(error.__cause__, UnusableImageError):
            raise error.__cause__ from error
        raise


def _check_source(grid: FloatGrid | FloatVolume, affine: Affine) -> None:
    """Refuse what no transform can make sense of."""
    try:
        check_affine(affine, where="image")
    except GeometryError as error:
        raise UnusableImageError("bad-geometry", error.message) from error
    if not np.isfinite(grid).all():
        count = int(grid.size - np.isfinite(grid).sum())
        raise UnusableImageError("not-finite", f"{count} of {grid.size} voxels")
    if grid.size == 0 or grid.min() == grid.max():
        value = "no voxel" if grid.size == 0 else f"{float(grid.flat[0]):.9g} in every voxel"
        raise UnusableImageError("constant", value)


def _check_result(array: FloatVolume) -> None:
    """Refuse an array that a network could learn nothing from."""
    if not np.isfinite(array).all():
        raise UnusableImageError("not-finite", "NaN or infinity after scaling")
    if array.min() == array.max():
        raise UnusableImageError("no-contrast", f"{float(array.flat[0]):.9g} in every voxel")
