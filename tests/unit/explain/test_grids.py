"""A lesion comes back to its own voxels, whatever the geometry on the way."""

import numpy as np
import pytest
import torch
from explain_nets import Linear, make_settings
from torch.nn.functional import interpolate

from medvision.domain.attribution import compute_relevance_mass, find_peak
from medvision.domain.volume import resample_grid
from medvision.explain.grids import compute_cell_affine, map_to_source, upsample
from medvision.explain.methods import attribute


@pytest.mark.parametrize("native", [(4, 4, 3), (5, 7, 1), (1, 1, 1), (16, 12, 6)])
def test_upsampling_is_torchs_trilinear_with_half_pixel_centres(native):
    grid = np.random.default_rng(0).normal(size=native).astype(np.float32)
    expected = interpolate(
        torch.from_numpy(grid)[None, None], size=(16, 12, 6), mode="trilinear", align_corners=False
    )[0, 0]
    found = upsample(grid, shape=(16, 12, 6))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_the_centre_of_a_cell_is_the_mean_of_its_voxels():
    affine = compute_cell_affine((4, 2, 1), (16, 10, 6))
    for cell, voxels in [((0, 0, 0), (1.5, 2.0, 2.5)), ((3, 1, 0), (13.5, 7.0, 2.5))]:
        np.testing.assert_allclose((affine @ [*cell, 1])[:3], voxels)


def rotate(x_deg, y_deg):
    a, b = np.deg2rad(x_deg), np.deg2rad(y_deg)
    around_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    around_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return around_x @ around_y


PERMUTED = np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]])
SHEAR = np.array([[1, 0, 0.0], [0, 1, -np.tan(np.deg2rad(18))], [0, 0, 1]])
SOURCES = {
    "axial LPS": np.diag([-0.9, -0.9, 2.5]),
    "anisotropic": np.diag([0.8, 0.8, 5.0]),
    "flipped k": np.diag([1.2, 1.2, -3.0]),
    "sagittal": PERMUTED @ np.diag([1.0, 1.0, 3.0]),
    "oblique": rotate(20, 35) @ np.diag([-1.0, 1.1, 2.5]),
    "gantry tilt": SHEAR @ np.diag([-1.0, -1.0, 3.0]),
}


def build_affine(matrix, shape):
    """Place a grid so that its centre lies at one point of the world."""
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = np.array([12.0, -30.0, 7.0]) - matrix @ ((np.array(shape) - 1) / 2)
    return affine


def attribute_lesion(source_affine, source_shape, mask):
    """Resample a lesion to an RAS grid and attribute a linear model, whose map is the image."""
    tensor_shape = (32, 30, 24)
    tensor_affine = build_affine(np.diag([1.5, 1.5, 2.0]), tensor_shape)
    array = resample_grid(
        mask.astype(np.float32),
        source_affine,
        to_affine=tensor_affine,
        to_shape=tensor_shape,
        nearest=False,
        fill=0,
    )
    image = torch.from_numpy(array)[None, None]
    found = attribute(
        Linear(torch.ones(1, *tensor_shape)),
        image,
        method="integrated_gradients",
        target=1,
        layer="",
        settings=make_settings(),
        seed=0,
    )
    return found.grid, tensor_affine


@pytest.mark.parametrize("name", SOURCES)
def test_a_planted_lesion_comes_back_to_its_own_voxels(name):
    source_shape = (40, 44, 16)
    source_affine = build_affine(SOURCES[name], source_shape)
    mask = np.zeros(source_shape, bool)
    mask[10:17, 23:29, 6:9] = True
    grid, tensor_affine = attribute_lesion(source_affine, source_shape, mask)
    back = map_to_source(
        grid, tensor_affine, source_affine=source_affine, source_shape=source_shape
    )
    assert back.shape == source_shape
    assert mask[find_peak(back)]
    assert (back[mask] > 0.35).mean() > 0.95
    near = np.zeros(source_shape, bool)
    near[8:19, 21:31, 5:10] = True
    assert compute_relevance_mass(back, near) > 0.99
    mirrored = source_affine @ np.diag([-1.0, 1, 1, 1])
    mirrored[:3, 3] = (source_affine @ [source_shape[0] - 1, 0, 0, 1])[:3]
    lost = map_to_source(grid, tensor_affine, source_affine=mirrored, source_shape=source_shape)
    assert compute_relevance_mass(lost, mask) < 0.6 * compute_relevance_mass(back, mask)


def test_voxels_that_the_array_does_not_reach_are_zero():
    grid = np.ones((4, 4, 4), np.float32)
    back = map_to_source(grid, np.eye(4), source_affine=np.eye(4), source_shape=(8, 4, 4))
    assert back[:4].min() == 1
    assert back[5:].max() == 0
