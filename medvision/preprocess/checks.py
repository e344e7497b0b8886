"""What no pipeline can make sense of, asked of an image before it and after it."""

from typing import NoReturn

import numpy as np

from medvision.domain.geometry import Affine, check_affine
from medvision.domain.volume import FloatGrid, FloatVolume
from medvision.errors import GeometryError
from medvision.preprocess.rejection import UnusableImageError


def check_place(affine: Affine) -> None:
    """Refuse an affine that is none.

    Raises:
        UnusableImageError: bad-geometry.
    """
    try:
        check_affine(affine, where="image")
    except GeometryError as error:
        detail = error.message.removeprefix("image: ").rstrip(".")
        raise UnusableImageError("bad-geometry", detail) from error


def check_source(grid: FloatGrid | FloatVolume, affine: Affine) -> None:
    """Refuse what no transform can make sense of.

    Args:
        grid: (I, J, K) or (C, I, J, K) float32.
        affine: (4, 4), index to RAS+ mm.

    Raises:
        UnusableImageError: bad-geometry, not-finite or constant.
    """
    check_place(affine)
    if not np.isfinite(grid).all():
        raise_not_finite(int(grid.size - np.isfinite(grid).sum()), grid.size)
    if grid.size == 0 or grid.min() == grid.max():
        raise_constant(None if grid.size == 0 else float(grid.flat[0]))


def raise_not_finite(n_bad: int, n_voxels: int) -> NoReturn:
    """Refuse an image with NaN or infinity.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("not-finite", f"NaN or infinity in {n_bad} of {n_voxels} voxels")


def raise_constant(value: float | None) -> NoReturn:
    """Refuse an image of one value, or of no voxel where the value is None.

    Raises:
        UnusableImageError: Always.
    """
    found = "no voxel" if value is None else f"{value:.9g} in every voxel"
    raise UnusableImageError("constant", found)


def raise_empty_crop(highest: float, *, above: float) -> NoReturn:
    """Refuse an image without foreground.

    Args:
        highest: The largest value, in the units of the threshold.
        above: The threshold that it does not pass.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("empty-crop", f"largest value {highest:.9g}, threshold {above:.6g}")


def raise_no_contrast(value: float) -> NoReturn:
    """Refuse an image of which scaling and cropping leave one value.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("no-contrast", f"{value:.9g} in every voxel that is left")


def raise_no_range(value: float) -> NoReturn:
    """Refuse an image whose percentiles are one value.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("no-contrast", f"{value:.9g} at both preprocess.percentiles")


def raise_flat_foreground(value: float) -> NoReturn:
    """Refuse an image whose foreground is of one value.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("no-contrast", f"{value:.9g} in every voxel of the foreground")


def check_contrast(array: FloatVolume) -> None:
    """Refuse an image of one value before it is padded: padding would lend it contrast.

    Raises:
        UnusableImageError: no-contrast.
    """
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise_no_contrast(low)


def check_result(array: FloatVolume) -> None:
    """Refuse an array that a network could learn nothing from.

    Raises:
        UnusableImageError: not-finite or no-contrast.
    """
    if not np.isfinite(array).all():
        raise UnusableImageError("not-finite", "NaN or infinity after scaling")
    check_contrast(array)
