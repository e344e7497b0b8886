"""Decision curves: by counting, at a given prevalence, and where a class is absent."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import build_test
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.decision import THRESHOLDS, compute_decision_curves
from medvision.domain.metrics.threshold import BY_YOUDEN

BINARY = Classes(("no", "yes"), "yes")


def draw(rows, *, prevalence=None, classes=BINARY):
    arms = build_test(rows, {}, classes=classes, rule=BY_YOUDEN).arms
    arms = {name: replace(arm, prevalence=prevalence) for name, arm in arms.items()}
    return compute_decision_curves(arms, settings=SETTINGS)


def read(rows):
    return (
        np.array([row["label"] == "yes" for row in rows]),
        np.array([float(row["probability_yes"]) for row in rows]),
    )


def test_the_net_benefit_is_counted_image_by_image():
    scores, labels, _ = draw_binary(90, seed=1)
    rows = make_rows(scores, labels)
    truth, shares = read(rows)
    points = draw(rows)
    assert [point.threshold for point in points] == list(THRESHOLDS)
    for point in points:
        price = point.threshold / (1 - point.threshold)
        told = shares >= point.threshold
        hits, alarms = (told & truth).sum(), (told & ~truth).sum()
        assert point.net_benefit == pytest.approx((hits - price * alarms) / 90)
        assert point.treat_all == pytest.approx((truth.sum() - price * (~truth).sum()) / 90)
        if 0 < told.sum() < 90:
            assert point.low <= point.net_benefit <= point.high
        else:
            assert (point.low, point.method) == (None, "every resample agrees")
        assert (point.n_images, point.n_subjects) == (90, 90)


def test_a_given_prevalence_is_that_of_images_copied_until_they_have_it():
    """Oracle: every negative four times, where a fifth as many are to be positive."""
    scores, labels, _ = draw_binary(60, seed=2)
    n_yes = labels.count("yes")
    pairs = list(zip(scores, labels, strict=True))
    copied = pairs + [pair for pair in pairs if pair[1] == "no"] * 3
    share = n_yes / (n_yes + 4 * (60 - n_yes))
    found = draw(make_rows(scores, labels), prevalence=share)
    wanted = draw(make_rows([s for s, _ in copied], [label for _, label in copied]))
    for one, other in zip(found, wanted, strict=True):
        assert one.net_benefit == pytest.approx(other.net_benefit)
        assert one.treat_all == pytest.approx(other.treat_all)


def test_copies_of_subjects_narrow_no_interval():
    scores, labels, _ = draw_binary(40, seed=3)
    names = [f"s{n}" for n in range(40)]
    once = draw(make_rows(scores, labels, subjects=names))
    many = draw(make_rows(scores * 3, labels * 3, subjects=names * 3))
    for one, other in zip(once, many, strict=True):
        assert (other.low, other.high) == pytest.approx((one.low, one.high))
        assert other.n_subjects == 40


def test_one_class_has_no_curve_and_many_classes_none():
    points = draw(make_rows([0.1, 0.2, 0.3], ["no"] * 3))
    assert {(p.net_benefit, p.low, p.treat_all) for p in points} == {(None, None, None)}
    assert points[0].method == "undefined: a class is absent"
    rows = make_multiclass_rows(np.eye(3), list("abc"), split="test")
    assert draw(rows, classes=Classes(("a", "b", "c"), None)) == ()
