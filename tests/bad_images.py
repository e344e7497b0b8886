"""Awkward NIfTI files beside good ones, each written with plain nibabel."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

SHAPE = (14, 12, 10)
AFFINE = np.diag([3.0, 3.0, 5.0, 1.0])

Build = Callable[[int], SpatialImage]
"""A seed to an image."""

_SROW_AT = (280, 296, 312)
"""Where the rows of the sform lie in a NIfTI-1 header, nifti1.h."""


def make_values(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    """Return air at -1000 about a body of noisy soft tissue."""
    values = np.full(shape, -1000.0, dtype=np.float32)
    inner = tuple(slice(n // 5, n - n // 5) for n in shape)
    noise = np.random.default_rng(seed).normal(40, 60, values[inner].shape)
    values[inner] = noise.astype(np.float32)
    return values


def _place(values: NDArray[np.generic], affine: NDArray[np.float64] = AFFINE) -> SpatialImage:
    """Return an image with sform and qform that agree."""
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    return image


def build_good(seed: int) -> SpatialImage:
    """A volume in order."""
    return _place(make_values(seed))


def build_unplaced(seed: int) -> SpatialImage:
    """Neither qform nor sform."""
    image = nibabel.Nifti1Image(make_values(seed), None)
    image.header.set_zooms((3.0, 3.0, 5.0))
    image.header["qform_code"] = image.header["sform_code"] = 0
    return image


def build_conflicting(seed: int) -> SpatialImage:
    """A qform that places the image elsewhere than its sform."""
    image = _place(make_values(seed))
    moved = AFFINE.copy()
    moved[:3, 3] = (40.0, -25.0, 10.0)
    image.set_qform(moved, code=1)
    return image


def build_4d(seed: int) -> SpatialImage:
    """Three volumes in one file."""
    return _place(np.stack([make_values(seed + n) for n in range(3)], axis=-1))


def build_colour(seed: int) -> SpatialImage:
    """Red, green and blue."""
    dtype = np.dtype([(name, "u1") for name in "RGB"])
    samples = np.random.default_rng(seed).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    return _place(samples.view(dtype)[..., 0])


def build_nan(seed: int) -> SpatialImage:
    """Three voxels without a number."""
    values = make_values(seed)
    values[5, 5, 3:6] = np.nan
    return _place(values)


def build_infinite(seed: int) -> SpatialImage:
    """One voxel beyond all numbers."""
    values = make_values(seed)
    values[5, 5, 5] = np.inf
    return _place(values)


def build_spacing_none(seed: int) -> SpatialImage:
    """No place, and spacings of zero."""
    image = build_unplaced(seed)
    image.header["pixdim"][1:4] = 0.0
    return image


def build_int8(seed: int) -> SpatialImage:
    """Bytes with a slope and an intercept that bring them to HU."""
    stored = np.clip(np.rint((make_values(seed) + 400) / 6.0), -128, 127).astype(np.int8)
    image = nibabel.Nifti1Image(stored, AFFINE)
    image.header.set_data_dtype(np.int8)
    image.header.set_slope_inter(6.0, -400.0)
    return image


def build_anisotropic(seed: int) -> SpatialImage:
    """0.5 mm in plane and 10 mm between planes."""
    return _place(make_values(seed, (60, 60, 6)), np.diag([0.5, 0.5, 10.0, 1.0]))


def build_thin_k(seed: int) -> SpatialImage:
    """One plane."""
    return _place(make_values(seed, (14, 12, 1)))


def build_thin_i(seed: int) -> SpatialImage:
    """One voxel thick along i: a sagittal plane in a volume's file."""
    return _place(make_values(seed, (1, 12, 10)))


def build_dark(seed: int) -> SpatialImage:
    """Nothing above the threshold of the foreground."""
    values = np.random.default_rng(seed).normal(-1000, 5, SHAPE)
    return _place(values.astype(np.float32))


def write_file(path: Path, build: Build, *, seed: int) -> None:
    """Write an image as .nii.gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(build(seed).to_bytes()))


def flatten_sform(path: Path) -> None:
    """Give the voxels of a file no extent along i, which nibabel itself would not write."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    for at in _SROW_AT:
        struct.pack_into("<f", content, at, 0.0)
    path.write_bytes(gzip.compress(bytes(content)))
