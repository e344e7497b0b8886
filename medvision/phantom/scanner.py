"""The made-up scanners of the phantom cohort: grid, orientation, noise and stored values."""

from dataclasses import dataclass

import numpy as np

from medvision.domain.geometry import LPS_TO_RAS, Affine

FIELD_OF_VIEW_MM = (192.0, 192.0, 120.0)
"""Extent (x, y, z) of every scan; the number of voxels sets their size."""


@dataclass(frozen=True)
class Scanner:
    """One scanner and the habits of the people around it.

    Args:
        manufacturer: Who made it, as headers say.
        model: Its name, as headers say.
        site: Hospital where it stands.
        zoom: Voxel size (i, j, k) relative to the cohort's typical voxel.
        flips: Signs of the row and column directions, relative to the patient's left and back.
        tilt_degrees: Rotation about the patient's x and z axes.
        position: DICOM Patient Position.
        descending: Whether instance numbers run against the slice normal.
        noise_hu: Standard deviation of the noise, HU.
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        signed: Whether stored values are int16 (else uint16).
        codec: Encoding of every third slice: none, rle, jpegls or jpeg2000.
    """

    manufacturer: str
    model: str
    site: str
    zoom: tuple[float, float, float]
    flips: tuple[int, int]
    tilt_degrees: tuple[float, float]
    position: str
    descending: bool
    noise_hu: float
    slope: float
    intercept: float
    signed: bool
    codec: str


SCANNERS = (
    Scanner(
        manufacturer="Phantasma",
        model="Aster 16",
        site="north",
        zoom=(1.0, 1.0, 1.0),
        flips=(1, 1),
        tilt_degrees=(0.0, 0.0),
        position="HFS",
        descending=False,
        noise_hu=25.0,
        slope=1.0,
        intercept=-1024.0,
        signed=False,
        codec="none",
    ),
    Scanner(
        manufacturer="Phantasma",
        model="Borage 64",
        site="north",
        zoom=(0.94, 0.94, 1.0),
        flips=(-1, -1),
        tilt_degrees=(0.0, 3.0),
        position="HFP",
        descending=True,
        noise_hu=32.0,
        slope=1.0,
        intercept=-1000.0,
        signed=False,
        codec="rle",
    ),
    Scanner(
        manufacturer="Mirage Medical",
        model="Clover",
        site="south",
        zoom=(1.0, 0.97, 0.92),
        flips=(-1, 1),
        tilt_degrees=(4.0, 0.0),
        position="FFS",
        descending=False,
        noise_hu=28.0,
        slope=0.5,
        intercept=-1024.0,
        signed=False,
        codec="jpegls",
    ),
    Scanner(
        manufacturer="Mirage Medical",
        model="Dill XR",
        site="south",
        zoom=(1.03, 1.03, 1.09),
        flips=(1, -1),
        tilt_degrees=(-3.0, 2.0),
        position="HFS",
        descending=True,
        noise_hu=36.0,
        slope=2.0,
        intercept=0.0,
        signed=True,
        codec="jpeg2000",
    ),
)


@dataclass(frozen=True)
class Grid:
    """The voxels of one scan: shape (I, J, K) and affine, K rising along the slice normal."""

    shape: tuple[int, int, int]
    affine: Affine


def build_grid(
    scanner: Scanner, size: tuple[int, int, int], *, centre_mm: tuple[float, float, float]
) -> Grid:
    """Place a scanner's voxels around a point of the patient.

    Args:
        scanner: Whose spacing, flips and tilt to use.
        size: Typical number of voxels (i, j, k) over the field of view.
        centre_mm: Middle of the scan, RAS+ mm.

    Returns:
        Grid with i along DICOM rows (the column index) and j along columns (the row index).

    Source:
        PS3.3 C.7.6.2.1.1 for the direction of rows, columns and normal.
    """
    spacing = [
        extent / n * zoom
        for extent, n, zoom in zip(FIELD_OF_VIEW_MM, size, scanner.zoom, strict=True)
    ]
    shape = tuple(max(4, round(n / zoom)) for n, zoom in zip(size, scanner.zoom, strict=True))
    rotation = _rotate(scanner.tilt_degrees)
    row = scanner.flips[0] * rotation[:, 0]
    column = scanner.flips[1] * rotation[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = np.stack([row, column, np.cross(row, column)], axis=1) * spacing
    affine = LPS_TO_RAS @ affine
    middle = (np.array(shape) - 1) / 2
    affine[:3, 3] = np.array(centre_mm) - affine[:3, :3] @ middle
    # Headers hold decimal strings of at most 16 characters; the truth holds no more than they.
    return Grid(shape=(shape[0], shape[1], shape[2]), affine=affine.round(9))


def _rotate(degrees: tuple[float, float]) -> Affine:
    """Return the (3, 3) rotation about x, then about z."""
    x, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    result: Affine = about_z @ about_x
    return result
