"""Entropy, distance from the threshold and disagreement: closed forms, and seed by seed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicted import draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import build_test
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.threshold import BY_YOUDEN
from medvision.domain.metrics.uncertainty import (
    compute_disagreement,
    compute_entropy,
    describe_certainty,
    list_images,
)

BINARY = Classes(("no", "yes"), "yes")


def describe(rows, classes=BINARY, arm="transfer"):
    test = build_test(rows, {}, classes=classes, rule=BY_YOUDEN)
    rounds = describe_certainty(arm, test.arms, thresholds=test.thresholds)
    return rounds, list_images(arm, test.arms[arm], rounds=rounds), test


def in_nats(shares):
    return -sum(share * math.log(share) for share in shares if share > 0)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
def test_entropy_is_shannons_as_a_share_of_that_of_an_even_split(weights):
    shares = np.array(weights) / sum(weights)
    assert compute_entropy(shares) == pytest.approx(in_nats(shares) / math.log(len(shares)))


def test_certainty_has_no_entropy_and_an_even_split_all_of_it():
    assert compute_entropy(np.array([[1.0, 0, 0], [1 / 3] * 3])) == pytest.approx([0, 1])


def test_networks_that_are_unsure_alike_do_not_disagree_and_sure_opposites_do():
    unsure = np.full((4, 1, 2), 0.5)
    opposed = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert compute_disagreement(unsure) == pytest.approx([0])
    assert compute_disagreement(opposed) == pytest.approx([1])
    told = np.array([[[0.9, 0.1]], [[0.6, 0.4]]])
    wanted = in_nats([0.75, 0.25]) - (in_nats([0.9, 0.1]) + in_nats([0.6, 0.4])) / 2
    assert compute_disagreement(told) == pytest.approx([wanted / math.log(2)])


def test_the_margin_is_from_the_threshold_that_validation_fixed():
    scores, labels, folds = draw_binary(60, seed=3)
    rows = make_rows(scores, labels, folds=folds)
    rows += make_rows(scores, labels, folds=folds, split="validation")
    rounds, images, test = describe(rows)
    limits = {held.fold: held.threshold.value for held in test.thresholds}
    for n, image in enumerate(images):
        limit = limits[folds[n]]
        wanted = abs(scores[n] - math.log(limit / (1 - limit)))
        assert image.margin == pytest.approx(wanted, rel=1e-6)
        is_called = 1 / (1 + math.exp(-scores[n])) >= limit
        assert image.error_rate == (is_called != (labels[n] == "yes"))
        assert (image.disagreement, image.sd, image.n_networks) == (None, None, 1)
    assert list(rounds[0].certainties) == ["margin", "entropy"]


def test_a_threshold_beyond_every_probability_leaves_finite_margins():
    rows = make_rows([0.1, -3.0, 2.0], ["no", "no", "yes"])
    test = build_test(rows, {}, classes=BINARY, rule=BY_YOUDEN)
    high = [
        type(held)(held.arm, held.fold, held.seed, type(held.threshold)(1.00000001, "high"))
        for held in test.thresholds
    ]
    found = describe_certainty("transfer", test.arms, thresholds=high)[0]
    assert np.isfinite(found.margin).all()
    assert found.margin.argmin() == 2


def test_seeds_of_one_training_disagree_and_are_counted():
    rng = np.random.default_rng(5)
    odds = rng.normal(size=(3, 20))
    labels = ["yes" if n % 3 else "no" for n in range(20)]
    rows = [row for seed in range(3) for row in make_rows(odds[seed], labels, seed=seed)]
    rounds, images, _ = describe(rows)
    shares = 1 / (1 + np.exp(-odds))
    for n, image in enumerate(images):
        mean = shares[:, n].mean()
        single = np.mean([in_nats([p, 1 - p]) for p in shares[:, n]])
        pooled = in_nats([mean, 1 - mean])
        assert image.entropy == pytest.approx(pooled / math.log(2))
        assert image.disagreement == pytest.approx((pooled - single) / math.log(2))
        assert image.sd == pytest.approx(np.std(shares[:, n], ddof=1))
        assert image.error_rate == pytest.approx(
            np.mean([(p >= 0.5) != (labels[n] == "yes") for p in shares[:, n]])
        )
        assert image.n_networks == 3
    assert len(rounds) == 3
    assert list(rounds[0].certainties) == ["margin", "entropy", "disagreement"]


def test_networks_of_other_trainings_are_no_seeds_of_one_another():
    """Repeats have other training images: their networks differ for another reason."""
    rng = np.random.default_rng(6)
    labels = ["yes", "no"] * 8
    rows = []
    for repeat in range(2):
        own = make_rows(rng.normal(size=16), labels, folds=[repeat] * 16)
        rows += [{**row, "repeat": str(repeat), "part": "0"} for row in own]
    _, images, _ = describe(rows)
    assert {image.disagreement for image in images} == {None}
    assert {image.n_networks for image in images} == {2}


def test_an_ensemble_has_its_own_entropy_and_its_members_disagreement():
    rng = np.random.default_rng(8)
    odds, labels = rng.normal(size=(2, 12)), ["yes", "no"] * 6
    rows = [row for seed in range(2) for row in make_rows(odds[seed], labels, seed=seed)]
    pooled = make_rows(odds.mean(axis=0) / 2, labels, arm="transfer-ensemble")
    rows += [{**row, "seed": "all"} for row in pooled]
    _, images, test = describe(rows, arm="transfer-ensemble")
    singles = list_images(
        "transfer",
        test.arms["transfer"],
        rounds=describe_certainty("transfer", test.arms, thresholds=test.thresholds),
    )
    for n, (image, single) in enumerate(zip(images, singles, strict=True)):
        share = 1 / (1 + math.exp(-odds[:, n].mean() / 2))
        assert image.entropy == pytest.approx(in_nats([share, 1 - share]) / math.log(2))
        assert image.disagreement == single.disagreement
        assert image.n_networks == 2


def test_several_classes_have_no_margin():
    rng = np.random.default_rng(9)
    rows = make_multiclass_rows(rng.normal(size=(9, 3)), list("abcabcabc"), split="test")
    rounds, images, _ = describe(rows, classes=Classes(("a", "b", "c"), None))
    assert list(rounds[0].certainties) == ["entropy"]
    assert {image.margin for image in images} == {None}
    told = [[float(row[f"probability_{name}"]) for name in "abc"] for row in rows]
    for image, shares in zip(images, told, strict=True):
        assert image.predicted == "abc"[int(np.argmax(shares))]
        assert image.error_rate == (image.predicted != image.label)


def test_the_predicted_class_is_that_of_the_threshold_so_that_it_agrees_with_the_error_rate():
    """Few positives are sure of anything: the threshold lies far below one half."""
    scores, labels, folds = draw_binary(90, seed=5)
    low = [score - 2 for score in scores]
    rows = make_rows(low, labels, folds=folds)
    rows += make_rows(low, labels, folds=folds, split="validation")
    _, images, _ = describe(rows)
    assert any(image.predicted != image.most_probable for image in images)
    for image, odds in zip(images, low, strict=True):
        assert image.error_rate == (image.predicted != image.label)
        assert image.most_probable == ("yes" if odds > 0 else "no")
        assert image.probability >= 0.5


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_of_several_networks_the_class_that_most_predict_is_predicted(n_seeds):
    scores, labels, folds = draw_binary(60, seed=6)
    rng = np.random.default_rng(1)
    rows = []
    for seed in range(n_seeds):
        noisy = (np.array(scores) + rng.normal(0, 2, 60) - 1).tolist()
        for split in ("test", "validation"):
            rows += make_rows(noisy, labels, folds=folds, split=split, seed=seed)
    _, images, test = describe(rows)
    for n, image in enumerate(images):
        votes = [test.arms["transfer"].predicted[seed][n] for seed in range(n_seeds)]
        n_yes = sum(vote == 1 for vote in votes)
        tied = image.most_probable == "yes"
        is_yes = tied if 2 * n_yes == n_seeds else 2 * n_yes > n_seeds
        assert image.predicted == ("yes" if is_yes else "no")
        assert (image.predicted == image.label) or image.error_rate >= 0.5
