"""From seed to seed: each seed as if it were alone, their mean and their standard deviation."""

import statistics
from dataclasses import replace

import pytest
from predicted import SETTINGS, draw_binary, make_rows

from medvision.domain.arms import name_ensemble
from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.labels.rows import Classes

_, LABELS, FOLDS = draw_binary(60, seed=3)


def rows_of(seed: int, *, arm: str = "transfer", effect: float = 1.0, **places):
    scores, labels, folds = draw_binary(60, seed=3)
    noise, _, _ = draw_binary(60, seed=100 + seed, effect=0.0)
    mixed = [score * effect + 2 * other for score, other in zip(scores, noise, strict=True)]
    rows = make_rows(mixed, labels, folds=folds, arm=arm, seed=seed)
    return [{**row, **places} for row in rows]


def evaluate(rows):
    return evaluate_predictions(
        rows,
        {},
        classes=Classes(("no", "yes"), "yes"),
        settings=replace(SETTINGS, n_resamples=100, seed=0, calibration_bins=3),
        variables={},
    )


def find(result, metric: str = "auc", arm: str = "transfer"):
    (found,) = [item for item in result.spreads if (item.arm, item.metric) == (arm, metric)]
    return found


def value(result, metric: str = "auc", arm: str = "transfer"):
    (found,) = [e for e in result.estimates if (e.arm, e.metric) == (arm, metric)]
    return found.value


@pytest.mark.parametrize("metric", ["auc", "brier", "sensitivity", "balanced_accuracy"])
def test_each_seed_has_the_figure_that_it_has_alone(metric):
    """Oracle: an evaluation of nothing but that seed, and the textbook's formula."""
    seeds = (0, 1, 4)
    result = evaluate([row for seed in seeds for row in rows_of(seed)])
    alone = {seed: value(evaluate(rows_of(seed)), metric) for seed in seeds}
    found = find(result, metric)
    assert found.values == pytest.approx(alone)
    assert found.mean == pytest.approx(statistics.mean(alone.values()))
    assert found.sd == pytest.approx(statistics.stdev(alone.values()))
    assert found.n_seeds == 3
    assert len(set(alone.values())) > 1 or metric == "sensitivity"


def test_the_mean_over_seeds_is_the_figure_that_is_reported():
    result = evaluate([row for seed in range(4) for row in rows_of(seed)])
    for item in result.spreads:
        assert item.mean == pytest.approx(value(result, item.metric))


def test_a_lucky_seed_is_never_the_figure_whatever_its_place():
    lucky = rows_of(1, effect=9.0)
    for seeds in ((0, 2), (2, 3)):
        result = evaluate([*lucky, *(row for seed in seeds for row in rows_of(seed))])
        found = find(result)
        assert max(found.values, key=found.values.get) == 1
        assert value(result) == pytest.approx(found.mean)
        assert value(result) < max(found.values.values())


def test_of_one_seed_there_is_no_standard_deviation():
    found = find(evaluate(rows_of(5)))
    assert (found.n_seeds, found.sd) == (1, None)
    assert found.mean == pytest.approx(found.values[5])


def test_repeats_and_inner_trainings_are_averaged_within_their_seed():
    """Four rounds of two seeds are two seeds, not four."""
    rows = [
        row
        for seed in (0, 1)
        for repeat in (0, 1)
        for row in rows_of(10 * seed + repeat, repeat=str(repeat))
        if row.update(seed=str(seed)) is None
    ]
    found = find(evaluate(rows))
    single = [
        value(evaluate([row for row in rows if (row["seed"], row["repeat"]) == (s, r)]))
        for s in ("0", "1")
        for r in ("0", "1")
    ]
    assert found.n_seeds == 2
    assert found.values[0] == pytest.approx(statistics.mean(single[:2]))
    assert found.values[1] == pytest.approx(statistics.mean(single[2:]))


def test_an_ensemble_has_no_seeds_of_its_own():
    pooled = [{**row, "seed": "all"} for row in rows_of(9, arm=name_ensemble("transfer"))]
    result = evaluate([*rows_of(0), *rows_of(1), *pooled])
    assert {item.arm for item in result.spreads} == {"transfer"}
    assert result.seeds == (0, 1)


def test_an_undefined_figure_has_no_mean():
    rows = [row for row in rows_of(0) if row["label"] == "yes"]
    assert find(evaluate(rows)).mean is None
