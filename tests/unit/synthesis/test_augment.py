"""Claims on the changes that both kinds of images undergo, against loops over voxels."""

import itertools

import numpy as np
import pytest
import torch

from medvision.synthesis.augment import (
    Changes,
    apply_changes,
    draw_changes,
    list_box,
    list_farthest,
)


def make(size, *, n_images=3):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n_images, 2, *size, generator=generator)
    return images, draw_changes(n_images, size, generator=generator)


def change_slowly(image, changes: Changes, n, *, wanted):
    """Of one image, voxel by voxel."""
    image = image.numpy().astype(np.float64)
    if "intensity" in wanted:
        mean = image.mean()
        image = (image - mean) * float(changes.contrast[n]) + mean + float(changes.brightness[n])
    size = image.shape[1:]
    result = np.zeros_like(image)
    for place in itertools.product(*map(range, size)):
        shift = changes.shifts[n].tolist() if "translation" in wanted else [0] * len(size)
        source = tuple(p - s for p, s in zip(place, shift, strict=True))
        if all(0 <= s < n_voxels for s, n_voxels in zip(source, size, strict=True)):
            result[(slice(None), *place)] = image[(slice(None), *source)]
        corner, box = changes.corners[n].tolist(), list_box(size)
        inside = all(c <= p < c + b for p, c, b in zip(place, corner, box, strict=True))
        if "cutout" in wanted and inside:
            result[(slice(None), *place)] = 0
    return result


@pytest.mark.parametrize("size", [(17, 12), (9, 10, 8)])
@pytest.mark.parametrize(
    "wanted",
    [("intensity",), ("translation",), ("cutout",), ("intensity", "translation", "cutout")],
)
def test_changes_are_those_of_a_loop_over_voxels(size, wanted):
    images, changes = make(size)
    changed = apply_changes(images, changes, wanted=wanted)
    expected = [change_slowly(image, changes, n, wanted=wanted) for n, image in enumerate(images)]
    np.testing.assert_allclose(changed.numpy(), np.stack(expected), atol=1e-5)


def test_with_nothing_wanted_images_stay_as_they_are():
    images, changes = make((9, 8))
    torch.testing.assert_close(apply_changes(images, changes, wanted=()), images)


def test_draws_stay_within_their_bounds_and_use_them():
    size = (32, 16)
    changes = draw_changes(400, size, generator=torch.Generator().manual_seed(0))
    for axis, far in enumerate(list_farthest(size)):
        assert (changes.shifts[:, axis].min(), changes.shifts[:, axis].max()) == (-far, far)
    for axis, (n, box) in enumerate(zip(size, list_box(size), strict=True)):
        assert (changes.corners[:, axis].min(), changes.corners[:, axis].max()) == (0, n - box)
    assert float(changes.brightness.abs().max()) <= 0.5
    assert 0.5 <= float(changes.contrast.min()) < float(changes.contrast.max()) <= 1.5


def test_gradients_pass_through_all_changes_twice():
    images, changes = make((8, 8), n_images=1)
    given = images.double().requires_grad_()
    wanted = ("intensity", "translation", "cutout")
    assert torch.autograd.gradgradcheck(
        lambda x: apply_changes(x, changes, wanted=wanted).pow(3), given
    )
