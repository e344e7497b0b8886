"""Abstention: a useful order is told from a useless one, copies give no certainty, none is n/a."""

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.abstention import compute_abstention
from medvision.domain.evaluation.abstention_ends import judge_order
from medvision.domain.evaluation.classes import build_test
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.selective import COVERAGES
from medvision.domain.metrics.threshold import BY_YOUDEN

BINARY = Classes(("no", "yes"), "yes")


def compute(rows, classes=BINARY):
    test = build_test(rows, {}, classes=classes, rule=BY_YOUDEN)
    return compute_abstention(test.arms, test.thresholds, settings=SETTINGS)


def figures(found, score="margin"):
    return {held.metric: held for held in found.figures if held.score == score}


def judge(held):
    gain, pairs = held["aurc_gain"], held["error_auc"]
    return judge_order((gain.low, gain.high), (pairs.low, pairs.high))


def make_both(scores, labels):
    return make_rows(scores, labels) + make_rows(scores, labels, split="validation")


def test_figures_and_curve_are_counted_in_plain_loops():
    scores, labels, _ = draw_binary(80, seed=11)
    found = compute(make_both(scores, labels))
    held, curve = figures(found), [p for p in found.curve if p.score == "margin"]
    images = sorted(found.images, key=lambda image: -image.margin)
    n_wrong = sum(image.error_rate for image in images)
    assert held["error_rate"].value == pytest.approx(n_wrong / 80)
    assert held["error_rate"].n_wrong == n_wrong
    assert [point.coverage for point in curve] == list(COVERAGES)
    for point in curve:
        # 80 images: every share of the grid is a whole number of them.
        n_kept = round(80 * point.coverage)
        assert point.n_kept == n_kept
        assert point.risk == pytest.approx(
            sum(image.error_rate for image in images[:n_kept]) / n_kept
        )
    pairs = [
        (one.margin > other.margin) + (one.margin == other.margin) / 2
        for one in images
        for other in images
        if not one.error_rate and other.error_rate
    ]
    assert held["error_auc"].value == pytest.approx(np.mean(pairs))
    gain = held["error_rate"].value - held["aurc"].value
    assert held["aurc_gain"].value == pytest.approx(gain)
    for name in ("aurc", "aurc_gain", "augrc", "error_auc"):
        assert held[name].low < held[name].value < held[name].high


def test_an_order_that_finds_errors_is_called_better_than_chance_and_a_blind_one_is_not():
    scores, labels, _ = draw_binary(300, seed=1)
    useful = figures(compute(make_both(scores, labels)))
    assert useful["aurc_gain"].low > 0
    assert judge(useful) == "is better than a random order"
    rng = np.random.default_rng(2)
    # Right and wrong predictions are equally far from the threshold.
    truth = rng.random(300) < 0.5
    is_right = rng.random(300) < 0.75
    odds = np.where(truth == is_right, 1, -1) * (0.1 + rng.random(300))
    words = ["yes" if flag else "no" for flag in truth]
    blind = figures(compute(make_both(odds.tolist(), words)))
    assert blind["aurc_gain"].low < 0 < blind["aurc_gain"].high
    assert judge(blind) == "is not shown to be better than a random order"
    odds = np.where(is_right, 0.1, 1.0) * odds
    upside_down = figures(compute(make_both(odds.tolist(), words)))
    assert judge(upside_down) == "is worse than a random order"


def test_copies_of_subjects_narrow_no_interval():
    scores, labels, _ = draw_binary(40, seed=3)
    names = [f"s{n}" for n in range(40)]
    once = compute(make_rows(scores, labels, subjects=names))
    many = compute(make_rows(scores * 3, labels * 3, subjects=names * 3))
    for one, other in zip((*once.figures, *once.curve), (*many.figures, *many.curve), strict=True):
        assert (other.low, other.high) == pytest.approx((one.low, one.high))
        assert other.n_subjects == 40
    for one, other in zip(once.figures, many.figures, strict=True):
        assert other.value == pytest.approx(one.value)


def test_without_an_error_nothing_is_claimed():
    labels = ["no"] * 10 + ["yes"] * 10
    found = compute(make_rows([-2.0] * 10 + [2.0] * 10, labels))
    held = figures(found)
    assert (held["aurc"].value, held["aurc_gain"].low) == (0, None)
    assert held["error_auc"].value is None
    assert held["error_rate"].high == pytest.approx(0.161, abs=0.001)
    assert judge(held) == "cannot be judged"
    narrow, wide = found.curve[-1], found.curve[0]
    assert narrow.high < wide.high
    assert "Wilson's, subjects: 1" in wide.method


def test_constant_predictions_are_all_equally_certain():
    held = figures(compute(make_rows([0.3] * 12, ["yes", "no"] * 6)))
    assert held["aurc"].value == pytest.approx(held["error_rate"].value)
    assert held["error_auc"].value == pytest.approx(0.5)
    assert judge(held) == "cannot be judged"


def test_of_several_seeds_each_network_counts_and_the_disagreement_orders():
    rng = np.random.default_rng(4)
    labels = ["yes" if flag else "no" for flag in rng.random(60) < 0.5]
    truth = np.array([label == "yes" for label in labels])
    odds = rng.normal(size=(3, 60)) + 2 * truth - 1
    rows = [
        {**row, "seed": str(seed)} for seed in range(3) for row in make_both(odds[seed], labels)
    ]
    found = compute(rows)
    own = [compute(make_both(odds[seed], labels)) for seed in range(3)]
    for name in ("error_rate", "aurc", "augrc"):
        wanted = np.mean([figures(each)[name].value for each in own])
        assert figures(found)[name].value == pytest.approx(wanted)
    assert "mean over 3 seeds" in figures(found)["aurc"].method
    assert figures(found, "disagreement")["aurc"].value is not None
    assert {held.score for held in own[0].figures} == {"margin", "entropy"}


def test_several_classes_are_ordered_by_entropy():
    rng = np.random.default_rng(5)
    labels = list("abc") * 15
    logits = rng.normal(size=(45, 3)) + 2 * np.eye(3)[[ord(label) - 97 for label in labels]]
    found = compute(
        make_multiclass_rows(logits, labels, split="test"), Classes(("a", "b", "c"), None)
    )
    held = figures(found, "entropy")
    assert {figure.score for figure in found.figures} == {"entropy"}
    assert held["aurc"].value < held["error_rate"].value
    assert "by the most probable class" in held["aurc"].method


def test_a_perfect_order_has_an_interval_by_the_pairs_of_subjects_that_there_are():
    """Every wrong image lies nearer to the threshold than any right one."""
    odds = [2.0, 3, 4, 5, 6, 7, -2, -3, -4, -5, -6, -7, 0.1, 0.2, -0.1, -0.2]
    labels = ["yes"] * 6 + ["no"] * 6 + ["no"] * 2 + ["yes"] * 2
    rows = make_rows(odds, labels) + make_rows([1.0, -1.0], ["yes", "no"], split="validation")
    held = figures(compute(rows))
    assert (held["error_auc"].value, held["error_auc"].high) == (1, 1)
    assert held["error_auc"].low == pytest.approx(0.51, abs=0.01)
    assert "pairs of subjects: 4" in held["error_auc"].method
    assert judge(held) == "is better than a random order"


@pytest.mark.parametrize(
    ("gain", "pairs", "told"),
    [
        ((0.1, 0.2), (0.6, 0.8), "is better than a random order"),
        ((0.1, 0.2), (0.4, 0.8), "is not shown to be better than a random order"),
        ((-0.1, 0.2), (0.6, 0.8), "is not shown to be better than a random order"),
        ((-0.2, -0.1), (0.1, 0.4), "is worse than a random order"),
        ((-0.2, -0.1), (0.1, 0.6), "is not shown to be better than a random order"),
        ((None, None), (0.6, 0.8), "cannot be judged"),
        ((0.1, 0.2), (None, None), "cannot be judged"),
    ],
)
def test_both_intervals_must_say_so(gain, pairs, told):
    assert judge_order(gain, pairs) == told
