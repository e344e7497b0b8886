"""Rank accuracy and outline as checks: held against random places of the same mask."""

import numpy as np
import pytest

from medvision.explain.checks import About
from medvision.explain.checks.overlap import check_iou, check_rank_accuracy
from medvision.explain.controls import compute_centre_prior

ABOUT = About("image", "occlusion")
BOTH = pytest.mark.parametrize("check", [check_rank_accuracy, check_iou])


def make_mask():
    mask = np.zeros((20, 20, 8), bool)
    mask[5:9, 6:10, 2:4] = True
    return mask


@BOTH
def test_a_map_of_the_lesion_passes_and_one_of_another_place_fails(check):
    mask = make_mask()
    inside = mask.astype(np.float32) + 0.01 * np.random.default_rng(0).random(mask.shape)
    good = check(ABOUT, inside.astype(np.float32), mask=mask, seed=0)
    bad = check(ABOUT, np.roll(inside, 9, axis=0).astype(np.float32), mask=mask, seed=0)
    assert (good.verdict, bad.verdict) == ("PASS", "FAIL")
    assert good.statistic == pytest.approx(1)
    assert bad.statistic == 0
    assert good.comparator < 0.1
    assert good.n == 400


@BOTH
def test_a_map_with_nothing_in_it_fails(check):
    mask = make_mask()
    assert check(ABOUT, -np.ones(mask.shape, np.float32), mask=mask, seed=0).verdict == "FAIL"


@BOTH
def test_noise_passes_about_one_time_in_twenty(check):
    rng, mask = np.random.default_rng(2), make_mask()
    rows = [
        check(ABOUT, rng.random(mask.shape).astype(np.float32), mask=mask, seed=0)
        for _ in range(150)
    ]
    assert np.mean([row.verdict == "PASS" for row in rows]) <= 0.11


def test_the_centre_prior_is_a_gaussian_of_an_eighth_of_each_axis():
    prior = compute_centre_prior((16, 12, 1))
    i, j = np.meshgrid(np.arange(16) - 7.5, np.arange(12) - 5.5, indexing="ij")
    expected = np.exp(-((i / 2) ** 2 + (j / 1.5) ** 2) / 2)
    assert prior[:, :, 0] == pytest.approx(expected, rel=1e-5)
