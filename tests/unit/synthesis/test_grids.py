"""Claims on the grids of a generator: any size within the bounds, at most a voxel cropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import ConfigError
from medvision.synthesis.grids import LARGEST_SIDE, plan_grids


def test_a_volume_is_halved_axis_by_axis_until_none_has_more_than_four_voxels():
    grids = plan_grids((64, 64, 24))
    assert grids.sizes == ((64, 64, 24), (32, 32, 12), (16, 16, 6), (8, 8, 3), (4, 4, 3))
    assert grids.list_halved(2) == (0, 1, 2)
    assert grids.list_halved(3) == (0, 1)
    assert grids.n_coarsest == 48


@given(st.lists(st.integers(1, 128), min_size=2, max_size=3).filter(lambda s: max(s) >= 8))
def test_doubling_a_coarser_grid_exceeds_the_finer_by_one_voxel_at_most(size):
    grids = plan_grids(tuple(size))
    assert max(grids.sizes[-1]) <= 4
    for level, (fine, coarse) in enumerate(zip(grids.sizes, grids.sizes[1:], strict=False)):
        for axis, (n_fine, n_coarse) in enumerate(zip(fine, coarse, strict=True)):
            factor = 2 if axis in grids.list_halved(level) else 1
            assert factor * n_coarse - n_fine in ((0, 1) if factor == 2 else (0,))


@pytest.mark.parametrize("size", [(257, 16), (16, 129, 16)])
def test_images_larger_than_the_bound_are_refused_with_the_bound(size):
    with pytest.raises(ConfigError, match=f"at most {LARGEST_SIDE[len(size)]} voxels"):
        plan_grids(size)


def test_images_too_small_to_be_coarsened_are_refused():
    with pytest.raises(ConfigError, match="at least 8 voxels"):
        plan_grids((7, 7))
