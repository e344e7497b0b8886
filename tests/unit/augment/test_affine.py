"""A turn and a zoom in one resampling, held to scipy and to what can be seen."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from medvision.augment.affine import turn_and_zoom


@pytest.fixture(params=[(1, 2, 24, 18), (1, 1, 24, 18, 9)], ids=["2d", "3d"])
def image(request):
    return torch.rand(request.param, generator=torch.Generator().manual_seed(2)) + 3


@pytest.mark.parametrize(("degrees", "zoom"), [(0.0, 1.0), (17.0, 1.0), (-40.0, 0.8), (90.0, 1.3)])
def test_each_image_is_as_scipy_resamples_it(image, degrees, zoom):
    found = turn_and_zoom(image, turns_deg=[degrees], zooms=[zoom])[0].numpy()
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(image.ndim - 2)
    # From places of the result to those of the source.
    matrix[:2, :2] = [[cosine, sine], [-sine, cosine]]
    matrix /= zoom
    centre = (np.array(image.shape[2:]) - 1) / 2
    low = float(image.min())
    for channel, grid in enumerate(image[0].numpy() - low):
        expected = ndimage.affine_transform(
            grid, matrix, offset=centre - matrix @ centre, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(found[channel] - low, expected, atol=2e-5)


def test_content_turns_from_axis_i_towards_axis_j():
    batch = torch.zeros(1, 1, 21, 21)
    batch[0, 0, 18, 10] = 1
    turned = turn_and_zoom(batch, turns_deg=[90.0], zooms=[1.0])
    assert float(turned[0, 0, 10, 18]) == pytest.approx(1, abs=1e-4)


def test_what_comes_in_from_outside_is_the_images_own_minimum(image):
    two = torch.cat([image, image - 9])
    small = turn_and_zoom(two, turns_deg=[0.0, 0.0], zooms=[0.3, 0.3])
    corners = small[:, :, 0, 0].flatten(1)
    lowest = two.flatten(1).min(dim=1).values.reshape(-1, 1)
    assert torch.equal(corners, lowest.expand(corners.shape))


def test_an_image_does_not_depend_on_its_companions(image):
    batch = torch.cat([image, image.flip(2), image * 2])
    turns, zooms = [10.0, -20.0, 5.0], [1.1, 0.9, 1.0]
    together = turn_and_zoom(batch, turns_deg=turns, zooms=zooms)
    for row in range(3):
        alone = turn_and_zoom(
            batch[row : row + 1], turns_deg=turns[row : row + 1], zooms=zooms[row : row + 1]
        )
        assert torch.equal(together[row], alone[0])
