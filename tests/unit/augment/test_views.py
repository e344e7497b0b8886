"""Views: drawn from the generator alone, replayed to the bit, cropped as a plain loop crops."""

import numpy as np
import pytest
import torch

from medvision.augment.views import ViewParameters, apply_view, draw_view

NOTHING = {"crop": 1.0, "blur_voxels": 0.0, "flip_axes": (), "noise_sd": 0.0, "gain": 0.0}


def draw(seed, *, n_images=4, spatial_dims=2, **changed):
    generator = torch.Generator().manual_seed(seed)
    values = NOTHING | changed
    return draw_view(generator, n_images=n_images, spatial_dims=spatial_dims, **values)


def crop_plainly(image, *, sides, centres):
    """Linear interpolation at the centres of the new cells, one by one, over repeated borders."""
    size = image.shape
    out = np.zeros(size)
    for place in np.ndindex(*size):
        spots = [
            min(max((((2 * p + 1) / n - 1) * s + c + 1) * n / 2 - 0.5, 0.0), n - 1.0)
            for p, n, s, c in zip(place, size, sides, centres, strict=True)
        ]
        for corner in np.ndindex(*[2] * len(size)):
            low = [int(np.floor(spot)) for spot in spots]
            cell = [min(a + b, n - 1) for a, b, n in zip(low, corner, size, strict=True)]
            weight = np.prod(
                [1 - abs(s - (a + b)) for s, a, b in zip(spots, low, corner, strict=True)]
            )
            out[place] += weight * image[tuple(cell)]
    return out


@pytest.mark.parametrize("size", [(7, 9), (5, 6, 4)])
def test_crops_are_those_of_a_plain_loop_within_each_image(size):
    images = np.random.default_rng(0).normal(size=(3, 1, *size)).astype(np.float32)
    parameters = draw(1, n_images=3, spatial_dims=len(size), crop=0.5)
    found = apply_view(torch.from_numpy(images), parameters).numpy()
    for image, crop, sides, centres in zip(
        images, found, parameters.sides, parameters.centres, strict=True
    ):
        expected = crop_plainly(image[0], sides=sides, centres=centres)
        np.testing.assert_allclose(crop[0], expected, atol=1e-5)
        assert all(
            0.5 <= s <= 1 and abs(c) <= 1 - s + 1e-12 for s, c in zip(sides, centres, strict=True)
        )


def test_a_view_without_changes_is_the_image():
    images = torch.rand(4, 2, 8, 8)
    assert torch.equal(apply_view(images, draw(0)), images)


def test_views_are_replayed_to_the_bit_and_leave_the_batch_alone():
    images = torch.rand(4, 1, 8, 8, 4)
    before = images.clone()
    changes = {"crop": 0.6, "blur_voxels": 1.0, "flip_axes": (0,), "noise_sd": 0.1, "gain": 0.2}
    parameters = draw(5, spatial_dims=3, **changes)
    assert parameters == draw(5, spatial_dims=3, **changes)
    assert torch.equal(apply_view(images, parameters), apply_view(images, parameters))
    assert torch.equal(images, before)
    assert parameters != draw(6, spatial_dims=3, **changes)


def test_blur_meets_the_chosen_images_alone():
    images = torch.rand(2, 1, 12, 12)
    flat = draw(0, n_images=2)
    parameters = ViewParameters(flat.sides, flat.centres, (True, False), 1.0, flat.changes)
    found = apply_view(images, parameters)
    assert torch.equal(found[1], images[1])
    assert found[0].std() < images[0].std()


def test_axes_are_flipped_only_where_that_is_allowed():
    assert all(axes == () for axes in draw(0, n_images=50).changes.flips)
    assert {a for axes in draw(0, n_images=50, flip_axes=(1,)).changes.flips for a in axes} == {1}
