"""Supervoxels: few enough, following edges, and as a plain loop would cut them."""

import numpy as np
import pytest

from medvision.explain.supervoxels import cut_supervoxels, fit_cell


def cut_slowly(volume, cell):
    """Five rounds of: nearest centre among those of the cells around; mean of the members."""
    shape = volume.shape[1:]
    grid = [-(-n // c) for n, c in zip(shape, cell, strict=True)]
    scale = volume.std() or 1.0
    voxels = list(np.ndindex(shape))
    feature = {
        v: np.array([*(np.array(v) / cell), *(volume[(slice(None), *v)] / scale)]) for v in voxels
    }
    home = {v: tuple(n // c for n, c in zip(v, cell, strict=True)) for v in voxels}
    member = dict(home)
    for _ in range(5):
        centres = {
            c: np.mean([feature[v] for v in voxels if member[v] == c], axis=0)
            for c in set(member.values())
        }
        for v in voxels:
            near = [
                c
                for c in np.ndindex(*grid)
                if c in centres and max(abs(np.array(c) - home[v])) <= 1
            ]
            member[v] = min(near, key=lambda c: ((feature[v] - centres[c]) ** 2).sum())
    return [[member[a] == member[b] for b in voxels] for a in voxels]


@pytest.mark.parametrize(("shape", "cell"), [((1, 6, 5, 1), (3, 2, 4)), ((2, 4, 4, 3), (2, 2, 2))])
def test_supervoxels_are_those_of_a_plain_loop(shape, cell):
    volume = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    labels = cut_supervoxels(volume, cell=cell)
    flat = labels.ravel()
    np.testing.assert_array_equal(flat[:, None] == flat, cut_slowly(volume, cell))
    assert sorted(set(flat)) == list(range(flat.max() + 1))


def test_a_bright_block_is_not_mixed_with_its_surroundings():
    volume = np.zeros((1, 16, 16, 8), dtype=np.float32)
    volume[0, 3:9, 2:10, 2:7] = 1.0
    labels = cut_supervoxels(volume, cell=(4, 4, 4))
    inside = volume[0] > 0
    assert not set(labels[inside]) & set(labels[~inside])


def test_an_even_image_is_cut_into_boxes():
    labels = cut_supervoxels(np.ones((1, 8, 8, 4), dtype=np.float32), cell=(4, 4, 2))
    assert labels.max() == 7
    assert len(set(labels[:4, :4, :2].ravel())) == 1


@pytest.mark.parametrize("shape", [(64, 64, 24), (30, 7, 1), (128, 128, 128)])
def test_cells_grow_until_there_are_few_enough(shape):
    cell = fit_cell(shape, (12, 12, 6), n_most=40)
    assert np.prod([-(-n // c) for n, c in zip(shape, cell, strict=True)]) <= 40
    assert all(c <= n for c, n in zip(cell, shape, strict=True))


def test_cells_are_as_asked_where_there_are_few_enough():
    assert fit_cell((64, 64, 24), (12, 12, 6), n_most=10**6) == (12, 12, 6)


@pytest.mark.parametrize("shape", [(5, 4, 1), (3, 9, 2), (16, 16, 16)])
def test_a_small_image_is_two_parts_at_least(shape):
    cell = fit_cell(shape, (12, 12, 12), n_most=1)
    assert np.prod([-(-n // c) for n, c in zip(shape, cell, strict=True)]) == 2
