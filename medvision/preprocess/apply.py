"""One image through a MONAI transform: checked before and after, its affine kept."""

import numpy as np
import torch
from monai.data import MetaTensor

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, FloatVolume, Volume
from medvision.preprocess.checks import check_result, check_source
from medvision.preprocess.compose import Transform
from medvision.preprocess.rejection import UnusableImageError


def transform_image(
    image: FloatGrid | FloatVolume, affine: Affine, *, transform: Transform
) -> Volume:
    """Send one image through the pipeline.

    Args:
        image: Source array (I, J, K) or (C, I, J, K) float32, K = 1 for a 2D image; not changed.
        affine: (4, 4), index to RAS+ mm.
        transform: What `compose_plan` returned.

    Returns:
        Array (C, I', J', K') float32 with the affine of its own grid.

    Raises:
        UnusableImageError: The image is not finite, constant, of impossible geometry, or nothing is
            left of it.
    """
    check_source(image, affine)
    source = image if image.ndim == 4 else image[np.newaxis]
    tensor = MetaTensor(
        torch.from_numpy(np.array(source, dtype=np.float32, order="C")),
        affine=torch.from_numpy(np.array(affine, dtype=np.float64)),
    )
    result = _run(transform, tensor)
    array: FloatVolume = np.ascontiguousarray(result.detach().numpy(), dtype=np.float32)
    check_result(array)
    return Volume(array, result.affine.detach().numpy().astype(np.float64))


def _run(transform: Transform, image: MetaTensor) -> MetaTensor:
    """Call the pipeline; MONAI wraps what a step raises, so the cause is taken out again."""
    try:
        return transform(image)
    except RuntimeError as error:
        if isinstance(error.__cause__, UnusableImageError):
            raise error.__cause__ from error
        raise
