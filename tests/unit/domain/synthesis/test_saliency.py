"""Saliency: an equal network passes, a worse one is refused, and who cannot tell says so."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.domain.resampling.bootstrap import draw_weights
from medvision.domain.synthesis.gauges import MIXED, PLAIN, SIGNS
from medvision.domain.synthesis.saliency import MARGIN, judge_saliency
from tests.saliency_draws import BLIND, RULES, draw_gauges

QUICK = replace(RULES, n_repeats=20)
FEW = {"methods": ("occlusion",), "checks": ("deletion", "weight_randomisation")}


def judge(gauges, rules=QUICK):
    *checks, last = judge_saliency(gauges, rules)
    return {(own.space, own.statistic.removeprefix("loss of ")): own for own in checks}, last


def is_refused(gauges, rules=RULES):
    return any(own.verdict == "refused" for own in judge_saliency(gauges, rules))


def is_open(gauges, rules=RULES):
    return not any(own.is_closed for own in judge_saliency(gauges, rules))


def test_an_equal_network_is_refused_once_in_a_hundred_times_at_most_where_seeds_differ_little():
    verdicts = [is_refused(draw_gauges(seed, spread=0.05)) for seed in range(60)]
    assert sum(verdicts) <= 2


def test_an_equal_network_passes_where_seeds_differ_little():
    assert sum(is_open(draw_gauges(seed, spread=0.05)) for seed in range(40)) >= 36


def test_a_network_whose_maps_know_nothing_is_refused():
    drawn = [draw_gauges(seed, spread=0.05, loss=1.0) for seed in range(30)]
    assert sum(map(is_refused, drawn)) >= 29


def test_a_worse_network_of_one_check_alone_is_refused_by_that_check():
    gauges = draw_gauges(3, n=40)
    worse = [
        replace(own, value=BLIND["rank_accuracy"])
        if (own.network, own.check, own.method) == (MIXED, "rank_accuracy", "layer_gradcam")
        else own
        for own in gauges
    ]
    checks, _ = judge(worse, RULES)
    refused = [place for place, own in checks.items() if own.verdict == "refused"]
    assert refused == [("layer_gradcam", "rank_accuracy")]


def test_a_better_network_passes():
    assert is_open(draw_gauges(4, loss=-0.8))


def test_where_seeds_differ_as_much_as_there_is_to_lose_nothing_is_told():
    gauges = draw_gauges(5, spread=2.0)
    checks, last = judge(gauges)
    assert {own.verdict for own in checks.values()} <= {"described", "passed"}
    assert last.verdict == "undecided"
    assert "cannot tell" in next(own.reason for own in checks.values())


def test_plain_networks_that_know_nothing_themselves_leave_it_undecided():
    gauges = [replace(own, value=BLIND[own.check]) for own in draw_gauges(6)]
    checks, last = judge(gauges)
    assert {own.verdict for own in checks.values()} == {"described"}
    assert last.verdict == "undecided"


def test_sanity_alone_does_not_decide():
    gauges = draw_gauges(7, n=40, checks=("weight_randomisation", "class_sensitivity"))
    checks, last = judge(gauges)
    assert "passed" in {own.verdict for own in checks.values()}
    assert last.verdict == "undecided"
    assert "none of deletion" in last.reason


@pytest.mark.parametrize("few", [{"n": 5}, {"n_plain": 1}])
def test_too_few_subjects_or_networks_leave_it_undecided(few):
    checks, last = judge(draw_gauges(8, **few))
    assert not checks
    assert (last.verdict, last.value) == ("undecided", 0.0)
    assert "6 subjects before 2 plain networks" in last.reason


def test_without_a_single_row_it_is_undecided():
    assert [own.verdict for own in judge_saliency([], QUICK)] == ["undecided"]


def test_empty_maps_count_as_chance_and_are_refused():
    gauges = [
        replace(own, value=None, chance=None) if own.network == MIXED else own
        for own in draw_gauges(9, n=40)
    ]
    checks, _ = judge(gauges, RULES)
    own = checks["integrated_gradients", "deletion"]
    assert own.verdict == "refused"
    assert own.reason.startswith("0.5 with synthetic images")


def test_a_subject_that_one_network_has_no_row_of_is_left_out_of_that_check_alone():
    gauges = [
        own
        for own in draw_gauges(10, **FEW)
        if (own.subject, own.check, own.network) != ("sub-003", "deletion", PLAIN)
    ]
    checks, _ = judge(gauges)
    assert [own.n for own in checks.values()] == [23, 24]


def test_a_loss_below_the_margin_is_never_refused_however_sure_it_is():
    steady = [
        replace(own, value=BLIND[own.check] + SIGNS[own.check] * (0.4 if own.network else 0))
        for own in draw_gauges(11)
    ]
    for lost, verdict in ((0.9 * MARGIN, "passed"), (1.2 * MARGIN, "refused")):
        gauges = [
            replace(own, value=own.value - SIGNS[own.check] * 0.4 * lost)
            if own.network == MIXED
            else own
            for own in steady
        ]
        checks, _ = judge(gauges)
        assert {own.verdict for own in checks.values()} == {verdict}


def find_slowly(gauges, rules, *, method, check):
    """Compute the loss, the comparator and the threshold of a check, number by number."""
    subjects = sorted({own.subject for own in gauges})
    labels = {own.subject: own.label for own in gauges}
    pairs = list(dict.fromkeys((own.method, own.check) for own in gauges))
    seeds = sorted({own.seed for own in gauges if own.network == PLAIN})
    chunks = draw_weights(
        subjects,
        np.zeros(len(subjects), dtype=int),
        labels=np.array([sorted(set(labels.values())).index(labels[s]) for s in subjects]),
        n_resamples=rules.n_repeats * 20,
        seed=rules.seed,
    )
    weights = [row for chunk in chunks for row in chunk]
    table, extremes, shared = {}, [0.0] * len(weights), []
    for pair in pairs:
        held = {
            (own.network, own.seed, own.subject): SIGNS[own.check] * own.value
            for own in gauges
            if (own.method, own.check) == pair
        }
        there = [s for s in subjects if (MIXED, 0, s) in held]
        losses = [[np.mean([held[PLAIN, k, s] for k in seeds]) - held[MIXED, 0, s] for s in there]]
        for out in seeds:
            others = [k for k in seeds if k != out]
            losses.append(
                [np.mean([held[PLAIN, k, s] for k in others]) - held[PLAIN, out, s] for s in there]
            )
        gain = np.mean(
            [
                np.mean([held[PLAIN, k, s] for k in seeds]) - SIGNS[pair[1]] * BLIND[pair[1]]
                for s in there
            ]
        )
        errors, first = [], []
        for number, loss in enumerate(losses):
            means = []
            for weight in weights:
                own = [float(weight[subjects.index(s)]) for s in there]
                means.append(sum(w * x for w, x in zip(own, loss, strict=True)) / sum(own))
            errors.append(np.sqrt(np.mean((np.array(means) - np.mean(means)) ** 2)))
            first = means if number == 0 else first
        excess = np.mean(
            [np.mean(loss) ** 2 - e**2 for loss, e in zip(losses[1:], errors[1:], strict=True)]
        )
        if gain > 4 * max(errors[1:]):
            shared.append(excess / gain**2)
        extremes = [
            max(old, (mean - np.mean(losses[0])) / errors[0])
            for old, mean in zip(extremes, first, strict=True)
        ]
        table[pair] = (losses, gain, errors[0], excess, len(there))
    reach = max(float(np.quantile(extremes, rules.level)), 2.3263478740408408)
    losses, gain, error, excess, n = table[method, check]
    reach += (reach**3 + reach) / (4 * (n - 1))
    seeds_vary = (max(0, excess) + max(0, np.median(shared or [0])) * gain**2) / 2
    threshold = reach * np.sqrt(error**2 + seeds_vary) + MARGIN * gain
    return np.mean(losses[0]), max(np.mean(loss) for loss in losses[1:]), threshold


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("check", ["deletion", "weight_randomisation", "rank_accuracy"])
def test_what_is_computed_is_what_plain_loops_compute(seed, check):
    wanted = ("deletion", "weight_randomisation", "rank_accuracy")
    gauges = draw_gauges(seed, n=14, spread=0.4, loss=0.3, methods=("occlusion",), checks=wanted)
    rules = replace(RULES, n_repeats=20)
    checks, _ = judge(gauges, rules)
    own = checks["occlusion", check]
    slow = find_slowly(gauges, rules, method="occlusion", check=check)
    np.testing.assert_allclose((own.value, own.comparator, own.threshold), slow, rtol=1e-9)
    assert own.high - own.value == pytest.approx(own.value - own.low)
    assert own.value - own.low < own.threshold


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-10, 10), st.randoms())
def test_neither_unit_nor_zero_nor_order_of_rows_matter(seed, unit, zero, shuffler):
    gauges = draw_gauges(seed, n=10, spread=0.3, loss=0.5, **FEW)
    moved = [
        replace(own, value=own.value * unit + zero, chance=own.chance * unit + zero)
        if own.check == "deletion"
        else own
        for own in gauges
    ]
    shuffler.shuffle(moved)
    before, last = judge(gauges)
    after, end = judge(moved)
    assert {key: own.verdict for key, own in before.items()} == {
        key: own.verdict for key, own in after.items()
    }
    assert last == replace(end, low=last.low, high=last.high)
    key = ("occlusion", "deletion")
    assert after[key].threshold == pytest.approx(unit * before[key].threshold, rel=1e-6)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.0, 2.0))
def test_a_larger_loss_is_never_judged_more_kindly(seed, more):
    kinds = {"described": 0, "passed": 0, "refused": 1}
    gauges = draw_gauges(seed, n=10, spread=0.2, loss=0.5, **FEW)
    worse = [
        replace(own, value=own.value - SIGNS[own.check] * more) if own.network == MIXED else own
        for own in gauges
    ]
    before, after = judge(gauges)[0], judge(worse)[0]
    for key, own in before.items():
        assert kinds[after[key].verdict] >= kinds[own.verdict]
        assert after[key].threshold == pytest.approx(own.threshold)


def test_the_order_of_rows_changes_no_bit():
    gauges = draw_gauges(12, spread=0.2)
    assert repr(judge_saliency(gauges, RULES)) == repr(judge_saliency(gauges[::-1], RULES))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_check_on_few_subjects_of_both_classes_that_lost_everything_never_passes(seed):
    masks = ("relevance_mass", "rank_accuracy")
    plain = draw_gauges(seed, n=48, checks=("relevance_mass",), methods=("occlusion",))
    # 24 subjects of two classes, the first 3 of each with a mask: some resamples hold none of them.
    masked = [
        replace(own, label="ab"[int(own.subject[4:]) // 2 % 2])
        for own in plain
        if int(own.subject[4:]) < 12
    ]
    blind = [
        replace(own, value=BLIND[own.check]) if own.network == MIXED else own for own in masked
    ]
    others = [own for own in draw_gauges(seed, n=48) if own.check not in masks]
    relabelled = [
        replace(own, label="ab"[int(own.subject[4:]) // 2 % 2])
        for own in others
        if int(own.subject[4:]) % 2 == 0
    ]
    checks, _ = judge([*blind, *relabelled], RULES)
    own = checks["occlusion", "relevance_mass"]
    assert own.n == 6
    assert np.isfinite([own.value, own.low, own.high, own.threshold]).all()
    assert own.verdict in ("refused", "described")


def test_a_check_that_cannot_be_computed_tells_nothing():
    gauges = [
        replace(own, value=float("nan")) if own.network == MIXED else own
        for own in draw_gauges(13, n=12, methods=("occlusion",), checks=("deletion",))
    ]
    checks, last = judge(gauges)
    assert [own.verdict for own in checks.values()] == ["described"]
    assert "cannot be computed" in checks["occlusion", "deletion"].reason
    assert (last.verdict, last.value) == ("undecided", 0.0)
