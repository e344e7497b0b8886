"""Blind maps: an edge map in units of mm, and smooth noise."""

import numpy as np
import pytest

from medvision.explain.case import CaseImage
from medvision.explain.controls import build_controls, compute_edge_map
from medvision.explain.names import EDGE, RANDOM


def make_image(array, spacing_mm=(2.0, 1.0, 5.0)):
    affine = np.diag([*spacing_mm, 1.0])
    return CaseImage(array, affine, affine, (*array.shape[1:], 1)[:3])


def test_the_edge_map_of_a_ramp_is_its_slope_per_mm():
    i, j, k = np.meshgrid(np.arange(8), np.arange(9), np.arange(6), indexing="ij")
    ramp = (3.0 * i + 4.0 * j + 10.0 * k).astype(np.float32)[None]
    expected = np.sqrt((3 / 2) ** 2 + 4**2 + (10 / 5) ** 2)
    assert compute_edge_map(make_image(ramp)) == pytest.approx(np.full((8, 9, 6), expected))


def test_the_edge_map_of_a_2d_image_has_one_slice():
    ramp = np.tile(np.arange(7, dtype=np.float32)[:, None], (1, 5))[None]
    found = compute_edge_map(make_image(ramp, (1.0, 1.0, 1.0)))
    assert found.shape == (7, 5, 1)
    assert found == pytest.approx(np.ones((7, 5, 1)))


def test_the_random_map_obeys_seed_and_image():
    image = make_image(np.random.default_rng(0).random((1, 12, 12, 8)).astype(np.float32))

    def draw(image_id, seed):
        return build_controls(image, image_id=image_id, block=(4, 4, 2), seed=seed)

    assert list(draw("a", 0)) == [EDGE, RANDOM]
    assert np.array_equal(draw("a", 0)[RANDOM], draw("a", 0)[RANDOM])
    assert not np.array_equal(draw("a", 0)[RANDOM], draw("b", 0)[RANDOM])
    assert not np.array_equal(draw("a", 0)[RANDOM], draw("a", 1)[RANDOM])
    assert draw("a", 0)[RANDOM].min() < 0 < draw("a", 0)[RANDOM].max()
