"""Tests of two arms: DeLong from its definition, clusters, McNemar's mid-p, and refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from predicted import make_multiclass_rows, make_rows
from scipy import stats
from sklearn.metrics import roc_auc_score

from medvision.domain.evaluation.classes import build_test
from medvision.domain.evaluation.pair_tests import (
    PairTest,
    compare_pairs,
    compute_mid_p,
    correct_tests,
)
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.delong import compute_influences, compute_placements, compute_variance
from medvision.domain.metrics.threshold import BY_YOUDEN

BINARY = Classes(("no", "yes"), "yes")


def draw(n=60, seed=0):
    """Two correlated scores with ties, and the true class."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    shared = rng.normal(size=n) + truth
    return (shared + rng.normal(size=n)).round(1), (shared + rng.normal(size=n)).round(1), truth


def delong_by_definition(a, b, truth):
    """DeLong et al. 1988, equations 3 to 5, one pair at a time."""
    parts = []
    for scores in (a, b):
        x, y = scores[truth], scores[~truth]
        kernel = [[(u > v) + 0.5 * (u == v) for v in y] for u in x]
        parts.append((np.mean(kernel, axis=1), np.mean(kernel, axis=0), np.mean(kernel)))
    s10 = np.cov([parts[0][0], parts[1][0]])
    s01 = np.cov([parts[0][1], parts[1][1]])
    covariance = s10 / truth.sum() + s01 / (~truth).sum()
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return parts[0][2] - parts[1][2], variance, covariance


@pytest.mark.parametrize("seed", range(6))
def test_variances_are_delongs_by_definition(seed):
    a, b, truth = draw(seed=seed)
    difference, variance, covariance = delong_by_definition(a, b, truth)
    places = [compute_placements(scores, truth) for scores in (a, b)]
    alone = np.arange(60)
    for held, scores, n in zip(places, (a, b), range(2), strict=True):
        area, spread = compute_variance(held, truth, clusters=alone)
        assert area == pytest.approx(roc_auc_score(truth, scores))
        assert held[~truth].mean() == pytest.approx(area)
        assert spread == pytest.approx(covariance[n, n])
    found = compute_variance(places[0] - places[1], truth, clusters=alone)
    assert found == pytest.approx((difference, variance))


def test_copies_of_images_change_no_variance_of_clusters_and_narrow_that_of_images():
    """The planted fault: plain DeLong takes copies for evidence."""
    a, b, truth = draw(seed=1)
    gaps = compute_placements(a, truth) - compute_placements(b, truth)
    once = compute_variance(gaps, truth, clusters=np.arange(60))
    many, copied = np.tile(gaps, 3), np.tile(truth, 3)
    assert compute_variance(many, copied, clusters=np.tile(np.arange(60), 3)) == pytest.approx(once)
    assert compute_variance(many, copied, clusters=np.arange(180))[1] < 0.4 * once[1]


def test_the_variance_of_clusters_is_that_of_repeated_samples():
    """Subjects with two to four images, some of either class."""
    rng, areas, variances = np.random.default_rng(2), [], []
    for _ in range(400):
        clusters = np.repeat(np.arange(50), rng.integers(2, 5, 50))
        truth = rng.random(len(clusters)) < 0.4
        scores = 1.5 * rng.normal(size=50)[clusters] + rng.normal(size=len(clusters)) + 1.5 * truth
        area, variance = compute_variance(
            compute_placements(scores, truth), truth, clusters=clusters
        )
        areas.append(area)
        variances.append(variance)
    assert np.mean(variances) == pytest.approx(np.var(areas), rel=0.2)


def make_arms(a, b, truth, *, folds=None, subjects=None):
    labels = ["yes" if flag else "no" for flag in truth]
    rows = []
    for arm, scores in (("transfer", a), ("scratch", b)):
        rows += make_rows(list(scores), labels, folds=folds, subjects=subjects, arm=arm)
    return build_test(rows, {}, classes=BINARY, rule=BY_YOUDEN).arms


def test_the_test_of_areas_is_delongs_z():
    a, b, truth = draw(seed=3)
    difference, variance, _ = delong_by_definition(a, b, truth)
    areas, _ = compare_pairs(make_arms(a, b, truth))
    z = difference / math.sqrt(variance)
    assert areas.statistic == pytest.approx(z)
    assert areas.p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert (areas.kind, areas.n_subjects) == ("areas", 60)
    assert areas.method.startswith("DeLong 1988")


def test_folds_are_weighed_by_their_pairs():
    a, b, truth = draw(n=90, seed=4)
    folds = np.arange(90) % 3
    total = variance = weights = 0.0
    for fold in range(3):
        here = folds == fold
        value, spread, _ = delong_by_definition(a[here], b[here], truth[here])
        weight = truth[here].sum() * (~truth[here]).sum()
        total, variance = total + weight * value, variance + weight**2 * spread
        weights += weight
    lifted = a + 9 * folds
    areas, _ = compare_pairs(make_arms(lifted, b, truth, folds=folds.tolist()))
    assert areas.statistic == pytest.approx(total / math.sqrt(variance))


def test_squares_of_influences_are_delongs_variance_fold_by_fold():
    a, b, truth = draw(n=90, seed=4)
    folds = np.arange(90) % 3
    areas, _ = compare_pairs(make_arms(a, b, truth, folds=folds.tolist()))
    (first, one), (second, two) = (
        compute_influences(x, truth, folds=folds, clusters=np.arange(90)) for x in (a, b)
    )
    z = (first - second) / math.sqrt(((one - two) ** 2).sum())
    assert z == pytest.approx(areas.statistic)


def part_otherwise(arms, folds):
    """The second arm with other folds, as another study may have them."""
    rounds = tuple(replace(each, folds=folds) for each in arms["scratch"].rounds)
    return {**arms, "scratch": replace(arms["scratch"], rounds=rounds)}


def test_arms_of_other_folds_are_called_unlike_as_rarely_as_they_should():
    """Equal networks in other folds: near 5 % of tests find a difference, never 1 % or 15 %."""
    n_found, n = 0, 400
    for seed in range(n):
        a, b, truth = draw(n=90, seed=seed)
        rng = np.random.default_rng(seed)
        arms = make_arms(a, b, truth, folds=(np.arange(90) % 3).tolist())
        areas, _ = compare_pairs(part_otherwise(arms, rng.permutation(np.arange(90) % 3)))
        n_found += areas.p < 0.05
    assert 0.02 <= n_found / n <= 0.09
    assert "each area within its own folds" in areas.method


def test_copies_narrow_no_test_of_other_folds():
    a, b, truth = draw(seed=6)
    folds, others = np.arange(60) % 3, np.random.default_rng(0).permutation(np.arange(60) % 3)
    names = [f"s{n}" for n in range(60)]
    once, _ = compare_pairs(
        part_otherwise(make_arms(a, b, truth, folds=folds.tolist(), subjects=names), others)
    )
    copied = make_arms(
        *(np.tile(held, 3) for held in (a, b, truth)),
        folds=np.tile(folds, 3).tolist(),
        subjects=names * 3,
    )
    many, _ = compare_pairs(part_otherwise(copied, np.tile(others, 3)))
    assert many.statistic == pytest.approx(once.statistic)


def test_three_classes_are_tested_by_their_decisions_alone():
    rng = np.random.default_rng(0)
    labels = ["abc"[n % 3] for n in range(60)]
    truth = 2.0 * np.eye(3)[[n % 3 for n in range(60)]]
    rows = []
    for arm, noise in (("transfer", 0.5), ("scratch", 3.0)):
        held = make_multiclass_rows(truth + noise * rng.normal(size=(60, 3)), labels, split="test")
        rows += [{**row, "arm": arm} for row in held]
    arms = build_test(rows, {}, classes=Classes(("a", "b", "c"), None), rule=BY_YOUDEN).arms
    (test,) = compare_pairs(arms)
    assert test.kind == "decisions"
    assert test.p < 0.01
    assert "at the most probable class" in test.method


def test_decisions_are_counted_by_subject():
    """Three images a subject, all alike: as many unequal subjects as of one image each."""
    a, b, truth = draw(seed=5)
    _, once = compare_pairs(make_arms(a, b, truth))
    right = [(scores >= 0) == truth for scores in (a, b)]
    better, worse = (right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum()
    assert (once.statistic, once.n_unequal) == (better, better + worse)
    names = [f"s{n}" for n in range(60)] * 3
    copied = make_arms(np.tile(a, 3), np.tile(b, 3), np.tile(truth, 3), subjects=names)
    _, many = compare_pairs(copied)
    assert (many.p, many.n_unequal, many.n_subjects) == (once.p, once.n_unequal, 60)


@pytest.mark.parametrize(("better", "worse"), [(1, 0), (0, 7), (9, 3), (40, 61), (3000, 2900)])
def test_mid_p_is_that_of_the_binomial(better, worse):
    n, least = better + worse, min(better, worse)
    exact = 2 * stats.binom.cdf(least, n, 0.5) - stats.binom.pmf(least, n, 0.5)
    assert compute_mid_p(better, worse) == pytest.approx(min(1.0, exact))
    assert compute_mid_p(better, worse) == compute_mid_p(worse, better)


def test_equal_arms_are_not_tested_and_say_so():
    a, _, truth = draw()
    areas, decisions = compare_pairs(make_arms(a, a, truth))
    assert (areas.p, areas.p_holm, decisions.p) == (None, None, None)
    assert areas.method == "not tested: both rank all images alike"
    assert decisions.method == "not tested: both are right on the same images"


def test_one_class_or_one_subject_of_a_class_is_not_tested():
    a, b, _ = draw(n=10)
    areas, _ = compare_pairs(make_arms(a, b, np.zeros(10, dtype=bool)))
    assert "no fold has test images of both classes" in areas.method
    areas, _ = compare_pairs(make_arms(a, b, np.arange(10) == 0))
    assert "one subject alone of a class" in areas.method


def test_each_kind_is_corrected_for_its_own_number():
    blank = PairTest("areas", "a", "b", 1.0, None, 0.02, None, 9, "")
    tests = [
        blank,
        replace(blank, p=0.03),
        replace(blank, p=None),
        replace(blank, kind="decisions"),
    ]
    assert [held.p_holm for held in correct_tests(tests)] == [
        pytest.approx(0.06),
        pytest.approx(0.06),
        None,
        pytest.approx(0.02),
    ]
