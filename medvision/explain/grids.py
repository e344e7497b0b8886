"""Where a map lies: from a layer's cells to the array, from the array to the source image."""

import numpy as np
from torch import Tensor

from medvision.domain.geometry import Affine
from medvision.domain.volume import FloatGrid, GridShape, resample_grid


def to_grid(values: Tensor) -> FloatGrid:
    """Return a tensor (I, J) or (I, J, K) as array (I, J, K) float32; 2D has K = 1."""
    array: FloatGrid = values.detach().cpu().float().numpy()
    return array[:, :, None] if array.ndim == 2 else array


def compute_cell_affine(native: GridShape, shape: GridShape) -> Affine:
    """Return the (4, 4) map from a cell's index to the array's voxel index.

    Cells tile the array edge to edge: cell n covers s voxels and its centre lies at voxel
    (n + 0.5) s - 0.5, with s voxels per cell.

    Source:
        Half-pixel centres, as torch's interpolate with align_corners false.
    """
    scale = np.array(shape) / np.array(native)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(scale)
    affine[:3, 3] = 0.5 * scale - 0.5
    return affine


def upsample(native: FloatGrid, *, shape: GridShape) -> FloatGrid:
    """Interpolate a layer's map (I', J', K') between its cell centres onto the array's grid."""
    i, j, k = native.shape
    return resample_grid(
        native,
        compute_cell_affine((i, j, k), shape),
        to_affine=np.eye(4),
        to_shape=shape,
        nearest=False,
        fill=0.0,
    )


def map_to_source(
    grid: FloatGrid, tensor_affine: Affine, *, source_affine: Affine, source_shape: GridShape
) -> FloatGrid:
    """Return a map on the source image's own voxels, so that it can be laid over the source.

    Args:
        grid: Map (I, J, K) on the array's grid.
        tensor_affine: (4, 4) affine of that grid, RAS+ mm.
        source_affine: (4, 4) affine of the source image.
        source_shape: Its voxels (i, j, k).

    Returns:
        Map of `source_shape` float32, trilinear, 0 where the array does not reach.
    """
    return resample_grid(
        grid,
        tensor_affine,
        to_affine=source_affine,
        to_shape=source_shape,
        nearest=False,
        fill=0.0,
    )
