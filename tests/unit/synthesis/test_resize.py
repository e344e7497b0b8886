"""Claims on halving and doubling, against loops over voxels."""

import numpy as np
import pytest
import torch

from medvision.synthesis.resize import double, halve


def halve_slowly(row):
    return [np.mean(row[n : n + 2]) for n in range(0, len(row), 2)]


@pytest.mark.parametrize("n_voxels", [1, 2, 5, 8])
def test_neighbours_are_averaged_and_an_odd_last_voxel_stays(n_voxels):
    images = torch.randn(2, 3, 4, n_voxels, dtype=torch.float64)
    expected = np.apply_along_axis(halve_slowly, 3, images.numpy())
    np.testing.assert_allclose(halve(images, (1,)).numpy(), expected)


@pytest.mark.parametrize("size", [(4, 9, 6), (4, 10, 5)])
def test_voxels_are_repeated_and_cropped(size):
    images = torch.randn(2, 3, 4, 5, 3)
    expected = images.numpy().repeat(2, axis=3).repeat(2, axis=4)[:, :, :, : size[1], : size[2]]
    np.testing.assert_array_equal(double(images, (1, 2), size=size).numpy(), expected)


def test_both_can_be_differentiated_twice():
    images = torch.randn(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)

    def both(given):
        return double(halve(given, (0, 1)), (0, 1), size=(5, 4)).pow(3)

    assert torch.autograd.gradgradcheck(both, images)
