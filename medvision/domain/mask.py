"""Masks: a user's region of interest brought onto the grid of its image, as 0 and 1."""

import numpy as np

from medvision.domain.geometry import Affine, compute_corner_offsets
from medvision.domain.volume import FloatGrid, GridShape, resample_grid
from medvision.errors import GeometryError

_TOLERANCE_MM = 0.1


def align_mask(
    mask: FloatGrid,
    affine: Affine,
    *,
    to_affine: Affine,
    to_shape: GridShape,
    geometry: str,
    where: str,
) -> tuple[FloatGrid, str]:
    """Bring a mask onto its image's own grid.

    A mask drawn on that grid is taken as it is. One drawn on another grid of the same space,
    as other converters make, is resampled to the nearest voxel.

    Args:
        mask: (I, J, K); voxels above one half are inside.
        affine: Affine of the mask.
        to_affine: Affine of the image.
        to_shape: Shape (I', J', K') of the image.
        geometry: full, or none where the image's place in space is unknown.
        where: Pseudonymous name of the image, for messages.

    Returns:
        (mask, how): 0 and 1 on the image's grid, and own-grid or resampled.

    Raises:
        GeometryError: The mask is empty, covers no voxel of the image, or fits an image
            without geometry in no way.
    """
    inside = (mask > 0.5).astype(np.float32)
    if not inside.any():
        raise GeometryError(f"{where}: mask must hold a voxel, got an empty one.")
    if _is_same_grid(mask, affine, to_affine=to_affine, to_shape=to_shape, geometry=geometry):
        return inside, "own-grid"
    if geometry == "none":
        raise GeometryError(
            f"{where}: mask must have the image's shape {to_shape}, got {mask.shape} "
            "(the image's place in space is unknown)."
        )
    result = resample_grid(
        inside, affine, to_affine=to_affine, to_shape=to_shape, nearest=True, fill=0.0
    )
    if not result.any():
        raise GeometryError(f"{where}: mask must overlap its image, got no voxel in common.")
    return result, "resampled"


def _is_same_grid(
    mask: FloatGrid,
    affine: Affine,
    *,
    to_affine: Affine,
    to_shape: GridShape,
    geometry: str,
) -> bool:
    """Tell whether all corners of two grids coincide to a tenth of a millimetre."""
    if mask.shape != to_shape:
        return False
    if geometry == "none":
        return True
    apart_mm = compute_corner_offsets(affine, to_affine, shape=to_shape)
    return bool(np.abs(apart_mm).max() < _TOLERANCE_MM)
