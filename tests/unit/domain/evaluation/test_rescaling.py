"""Calibration before and after a temperature: exact, paired, and silent where nothing was done."""

from dataclasses import replace

import numpy as np
import pytest
from predicted import SETTINGS, draw_binary, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.rescaling import read_temperatures
from medvision.domain.labels.rows import Classes
from medvision.errors import DataError
from medvision.io.tables import format_cell

BINARY = Classes(("no", "yes"), "yes")
FIGURES = ("brier", "log_loss", "ece", "calibration_slope", "calibration_intercept")


def evaluate(rows, temperatures=None, classes=BINARY, **changes):
    return evaluate_predictions(
        rows,
        {},
        classes=classes,
        settings=replace(SETTINGS, **changes),
        variables={},
        temperatures=temperatures or {},
    )


def scale_rows(odds, labels, folds, temperatures, **kinds):
    """Rows as predict writes them: log-odds divided by the temperature of their fold."""
    own = [value / temperatures[fold] for value, fold in zip(odds, folds, strict=True)]
    return make_rows(own, labels, folds=folds, **kinds)


@pytest.fixture(scope="module")
def study():
    odds, labels, folds = draw_binary(150, seed=4)
    # Of these draws a slope of 2 is right, so that log-odds are four times too large.
    return [8 * value for value in odds], labels, folds


def by_metric(result, field="scaling"):
    items = result.scaling if field == "scaling" else result.estimates
    return {item.metric: item for item in items}


def test_before_is_what_the_logits_as_they_were_would_have_given(study):
    """The oracle: the same images evaluated with logits that were never divided."""
    values = {0: 2.123456789, 1: 4.5, 2: 1.0}
    temperatures = {("transfer", fold, 0): value for fold, value in values.items()}
    result = evaluate(scale_rows(*study, values), temperatures)
    raw = evaluate(make_rows(study[0], study[1], folds=study[2]))
    assert [item.metric for item in result.scaling] == list(FIGURES)
    plain, scaled = by_metric(raw, "estimates"), by_metric(result, "estimates")
    for name, item in by_metric(result).items():
        wanted = plain[name]
        assert (item.before, item.before_low, item.before_high) == pytest.approx(
            (wanted.value, wanted.low, wanted.high), rel=1e-6
        )
        after = scaled[name]
        assert (item.after, item.after_low, item.after_high) == (after.value, after.low, after.high)
        assert item.change == pytest.approx(item.after - item.before)
        assert (item.n_images, item.n_subjects) == (150, 150)
        assert (item.n_scaled, item.n_networks) == (2, 3)
    for held, wanted in zip(
        result.calibration_before["transfer"], raw.calibration["transfer"], strict=True
    ):
        assert held.predicted == pytest.approx(wanted.predicted, rel=1e-6)
        assert (held.observed, held.low, held.high) == (wanted.observed, wanted.low, wanted.high)
        assert (held.n, held.n_subjects) == (wanted.n, wanted.n_subjects)


def test_a_temperature_that_helps_is_seen_to_help(study):
    """Log-odds four times too large, divided by four: the slope is four times what it was."""
    result = evaluate(
        scale_rows(*study, dict.fromkeys(range(3), 4.0)),
        {("transfer", fold, 0): 4.0 for fold in range(3)},
    )
    found = by_metric(result)
    assert found["log_loss"].change_high < 0
    assert found["brier"].change < 0
    assert found["calibration_slope"].after == pytest.approx(
        4 * found["calibration_slope"].before, rel=1e-6
    )


def test_a_slope_as_far_above_1_as_it_was_below_is_not_called_nearer(study):
    """The planted fault: the change alone is surely above 0, for every resample is multiplied."""
    raw = by_metric(evaluate(make_rows(study[0], study[1], folds=study[2])), "estimates")
    before = 0.9
    odds = [value * raw["calibration_slope"].value / before for value in study[0]]
    ratio = (2 - before) / before
    result = evaluate(
        scale_rows(odds, *study[1:], dict.fromkeys(range(3), ratio)),
        {("transfer", fold, 0): ratio for fold in range(3)},
    )
    item = by_metric(result)["calibration_slope"]
    assert (item.before, item.after) == pytest.approx((0.9, 1.1), rel=1e-6)
    assert item.change_low > 0
    assert item.distance_change == pytest.approx(0, abs=1e-6)
    assert item.distance_low < 0 < item.distance_high


def test_the_distance_is_that_from_the_right_value(study):
    values = dict.fromkeys(range(3), 4.0)
    result = evaluate(scale_rows(*study, values), {("transfer", fold, 0): 4.0 for fold in range(3)})
    for name, item in by_metric(result).items():
        right = 1 if name == "calibration_slope" else 0
        assert item.distance_change == pytest.approx(
            abs(item.after - right) - abs(item.before - right)
        )
        if name in ("brier", "log_loss", "ece"):
            ends = (item.distance_low, item.distance_high)
            assert ends == (item.change_low, item.change_high)


def test_the_interval_of_the_change_is_paired(study):
    """Narrower than that of two figures of other subjects would be."""
    values = dict.fromkeys(range(3), 1.2)
    temperatures = {("transfer", fold, 0): 1.2 for fold in range(3)}
    item = by_metric(evaluate(scale_rows(*study, values), temperatures))["log_loss"]
    apart = np.hypot(item.before_high - item.before_low, item.after_high - item.after_low)
    assert item.change_high - item.change_low < 0.4 * apart
    assert "paired on the same images" in item.method


def test_duplicating_each_subjects_rows_does_not_narrow_the_interval_of_the_change(study):
    odds, labels, folds = study
    values = dict.fromkeys(range(3), 3.0)
    temperatures = {("transfer", fold, 0): 3.0 for fold in range(3)}
    subjects = [f"s{n}" for n in range(len(odds))]
    once = evaluate(scale_rows(*study, values, subjects=subjects), temperatures)
    copied = scale_rows(odds * 3, labels * 3, folds * 3, values, subjects=subjects * 3)
    thrice = by_metric(evaluate(copied, temperatures))
    for name, plain in by_metric(once).items():
        for field in ("before", "after", "change"):
            ends = [
                (getattr(item, f"{field}_low"), getattr(item, f"{field}_high"))
                for item in (plain, thrice[name])
            ]
            # Bins of equal count may part copies elsewhere.
            assert ends[1] == pytest.approx(ends[0], rel=0.05 if name == "ece" else 1e-5)
        assert thrice[name].n_subjects == 150


def test_of_several_classes_brier_log_loss_and_calibration_error_are_told():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 90)
    logits = 3 * (rng.normal(size=(90, 3)) + np.eye(3)[labels])
    names = [str("abc"[n]) for n in labels]
    result = evaluate(
        make_multiclass_rows(logits / 3, names, split="test"),
        {("transfer", 0, 0): 3.0},
        classes=Classes(("a", "b", "c"), None),
    )
    raw = evaluate(
        make_multiclass_rows(logits, names, split="test"), classes=Classes(("a", "b", "c"), None)
    )
    plain = by_metric(raw, "estimates")
    assert list(by_metric(result)) == ["brier", "log_loss", "ece"]
    for name, item in by_metric(result).items():
        assert item.before == pytest.approx(plain[name].value, rel=1e-6)


def test_temperatures_of_one_change_nothing_and_say_so(study):
    values = dict.fromkeys(range(3), 1.0)
    temperatures = {("transfer", fold, 0): 1.0 for fold in range(3)}
    for item in evaluate(scale_rows(*study, values), temperatures).scaling:
        assert item.change == 0
        assert (item.change_low, item.change_high, item.n_scaled) == (None, None, 0)
        assert "every temperature is 1" in item.method


def test_the_bias_of_the_calibration_error_is_stated_on_both_sides(study):
    values = dict.fromkeys(range(3), 4.0)
    result = evaluate(scale_rows(*study, values), {("transfer", fold, 0): 4.0 for fold in range(3)})
    method = by_metric(result)["ece"].method
    assert "biased upwards: perfect probabilities would show about 0." in method
    assert "; before, about 0." in method


def test_without_temperatures_nothing_is_told(study):
    result = evaluate(make_rows(study[0], study[1], folds=study[2]))
    assert (result.scaling, result.calibration_before) == ((), {})


def test_a_network_without_its_temperature_is_refused(study):
    with pytest.raises(DataError, match="got none of arm transfer, fold 1"):
        evaluate(make_rows(study[0], study[1], folds=study[2]), {("transfer", 0, 0): 2.0})


def test_a_table_of_temperatures_is_read_by_finding_and_checked():
    row = {"arm": "transfer", "fold": "2", "seed": "all", "temperature": format_cell(1 / 3)}
    assert read_temperatures([row]) == {"": {("transfer", 2, -1): 0.333333333}}
    assert list(read_temperatures([row | {"finding": "mass"}])) == ["mass"]
    for text in ("0", "-1", "nan", "inf", "", "warm"):
        with pytest.raises(DataError, match="must be a number above 0"):
            read_temperatures([row | {"temperature": text}])
