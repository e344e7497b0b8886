"""Fixed views: the image itself first, no flip that training was not allowed, nothing drawn."""

import pytest
import torch

from medvision.augment.fixed_views import FixedView, list_views
from medvision.errors import ConfigError

ALL = ("flip", "shift", "zoom")


def views(kinds=ALL, spatial_dims=3, flip_axes=(0,), shift_voxels=2, zoom=0.1):
    return list_views(
        kinds, spatial_dims, flip_axes=flip_axes, shift_voxels=shift_voxels, zoom=zoom
    )


@pytest.fixture(params=[(3, 2, 8, 6), (3, 1, 8, 6, 5)], ids=["2d", "3d"])
def batch(request):
    return torch.rand(request.param, generator=torch.Generator().manual_seed(2))


def test_without_kinds_the_one_view_is_the_very_image(batch):
    (only,) = views(())
    assert only(batch) is batch


@pytest.mark.parametrize("flip_axes", [(), (0,), (1, 0), (0, 1, 2)])
def test_only_allowed_axes_are_flipped_and_every_combination_of_them_once(flip_axes):
    found = [view.flips for view in views(flip_axes=flip_axes)]
    used = [flips for flips in found if flips]
    assert set(sum(used, ())) == set(flip_axes)
    assert len(used) == len(set(used)) == 2 ** len(flip_axes) - 1


def test_a_flip_that_training_does_not_allow_is_never_a_view():
    assert not any(view.flips for view in views(flip_axes=()))


def test_each_view_is_what_its_name_says(batch):
    flip, up, down, left, right = views(("flip", "shift"), spatial_dims=2)[1:]
    assert torch.equal(flip(batch), batch.flip(2))
    assert torch.equal(down(batch)[:, :, 2:], batch[:, :, :-2])
    assert torch.equal(up(batch)[:, :, :-2], batch[:, :, 2:])
    assert torch.equal(right(batch)[:, :, :, 2:], batch[:, :, :, :-2])
    assert torch.equal(left(batch)[:, :, :, :-2], batch[:, :, :, 2:])
    smaller, larger = views(("zoom",))[1:]
    assert (smaller.zoom, larger.zoom) == (0.9, 1.1)


def test_the_mean_over_flips_is_the_same_for_an_image_and_its_mirror_image(batch):
    """The combinations are a group: a flip only changes the order of the views."""
    kernel = torch.rand(batch.shape[1:], generator=torch.Generator().manual_seed(3))
    chosen = views(("flip",), spatial_dims=2, flip_axes=(0, 1))

    def mean(images):
        return torch.stack([(view(images) * kernel).flatten(1).sum(1) for view in chosen]).mean(0)

    assert torch.allclose(mean(batch), mean(batch.flip(3)), atol=1e-5)


def test_nothing_is_drawn(batch):
    before = torch.get_rng_state()
    first = [view(batch) for view in views(spatial_dims=2)]
    torch.manual_seed(5)
    again = [view(batch) for view in views(spatial_dims=2)]
    torch.set_rng_state(before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(first) == 1 + 1 + 4 + 2


def test_a_view_depends_on_its_image_alone(batch):
    for view in views(spatial_dims=2):
        assert torch.equal(view(batch)[1:2], view(batch[1:2]))


def test_an_axis_that_images_do_not_have_is_refused():
    with pytest.raises(ConfigError, match="below 2"):
        views(("flip",), spatial_dims=2, flip_axes=(2,))


def test_views_compare_by_what_they_do():
    assert views() == views()
    assert FixedView() == views(())[0]
