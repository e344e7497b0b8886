"""BCa intervals: against scipy, against plain loops, and where they are undefined."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_rows
from scipy import stats
from sklearn.metrics import roc_auc_score

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes
from medvision.domain.resampling.bca import compute_bca, compute_influences, expand_confidence
from medvision.domain.resampling.bootstrap import compute_interval, leave_out
from medvision.domain.resampling.draws import Drawn, Draws, draw_statistics, find_ends

MANY = replace(SETTINGS, n_resamples=20_000)


def draw_mean(values, labels, *, settings=MANY):
    """Return the draws of a mean, or of the difference of two classes' means."""
    n = len(values)

    def compute(weights):
        means = [weights @ (values * (labels == k)) / (weights @ (labels == k)) for k in (0, 1)]
        return {"mean": means[0] if labels.max() == 0 else means[1] - means[0]}

    drawn = draw_statistics(
        {"a": compute} if labels.max() else {"a": lambda w: {"mean": w @ values / w.sum(axis=1)}},
        np.arange(n),
        folds=np.zeros(n, dtype=np.intp),
        labels=labels,
        settings=settings,
    )
    return drawn.arms["a"]["mean"], drawn


def find_by_scipy(samples, draws, statistic, *, freedom):
    """Return scipy's BCa interval of the same resamples, at the level of Student's t."""
    drawn = SimpleNamespace(bootstrap_distribution=draws.replicates)
    return stats.bootstrap(
        samples,
        statistic,
        n_resamples=0,
        bootstrap_result=drawn,
        method="BCa",
        confidence_level=2 * stats.norm.cdf(stats.t.ppf(0.975, freedom)) - 1,
    ).confidence_interval


def test_the_interval_of_a_skewed_mean_is_scipys():
    values = np.random.default_rng(1).exponential(size=40)
    draws, drawn = draw_mean(values, np.zeros(40, dtype=np.intp))
    low, high, how = find_ends(draws, drawn)
    freedom = compute_influences(draws.left_out, draws.strata).freedom
    wanted = find_by_scipy((values,), draws, lambda a, axis: a.mean(axis=axis), freedom=freedom)
    assert how == f"BCa bootstrap, widened as t of {freedom:.0f} degrees of freedom"
    assert (low, high) == pytest.approx(wanted, rel=1e-3)
    plain = compute_interval(draws.replicates, 0.95)
    assert low > plain[0] + 0.01
    assert high > plain[1] + 0.03


def test_the_interval_of_two_classes_is_scipys_of_two_samples():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.exponential(size=30), 2 + 3 * rng.exponential(size=15)])
    labels = np.repeat([0, 1], [30, 15])
    draws, drawn = draw_mean(values, labels)
    low, high, _ = find_ends(draws, drawn)
    freedom = compute_influences(draws.left_out, draws.strata).freedom
    wanted = find_by_scipy(
        (values[30:], values[:30]),
        draws,
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        freedom=freedom,
    )
    assert (low, high) == pytest.approx(wanted, rel=1e-3)


def test_the_acceleration_of_a_mean_is_a_sixth_of_its_skewness_over_root_n():
    values = np.random.default_rng(5).exponential(size=50)
    draws, _ = draw_mean(values, np.zeros(50, dtype=np.intp), settings=SETTINGS)
    wanted = stats.skew(values) / (6 * math.sqrt(50))
    assert compute_influences(draws.left_out, draws.strata).acceleration == pytest.approx(wanted)


def test_leaving_out_is_a_plain_loop_over_subjects():
    """Oracle: scikit-learn without each subject's images."""
    rng = np.random.default_rng(6)
    subjects = np.repeat(np.arange(12), rng.integers(1, 4, 12))
    truth = subjects % 3 == 0
    scores = rng.normal(size=len(subjects)) + truth
    strata, weights = leave_out(
        [str(s) for s in subjects], np.zeros(len(subjects), np.intp), labels=truth.astype(np.intp)
    )
    rows = np.concatenate(list(weights))
    found = [roc_auc_score(truth, scores, sample_weight=row) for row in rows]
    wanted = [roc_auc_score(truth[subjects != n], scores[subjects != n]) for n in range(12)]
    # A class that weighs more as a whole leaves an AUC as it is.
    assert sorted(found) == pytest.approx(sorted(wanted))
    assert sorted(np.bincount(strata).tolist()) == [4, 8]
    assert sorted((rows == 0).sum(axis=1)) == sorted(np.bincount(subjects))


def test_units_of_several_subjects_give_the_acceleration_of_single_ones():
    """Of 6000 subjects six are left out at once."""
    values = np.random.default_rng(7).exponential(size=6000)
    draws, _ = draw_mean(values, np.zeros(6000, dtype=np.intp), settings=SETTINGS)
    assert len(draws.left_out) == 1000
    wanted = stats.skew(values) / (6 * math.sqrt(6000))
    found = compute_influences(draws.left_out, draws.strata).acceleration
    assert found == pytest.approx(wanted, abs=0.65 / 1000 * 3)


def test_without_bias_and_acceleration_it_is_the_percentile_interval():
    replicates = np.random.default_rng(8).normal(size=1999)
    found = compute_bca(float(np.median(replicates)), replicates, acceleration=0.0, confidence=0.9)
    assert found == pytest.approx(compute_interval(replicates, 0.9), abs=0.01)


@pytest.mark.parametrize(
    ("value", "acceleration", "reason"),
    [
        (9.0, 0.0, "all resamples lie on one side of the value"),
        (-9.0, 0.0, "all resamples lie on one side of the value"),
        (0.0, math.nan, "with a subject left out"),
        (0.0, 0.6, "the acceleration is too large"),
    ],
)
def test_where_it_is_undefined_percentiles_stand_in_and_say_why(value, acceleration, reason):
    replicates = np.random.default_rng(9).normal(size=500)
    found = compute_bca(value, replicates, acceleration=acceleration, confidence=0.95)
    assert isinstance(found, str)
    assert reason in found
    if math.isnan(acceleration):
        drawn, strata = Drawn({}, "bca", 0.95), np.zeros(3, np.intp)
        low, high, how = find_ends(Draws(value, replicates, np.full(3, 0.5), strata, "fold"), drawn)
        assert (low, high) == compute_interval(replicates, 0.95)
        assert how.startswith("percentile bootstrap (BCa is undefined: it does not change")


def test_an_evaluation_says_which_interval_it_has():
    scores, labels, folds = draw_binary(80, seed=1)
    rows = make_rows(scores, labels, folds=folds)
    results = {
        kind: evaluate_predictions(
            rows,
            {},
            classes=Classes(("no", "yes"), "yes"),
            settings=replace(SETTINGS, interval=kind),
            variables={},
        )
        for kind in ("bca", "percentile")
    }
    for kind, words in (("bca", "BCa bootstrap"), ("percentile", "percentile bootstrap")):
        auc = results[kind].estimates[0]
        assert f"; {words}" in auc.method
        assert auc.low < auc.value < auc.high
    assert results["bca"].estimates[0].low != results["percentile"].estimates[0].low


def test_copies_of_a_subjects_images_change_no_acceleration():
    """The planted fault: images left out one by one would make copies count as evidence."""
    values = np.random.default_rng(10).exponential(size=30)

    def find(copies):
        held = np.tile(values, copies)
        drawn = draw_statistics(
            {"a": lambda w: {"mean": w @ held / w.sum(axis=1)}},
            np.tile(np.arange(30), copies),
            folds=np.zeros(len(held), dtype=np.intp),
            labels=np.zeros(len(held), dtype=np.intp),
            settings=SETTINGS,
        )
        return find_ends(drawn.arms["a"]["mean"], drawn)[:2]

    assert find(3) == pytest.approx(find(1))


@pytest.mark.parametrize("freedom", [3, 5, 10, 29, 200])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_widened_level_is_that_of_students_t(confidence, freedom):
    wanted = stats.t.ppf((1 + confidence) / 2, freedom)
    level = expand_confidence(confidence, freedom)
    assert stats.norm.ppf((1 + level) / 2) == pytest.approx(
        wanted, rel=0.04 if freedom < 5 else 0.004
    )


def test_the_degrees_of_freedom_are_the_subjects_that_carry_the_figure():
    """A mean of normal values has as many as there are values; of few that vary, about as many."""
    rng = np.random.default_rng(11)
    strata = np.zeros(1000, dtype=np.intp)
    even = compute_influences(rng.normal(size=1000), strata).freedom
    assert even == pytest.approx(1000, rel=0.15)
    few = np.concatenate([rng.normal(size=20), 1e-3 * rng.normal(size=980)])
    assert 8 < compute_influences(few, strata).freedom < 40


def test_strata_of_two_subjects_keep_their_variance():
    """The planted fault: two draws of two have half the variance that the mean of two has."""
    values = np.random.default_rng(12).normal(size=(300, 2))
    folds = np.repeat(np.arange(300), 2)
    drawn = draw_statistics(
        {"a": lambda w: {"mean": w @ values.ravel() / w.sum(axis=1)}},
        np.arange(600),
        folds=folds,
        labels=np.zeros(600, dtype=np.intp),
        settings=replace(SETTINGS, n_resamples=4000),
    )
    wanted = math.sqrt((values.var(axis=1, ddof=1) / 2).sum()) / 300
    assert drawn.arms["a"]["mean"].replicates.std() == pytest.approx(wanted, rel=0.05)
