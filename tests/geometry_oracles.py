"""Independent words on geometry: SimpleITK as another resampler, and closed forms."""

import numpy as np

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def list_world_points(affine, shape):
    """Return the mm position (I, J, K, 3) of each voxel's centre, one voxel at a time."""
    points = np.empty((*shape, 3))
    for index in np.ndindex(*shape):
        points[index] = affine[:3, :3] @ np.array(index) + affine[:3, 3]
    return points


def find_centroid_mm(grid, affine, *, above):
    """Return the mm position of the weighted centre of what exceeds a share of the maximum."""
    weights = np.where(grid > above * grid.max(), grid, 0.0).astype(np.float64)
    index = [
        (weights.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(length)).sum()
        for axis, length in enumerate(grid.shape)
    ]
    return affine[:3, :3] @ (np.array(index) / weights.sum()) + affine[:3, 3]


def resample_with_simpleitk(grid, affine, *, to_affine, to_shape, nearest, fill):
    """Sample a grid at the voxel centres of another, by SimpleITK alone."""
    import SimpleITK as sitk  # noqa: N813 - its own documentation's name

    image = sitk.GetImageFromArray(np.ascontiguousarray(grid.transpose(2, 1, 0)))
    spacing, direction, origin = split_affine(affine)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    image.SetOrigin(origin)
    resampler = sitk.ResampleImageFilter()
    spacing, direction, origin = split_affine(to_affine)
    resampler.SetOutputSpacing(spacing)
    resampler.SetOutputDirection(direction)
    resampler.SetOutputOrigin(origin)
    resampler.SetSize([int(length) for length in to_shape])
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    resampler.SetDefaultPixelValue(float(fill))
    return sitk.GetArrayFromImage(resampler.Execute(image)).transpose(2, 1, 0)


def split_affine(affine):
    """Return ITK's spacing, direction and origin (LPS) of an affine without shear."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = RAS_TO_LPS @ (affine[:3, :3] / spacing)
    origin = RAS_TO_LPS @ affine[:3, 3]
    return spacing.tolist(), direction.ravel().tolist(), origin.tolist()


def erode_inside(affine, shape, *, to_affine, to_shape, margin):
    """Return where a target grid lies within a source grid, `margin` voxels from its faces."""
    points = list_world_points(to_affine, to_shape)
    inverse = np.linalg.inv(affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    limit = np.array(shape) - 1
    rounding = 1e-6
    return ((index >= margin - rounding) & (index <= limit - margin + rounding)).all(axis=-1)
