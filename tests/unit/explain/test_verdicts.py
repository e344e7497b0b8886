"""The verdict on a map and on a method: every check counts, and one that fails decides."""

import numpy as np
import pytest

from medvision.domain.attribution import Check
from medvision.explain.margins import resample_mean, summarise_margins
from medvision.explain.verdicts import conclude_cohort, conclude_rows


def row(n, check, verdict, **figures):
    return Check(f"image-{n}", "saliency", check, verdict, "why", "key", **figures)


def make_rows(passed, n, check="deletion"):
    return [row(i, check, "PASS" if i < passed else "FAIL") for i in range(n)]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("PASS", "NOT APPLICABLE"), "PASS"),
        (("PASS", "FAIL", "INCONCLUSIVE"), "FAIL"),
        (("PASS", "INCONCLUSIVE"), "INCONCLUSIVE"),
        (("EMPTY", "NOT APPLICABLE"), "EMPTY"),
        (("NOT APPLICABLE",), "INCONCLUSIVE"),
    ],
)
def test_a_map_passes_only_where_every_check_that_applies_passes(verdicts, expected):
    rows = [row(0, f"check-{i}", verdict) for i, verdict in enumerate(verdicts)]
    assert conclude_rows(rows)[0] == expected


@pytest.mark.parametrize(
    ("passed", "n", "expected"),
    [
        (12, 12, "PASS"),
        (11, 12, "INCONCLUSIVE"),
        (9, 12, "FAIL"),
        (3, 3, "INCONCLUSIVE"),
        (4, 4, "PASS"),
        (95, 100, "PASS"),
        (94, 100, "INCONCLUSIVE"),
        (80, 100, "FAIL"),
        (0, 1, "FAIL"),
    ],
)
def test_a_method_passes_a_check_at_95_percent_of_enough_maps(passed, n, expected):
    found = conclude_cohort(make_rows(passed, n))
    assert found["verdict"] == expected
    assert f"{passed} of {n}" in found["reason"] or expected == "PASS"
    assert (found["n"], found["n_passed"]) == (n, passed)
    assert found["low"] <= found["rate"] <= found["high"]


def test_a_method_is_judged_by_the_conjunction():
    rows = make_rows(12, 12) + make_rows(12, 12, "insertion") + make_rows(0, 12, "pointing")
    found = conclude_cohort(rows)
    assert (found["verdict"], found["n_passed"]) == ("FAIL", 0)
    assert found["reason"] == "failed: pointing (0 of 12)"
    assert found["checks"] == {"deletion": "PASS", "insertion": "PASS", "pointing": "FAIL"}


def test_weight_randomisation_is_judged_by_the_mean_over_the_maps():
    rows = [
        row(n, "weight_randomisation", "PASS" if s < 0.5 else "FAIL", statistic=s, threshold=0.5)
        for n, s in enumerate([0.1, 0.2, 0.6, 0.3])
    ]
    assert conclude_cohort(rows)["checks"]["weight_randomisation"] == "PASS"
    worse = [*rows, row(9, "weight_randomisation", "FAIL", statistic=0.95 * 3, threshold=0.5)]
    assert conclude_cohort(worse)["verdict"] == "FAIL"


def test_empty_maps_and_refused_methods_have_their_own_words():
    empty = [row(n, "deletion", "EMPTY") for n in range(5)]
    assert conclude_cohort(empty)["verdict"] == "EMPTY"
    refused = [row(n, "deletion", "NOT APPLICABLE") for n in range(5)]
    assert conclude_cohort(refused)["verdict"] == "NOT APPLICABLE"
    some = [row(0, "deletion", "EMPTY"), *make_rows(4, 4)[1:]]
    assert conclude_cohort(some)["maps"] == {"EMPTY": 1, "PASS": 3}


def test_the_interval_of_a_mean_is_that_of_a_plain_bootstrap():
    values = [0.1, 0.5, 0.9, 0.4, 0.3]
    low, high = resample_mean(values, seed=3)
    rng = np.random.default_rng(3)
    draws = rng.integers(0, 5, size=(2000, 5))
    means = sorted(sum(values[i] for i in draw) / 5 for draw in draws)
    assert low == pytest.approx(np.quantile(means, 0.025))
    assert high == pytest.approx(np.quantile(means, 0.975))
    assert low < np.mean(values) < high
    assert resample_mean([0.4], seed=3) == (None, None)


def test_margins_are_means_beside_those_of_the_comparators():
    rows = [
        row(n, "iou", "PASS", statistic=s, comparator=0.1, edge_map=0.2, centre_prior=0.0)
        for n, s in enumerate([0.4, 0.6])
    ]
    told = summarise_margins(rows, "saliency", seed=0)["iou"]
    assert (told["n"], told["statistic"]) == (2, pytest.approx(0.5))
    assert (told["chance"], told["edge_map"], told["centre_prior"]) == (
        pytest.approx(0.1),
        pytest.approx(0.2),
        0.0,
    )
    assert told["edge_margin"] is None
