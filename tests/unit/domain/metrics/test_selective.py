"""The risk-coverage curve: against plain loops, copies, closed forms, ties and random orders."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.metrics.selective import COVERAGES, compute_risk_curve, sort_images
from medvision.domain.metrics.weighted import compute_auc


def one_fold(certainty, wrong, weights=None):
    certainty, wrong = np.array(certainty, float), np.array(wrong, bool)
    orders = sort_images(certainty, wrong, folds=np.zeros(len(wrong), dtype=np.intp))
    weights = np.ones(len(wrong)) if weights is None else np.array(weights, float)
    return compute_risk_curve(orders, weights[None])


def walk(certainty, wrong, weights):
    """Oracle: keep ever more, block by block, in plain loops; areas by fine steps."""
    blocks = []
    for value in sorted(set(certainty), reverse=True):
        own = [n for n, held in enumerate(certainty) if held == value]
        size = sum(weights[n] for n in own)
        if size:
            blocks.append((size, sum(weights[n] for n in own if wrong[n])))
    total = sum(size for size, _ in blocks)

    def errors_among(kept):
        errors = 0.0
        for size, failed in blocks:
            part = min(size, kept)
            errors += failed * part / size
            kept -= part
        return errors

    n_steps = 4_000
    shares = [(n + 0.5) / n_steps for n in range(n_steps)]
    risks = [errors_among(share * total) / (share * total) for share in shares]
    joint = [errors_among(share * total) / total for share in shares]
    points = [errors_among(share * total) / (share * total) for share in COVERAGES]
    return sum(risks) / n_steps, sum(joint) / n_steps, points


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_areas_and_points_are_those_of_plain_loops(seed, n_images):
    rng = np.random.default_rng(seed)
    certainty = rng.integers(0, 5, n_images).tolist()
    wrong = (rng.random(n_images) < 0.4).tolist()
    weights = rng.integers(0, 3, n_images).astype(float)
    weights[rng.integers(n_images)] += 1
    curve = one_fold(certainty, wrong, weights)
    area, joint, points = walk(certainty, wrong, weights.tolist())
    assert curve.aurc[0] == pytest.approx(area, abs=1e-3)
    assert curve.augrc[0] == pytest.approx(joint, abs=1e-3)
    assert curve.risks[:, 0] == pytest.approx(points)
    share = sum(w for w, failed in zip(weights, wrong, strict=True) if failed) / weights.sum()
    assert curve.error_rate[0] == pytest.approx(share)


def test_of_many_copies_the_area_is_the_published_sum():
    """Geifman: the mean over images of the error rate down to each; here each image 3000 times."""
    certainty, wrong = [5.0, 4, 3, 2, 1], [False, True, False, False, True]
    n_copies, rng = 3000, np.random.default_rng(0)
    images = [
        (c - rng.random() / 2, w)
        for c, w in zip(certainty, wrong, strict=True)
        for _ in range(n_copies)
    ]
    errors, total = 0, 0.0
    for n, (_, failed) in enumerate(sorted(images, reverse=True)):
        errors += failed
        total += errors / (n + 1)
    assert one_fold(certainty, wrong).aurc[0] == pytest.approx(total / len(images), abs=1e-3)


def test_a_perfect_order_has_the_ideal_area_and_its_closed_form():
    wrong = [False] * 7 + [True] * 3
    curve = one_fold(range(10, 0, -1), wrong)
    assert curve.aurc[0] == pytest.approx(curve.ideal[0])
    assert curve.ideal[0] == pytest.approx(0.3 + 0.7 * math.log(0.7))
    assert curve.augrc[0] == pytest.approx(0.3**2 / 2)


def test_the_worst_order_is_worse_than_chance():
    curve = one_fold(range(10), [False] * 7 + [True] * 3)
    assert curve.aurc[0] > curve.error_rate[0]
    assert curve.augrc[0] == pytest.approx(0.3 - 0.3**2 / 2)


def test_the_generalised_risk_is_that_of_its_auc():
    """Traub et al. 2024: (1 - AUC) acc (1 - acc) + (1 - acc)² / 2."""
    rng = np.random.default_rng(4)
    certainty, wrong = rng.integers(0, 6, 40), rng.random(40) < 0.3
    pairs = [
        (a > b) + (a == b) / 2
        for a in certainty[~wrong].tolist()
        for b in certainty[wrong].tolist()
    ]
    rate = wrong.mean()
    wanted = (1 - np.mean(pairs)) * rate * (1 - rate) + rate**2 / 2
    assert one_fold(certainty, wrong).augrc[0] == pytest.approx(wanted)


@given(st.integers(0, 10**6))
def test_the_share_of_pairs_is_the_auc_of_rightness(seed):
    rng = np.random.default_rng(seed)
    certainty, wrong = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.3
    folds = (np.arange(40) % 3).astype(np.intp)
    weights = rng.integers(0, 3, (4, 40)).astype(float) + 0.01
    found = compute_risk_curve(sort_images(certainty, wrong, folds=folds), weights).error_auc
    assert found == pytest.approx(compute_auc(certainty, ~wrong, folds=folds, weights=weights))


def test_without_right_or_without_wrong_images_there_are_no_pairs():
    assert np.isnan(one_fold([1, 2, 3], [False] * 3).error_auc[0])
    assert np.isnan(one_fold([1, 2, 3], [True] * 3).error_auc[0])


@pytest.mark.parametrize("n_wrong", [0, 1, 4, 9])
def test_equal_certainty_and_a_random_order_give_the_error_rate(n_wrong):
    wrong = np.arange(9) < n_wrong
    tied = one_fold(np.ones(9), wrong)
    assert tied.aurc[0] == pytest.approx(n_wrong / 9)
    assert tied.risks[:, 0] == pytest.approx(n_wrong / 9)
    assert tied.augrc[0] == pytest.approx(n_wrong / 18)
    rng = np.random.default_rng(1)
    drawn = [one_fold(rng.random(9), wrong) for _ in range(3000)]
    assert np.mean([held.aurc[0] for held in drawn]) == pytest.approx(n_wrong / 9, abs=0.01)
    assert np.mean([held.augrc[0] for held in drawn]) == pytest.approx(n_wrong / 18, abs=0.01)


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_copies_and_any_rising_scale_change_nothing(seed, n_copies):
    rng = np.random.default_rng(seed)
    certainty, wrong = rng.integers(0, 6, 20).astype(float), rng.random(20) < 0.3
    once = one_fold(certainty, wrong)
    for other in (
        one_fold(np.repeat(certainty, n_copies), np.repeat(wrong, n_copies)),
        one_fold(certainty, wrong, np.full(20, float(n_copies))),
        one_fold(np.exp(certainty), wrong),
    ):
        for name in ("error_rate", "aurc", "ideal", "augrc", "risks"):
            assert getattr(other, name) == pytest.approx(getattr(once, name))


def test_folds_are_ordered_apart_and_weigh_by_their_images():
    """One network is sure of everything, the other of nothing: no order across them."""
    certainty = np.array([9.0, 8, 7, 0.3, 0.2, 0.1, 0.0])
    wrong = np.array([False, False, True, False, True, False, True])
    folds = np.array([0, 0, 0, 1, 1, 1, 1])
    whole = compute_risk_curve(sort_images(certainty, wrong, folds=folds), np.ones((1, 7)))
    parts = [one_fold(certainty[folds == fold], wrong[folds == fold]) for fold in (0, 1)]
    for name in ("error_rate", "aurc", "ideal", "augrc", "risks"):
        one, other = (getattr(part, name) for part in parts)
        assert getattr(whole, name) == pytest.approx((3 * one + 4 * other) / 7)


def test_every_resample_is_computed_as_if_alone():
    rng = np.random.default_rng(7)
    certainty, wrong = rng.random(30), rng.random(30) < 0.3
    weights = rng.integers(0, 3, (25, 30)).astype(float)
    folds = (np.arange(30) % 2).astype(np.intp)
    orders = sort_images(certainty, wrong, folds=folds)
    together = compute_risk_curve(orders, weights)
    for row in range(25):
        alone = compute_risk_curve(orders, weights[row : row + 1])
        assert together.aurc[row] == pytest.approx(alone.aurc[0])
        assert together.risks[:, row] == pytest.approx(alone.risks[:, 0])
