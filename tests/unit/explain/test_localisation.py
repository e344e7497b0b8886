"""Pointing game and relevance mass on the source's grid, in mm."""

import itertools

import numpy as np
import pytest

from medvision.explain.case import Case, CaseImage
from medvision.explain.checks import About
from medvision.explain.localisation import (
    check_pointing,
    check_relevance_mass,
    compute_lesion_diameters_mm,
    compute_near_share,
    compute_tolerance_mm,
    explain_inapplicable,
)

ABOUT = About("image", "occlusion")
AFFINE = np.diag([2.0, 1.0, 5.0, 1.0])
CASE = Case("image", "subject", "transfer", 0, 0, "nodule", "nodule", "nodule", "uncertain")


def make_mask(shape=(20, 20, 8)):
    mask = np.zeros(shape, bool)
    mask[5:9, 6:10, 2:4] = True
    return mask


def make_image(mask, *, shape=(1, 20, 20, 8)):
    return CaseImage(np.zeros(shape, np.float32), AFFINE, AFFINE, (20, 20, 8), mask)


def peak_at(voxel):
    grid = np.zeros((20, 20, 8), np.float32)
    grid[voxel] = 1
    return grid


@pytest.mark.parametrize(
    ("voxel", "distance_mm", "verdict"),
    [((6, 7, 2), 0, "PASS"), ((10, 7, 2), 4, "PASS"), ((6, 7, 5), 10, "FAIL")],
)
def test_pointing_is_judged_by_the_distance_in_mm(voxel, distance_mm, verdict):
    row = check_pointing(ABOUT, peak_at(voxel), mask=make_mask(), affine=AFFINE, tolerance_mm=5.0)
    assert (row.verdict, row.statistic, row.threshold) == (verdict, distance_mm, 5.0)


def test_a_map_without_positive_values_does_not_point():
    grid = -np.ones((20, 20, 8), np.float32)
    grid[6, 7, 2] = -0.5
    row = check_pointing(ABOUT, grid, mask=make_mask(), affine=AFFINE, tolerance_mm=5.0)
    assert row.verdict == "FAIL"


@pytest.mark.parametrize("tolerance_mm", [0.5, 2.0, 5.0, 7.3])
def test_the_chance_of_a_blind_hit_is_counted_voxel_by_voxel(tolerance_mm):
    mask = make_mask()
    mask[18, 18, 7] = True
    inside = np.argwhere(mask) * [2, 1, 5]
    hits = sum(
        np.sqrt(((inside - np.array(v) * [2, 1, 5]) ** 2).sum(1)).min() <= tolerance_mm
        for v in itertools.product(range(20), range(20), range(8))
    )
    share = compute_near_share(mask, affine=AFFINE, tolerance_mm=tolerance_mm)
    assert share == pytest.approx(hits / mask.size)


def test_blind_maps_point_right_as_often_as_chance_says():
    rng = np.random.default_rng(0)
    mask = make_mask()
    rows = [
        check_pointing(
            ABOUT,
            rng.random((20, 20, 8)).astype(np.float32),
            mask=mask,
            affine=AFFINE,
            tolerance_mm=5.0,
        )
        for _ in range(400)
    ]
    rate = np.mean([row.verdict == "PASS" for row in rows])
    chance = rows[0].comparator
    assert abs(rate - chance) < 4 * np.sqrt(chance * (1 - chance) / 400)


def test_relevance_inside_the_mask_passes_and_elsewhere_fails():
    mask = make_mask()
    inside = mask.astype(np.float32) + 0.01
    elsewhere = np.roll(mask, 9, axis=0).astype(np.float32) + 0.01
    good = check_relevance_mass(ABOUT, inside, mask=mask, seed=0)
    bad = check_relevance_mass(ABOUT, elsewhere, mask=mask, seed=0)
    assert (good.verdict, bad.verdict) == ("PASS", "FAIL")
    assert good.comparator == pytest.approx(mask.mean())
    assert good.statistic == pytest.approx(1.01 * mask.sum() / inside.sum(), rel=1e-5)


def test_flat_and_negative_maps_hold_no_relevance():
    mask = make_mask()
    flat = np.ones((20, 20, 8), np.float32)
    assert check_relevance_mass(ABOUT, flat, mask=mask, seed=0).verdict == "FAIL"
    assert check_relevance_mass(ABOUT, -flat, mask=mask, seed=0).verdict == "FAIL"


def test_noise_passes_the_relevance_check_about_one_time_in_twenty():
    rng = np.random.default_rng(1)
    mask = make_mask()
    passed = [
        check_relevance_mass(
            ABOUT, rng.random((20, 20, 8)).astype(np.float32), mask=mask, seed=0
        ).verdict
        == "PASS"
        for _ in range(200)
    ]
    assert 0.01 <= np.mean(passed) <= 0.11


def test_localisation_says_why_it_does_not_apply():
    image = make_image(make_mask())
    assert explain_inapplicable(CASE, image) is None
    assert "no mask" in explain_inapplicable(CASE, make_image(None))
    assert "empty" in explain_inapplicable(CASE, make_image(np.zeros((20, 20, 8), bool)))
    missed = Case("image", "subject", "transfer", 0, 0, "nodule", "benign", "benign", "uncertain")
    reason = "the mask is not of what is explained (benign; the label is nodule)"
    assert explain_inapplicable(missed, image) == reason


@pytest.mark.parametrize(
    ("label", "applies"), [("Nodule", True), ("Mass|Nodule", False), ("No Finding", False)]
)
def test_a_mask_is_trusted_to_be_of_the_only_finding_alone(label, applies):
    case = Case("image", "subject", "transfer", 0, 0, label, "Nodule", "Nodule", "uncertain")
    assert (explain_inapplicable(case, make_image(make_mask())) is None) is applies


def test_the_tolerance_is_the_longest_edge_of_a_voxel_of_the_array():
    assert compute_tolerance_mm(make_image(None)) == 5
    flat = make_image(None, shape=(1, 20, 20))
    assert compute_tolerance_mm(flat) == 2


def test_lesions_are_measured_one_by_one():
    i, j, k = np.meshgrid(*[np.arange(60)] * 3, indexing="ij")
    mask = (i - 15) ** 2 + (j - 15) ** 2 + (k - 15) ** 2 <= 10**2
    mask |= (i - 45) ** 2 + (j - 45) ** 2 + (k - 45) ** 2 <= 5**2
    found = compute_lesion_diameters_mm(mask, np.diag([0.5, 0.5, 0.5, 1]))
    assert found == pytest.approx([10, 5], rel=0.05)
    disc = ((i - 30) ** 2 + (j - 30) ** 2 <= 20**2)[:, :, :1]
    assert compute_lesion_diameters_mm(disc, np.eye(4)) == pytest.approx([40], rel=0.02)
