"""A preview shows both sides at the same scale, true to millimetres, through one point."""

import io

import numpy as np
import pytest
from PIL import Image

from medvision.domain.volume import Volume
from medvision.report.preview import Shown, choose_limits, draw_preview

CENTRE_MM = np.array([5.0, -12.0, 40.0])


def make_ball(affine, shape, *, radius_mm=20.0):
    """Return a white ball in a dark grey box."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    inside = np.linalg.norm(points - CENTRE_MM, axis=-1) < radius_mm
    return Volume(np.where(inside, 1.0, 0.2).astype(np.float32)[np.newaxis], affine)


def place(spacing_mm, shape, signs=(1, 1, 1)):
    affine = np.diag([*(np.array(spacing_mm) * signs), 1.0])
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ (np.array(shape) // 2)
    return affine


def draw(*sides, has_geometry=True):
    shown = [Shown(name, side, (0.0, 1.0)) for name, side in zip("SR", sides, strict=True)]
    png = draw_preview("sub-1", tuple(shown), steps=["Spacing"], has_geometry=has_geometry)
    return png, np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)


def find_balls(picture):
    """Return (height, width) of what is white within each dark panel."""
    half = picture.shape[1] // 2
    sizes = []
    for part in (picture[:, :half], picture[:, half:]):
        dark = (part > 40) & (part < 65)
        rows = np.flatnonzero(dark.sum(axis=1) > 100)
        for block in np.split(rows, np.flatnonzero(np.diff(rows) > 8) + 1):
            panel = part[block[0] + 4 : block[-1] - 3]
            columns = np.flatnonzero((dark[block[0] : block[-1]]).sum(axis=0) > 20)
            white = panel[:, columns[0] + 4 : columns[-1] - 3] > 240
            found = [np.flatnonzero(white.sum(axis=axis) > 8) for axis in (1, 0)]
            sizes.append([line[-1] - line[0] + 1 for line in found])
    return np.array(sizes)


def test_a_ball_is_round_on_both_sides_and_in_all_planes_whatever_the_voxels():
    source = make_ball(place((1.0, 2.0, 5.0), (80, 40, 16), (-1, 1, -1)), (80, 40, 16))
    result = make_ball(place((2.0, 2.0, 2.0), (40, 40, 40)), (40, 40, 40))
    _, picture = draw(source, result)
    sizes = find_balls(picture)
    assert sizes.shape == (6, 2)
    one_voxel_of_5_mm = 0.2 * sizes.max()
    assert np.ptp(sizes) <= one_voxel_of_5_mm


def test_a_2d_image_is_one_row_and_without_geometry_no_letters():
    flat = make_ball(place((1.0, 1.0, 1.0), (80, 60, 1)), (80, 60, 1))
    png, _ = draw(flat, flat)
    other, without = draw(flat, flat, has_geometry=False)
    assert find_balls(without).shape == (2, 2)
    assert png != other
    assert draw(flat, flat)[0] == png


@pytest.mark.parametrize("is_unit", [True, False])
def test_limits_are_the_unit_range_or_percentiles_of_what_is_finite(is_unit):
    array = np.linspace(-5, 5, 1000, dtype=np.float32).reshape(1, 10, 10, 10).copy()
    array[0, 0, 0, 0] = np.nan
    low, high = choose_limits(Volume(array, np.eye(4)), is_unit=is_unit)
    assert (low, high) == pytest.approx((0, 1) if is_unit else (-4.94, 4.95), abs=0.01)
