"""Values evaluated: scikit-learn, scipy and closed forms; intervals by subject."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicted import SETTINGS
from scipy.stats import pearsonr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from medvision.domain.evaluation.regression import (
    METHODS,
    compute_value_statistics,
    evaluate_values,
)
from medvision.domain.labels.rows import Classes
from medvision.errors import DataError

AGE = Classes(("age",), None, "regression")


def make_rows(true, predicted, *, arm="transfer", subjects=None, seed=0, folds=None):
    return [
        {
            "arm": arm,
            "repeat": "0",
            "inner": "0",
            "seed": str(seed),
            "split": "test",
            **{name: str(folds[n] if folds else 0) for name in ("fold", "part")},
            "image_id": f"image-{n:04d}",
            "subject": subjects[n] if subjects else f"s-{n:04d}",
            "label": repr(float(x)),
            "predicted": repr(float(y)),
        }
        for n, (x, y) in enumerate(zip(true, predicted, strict=True))
    ]


def draw(n=60, seed=0, noise=6.0):
    rng = np.random.default_rng(seed)
    true = rng.normal(60, 12, n)
    return true, true + rng.normal(1.5, noise, n)


def evaluate(rows, groups=None, n_resamples=300):
    settings = replace(SETTINGS, n_resamples=n_resamples)
    return evaluate_values(rows, groups or {}, classes=AGE, settings=settings)


def find(result, metric, arm="transfer"):
    (found,) = [e for e in result.estimates if (e.arm, e.metric) == (arm, metric)]
    return found


def oracle(true, predicted):
    errors = predicted - true
    sd = np.std(errors, ddof=1)
    return {
        "mae": mean_absolute_error(true, predicted),
        "rmse": root_mean_squared_error(true, predicted),
        "r2": r2_score(true, predicted),
        "pearson_r": pearsonr(true, predicted).statistic,
        "bias": errors.mean(),
        "loa_low": errors.mean() - 1.96 * sd,
        "loa_high": errors.mean() + 1.96 * sd,
    }


def test_every_statistic_is_the_oracles():
    true, predicted = draw()
    result = evaluate(make_rows(true, predicted))
    for name, value in oracle(true, predicted).items():
        estimate = find(result, name)
        assert estimate.value == pytest.approx(value, rel=1e-9)
        assert estimate.low < value < estimate.high
    assert [e.metric for e in result.estimates] == list(METHODS)


@given(st.integers(0, 10_000), st.floats(-1e6, 1e6))
def test_weights_count_images_as_often_as_they_say(seed, shift):
    """A resample is the data themselves, repeated: far from 0 as well."""
    rng = np.random.default_rng(seed)
    true, predicted = (rng.normal(shift, 5, 12) for _ in range(2))
    counts = rng.integers(0, 4, 12)
    counts[:3] = 1
    found = compute_value_statistics(true, predicted, weights=counts[None].astype(float))
    expected = oracle(np.repeat(true, counts), np.repeat(predicted, counts))
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_constant_predictions_have_no_correlation_and_all_else():
    true, _ = draw()
    result = evaluate(make_rows(true, np.full(60, 61.7)))
    assert find(result, "pearson_r").value is None
    assert "equal" in find(result, "pearson_r").reason
    assert find(result, "r2").value <= 0
    assert find(result, "mae").low is not None


def test_equal_true_values_have_no_share_explained():
    result = evaluate(make_rows(np.full(20, 0.1), draw(20)[1]))
    assert find(result, "r2").value is None
    assert find(result, "mae").value is not None


def test_copies_of_each_subjects_rows_do_not_narrow_the_interval():
    true, predicted = draw(40)
    names = [f"s{n}" for n in range(40)]
    once = evaluate(make_rows(true, predicted, subjects=names))
    copied = evaluate(make_rows(np.tile(true, 4), np.tile(predicted, 4), subjects=names * 4))
    for metric in ("mae", "rmse", "bias", "pearson_r"):
        plain, fourfold = find(once, metric), find(copied, metric)
        assert fourfold.high - fourfold.low == pytest.approx(plain.high - plain.low, rel=1e-6)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """Mean error 1.5 in truth: of 100 studies about 95 intervals hold it."""
    held = 0
    for seed in range(100):
        estimate = find(evaluate(make_rows(*draw(50, seed=seed)), n_resamples=200), "bias")
        held += estimate.low <= 1.5 <= estimate.high
    assert 88 <= held <= 99


def test_arms_are_compared_on_the_same_subjects():
    true, predicted = draw()
    better = true + 0.3 * (predicted - true)
    rows = [*make_rows(true, better), *make_rows(true, predicted, arm="scratch")]
    differences = {d.metric: d for d in evaluate(rows).differences}
    assert differences["mae"].high < 0
    assert differences["pearson_r"].low > 0
    # Paired: far narrower than the arms' own intervals.
    own = find(evaluate(rows), "mae", arm="scratch")
    assert differences["mae"].high - differences["mae"].low < own.high - own.low


def test_several_seeds_are_averaged_and_add_no_subjects():
    true, predicted = draw()
    other = 2 * true - predicted
    both = evaluate([*make_rows(true, predicted), *make_rows(true, other, seed=1)])
    one = evaluate(make_rows(true, predicted))
    assert find(both, "mae").value == pytest.approx(find(one, "mae").value)
    assert find(both, "bias").value == pytest.approx(0, abs=1e-9)
    assert find(both, "mae").n_subjects == 60
    assert "mean over 2 seeds" in find(both, "mae").method
    np.testing.assert_allclose(both.points["transfer"][:, 1], true)


@pytest.mark.parametrize(("column", "text"), [("predicted", "nan"), ("label", "old")])
def test_what_is_no_number_is_refused(column, text):
    rows = make_rows(*draw(4))
    rows[2][column] = text
    with pytest.raises(DataError, match="must be"):
        evaluate(rows)


def test_nothing_tested_is_refused():
    rows = [{**row, "split": "validation"} for row in make_rows(*draw(4))]
    with pytest.raises(DataError, match="test images must be predicted"):
        evaluate(rows)
