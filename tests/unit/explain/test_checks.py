"""Verdicts: each check passes and fails on the figures that its rule names."""

from dataclasses import replace

import numpy as np
import pytest

from medvision.domain.attribution import Attribution
from medvision.explain.checks import (
    SOURCES,
    About,
    check_completeness,
    check_deletion,
    check_insertion,
    check_randomisation,
)
from medvision.explain.checks.classes import check_class_sensitivity
from medvision.report.citations import METHODS_CITATIONS

ABOUT = About("image", "integrated_gradients")
MAP = Attribution(
    grid=np.ones((2, 2, 2), np.float32),
    method="integrated_gradients",
    target=0,
    layer=None,
    parameters={"completeness_gate": 0.1, "steps": 16},
    output=2.0,
    output_difference=-2.0,
    completeness_error=0.1,
)


@pytest.mark.parametrize(("error", "verdict"), [(0.1, "PASS"), (0.101, "FAIL")])
def test_completeness_holds_the_error_against_its_gate(error, verdict):
    row = check_completeness(ABOUT, replace(MAP, completeness_error=error))
    assert (row.verdict, row.statistic, row.threshold, row.n) == (verdict, error, 0.1, 16)
    assert row.comparator == 2
    assert row.source == "sundararajan2017"


def test_completeness_is_not_asked_of_a_method_that_does_not_promise_it():
    row = check_completeness(ABOUT, replace(MAP, completeness_error=None))
    assert row.verdict == "NOT APPLICABLE"
    assert row.statistic is None


@pytest.mark.parametrize(("beaten", "verdict"), [(20, "PASS"), (19, "PASS"), (18, "FAIL")])
def test_deletion_passes_at_nineteen_of_twenty_random_orders(beaten, verdict):
    areas = np.array([1.0] * beaten + [-1.0] * (20 - beaten))
    row = check_deletion(ABOUT, 0.0, random_areas=areas + np.arange(20) * 1e-3)
    assert (row.verdict, row.statistic, row.n) == (verdict, beaten / 20, 20)


def test_deletion_that_changes_nothing_is_inconclusive():
    assert check_deletion(ABOUT, 0.3, random_areas=np.full(20, 0.3)).verdict == "INCONCLUSIVE"


def test_a_tie_with_a_random_order_does_not_beat_it():
    areas = np.array([0.5] * 10 + [1.0] * 10)
    assert check_deletion(ABOUT, 0.5, random_areas=areas).statistic == 0.5


@pytest.mark.parametrize(("similarity", "verdict"), [(0.2, "PASS"), (0.3, "FAIL"), (0.9, "FAIL")])
def test_randomisation_passes_below_the_similarity_of_other_cases(similarity, verdict):
    row = check_randomisation(
        ABOUT, "weight_randomisation", similarity=similarity, pair_similarity=0.3, n_pairs=28
    )
    assert (row.verdict, row.comparator, row.threshold, row.n) == (verdict, 0.3, 0.3, 28)


def test_randomisation_of_a_single_case_is_inconclusive():
    row = check_randomisation(
        ABOUT,
        "weight_randomisation_top",
        similarity=0.2,
        pair_similarity=float("nan"),
        n_pairs=0,
    )
    assert row.verdict == "INCONCLUSIVE"
    assert row.comparator is None


@pytest.mark.parametrize(("beaten", "verdict"), [(20, "PASS"), (19, "PASS"), (18, "FAIL")])
def test_insertion_passes_where_the_logit_rises_sooner_than_in_nineteen_of_twenty_orders(
    beaten, verdict
):
    areas = np.array([-1.0] * beaten + [1.0] * (20 - beaten))
    row = check_insertion(ABOUT, 0.0, random_areas=areas + np.arange(20) * 1e-3)
    assert (row.check, row.verdict, row.statistic) == ("insertion", verdict, beaten / 20)


def make_ramp(power=1):
    return (np.arange(27, dtype=np.float32).reshape(3, 3, 3) - 13) ** power


@pytest.mark.parametrize(
    ("other", "is_opposite", "verdict"),
    [
        (-make_ramp(), True, "PASS"),
        (make_ramp(), True, "FAIL"),
        (make_ramp(), False, "FAIL"),
        (make_ramp(2), False, "PASS"),
        (np.zeros((3, 3, 3), np.float32), True, "INCONCLUSIVE"),
        (np.ones((3, 3, 3), np.float32), True, "INCONCLUSIVE"),
    ],
)
def test_the_map_of_another_class_must_be_another_and_of_two_classes_the_opposite(
    other, is_opposite, verdict
):
    row = check_class_sensitivity(
        ABOUT, make_ramp(), other, other_class="benign", is_opposite=is_opposite
    )
    assert row.verdict == verdict
    assert "benign" in row.reason or verdict == "INCONCLUSIVE"


def test_a_map_that_is_one_and_the_same_for_all_classes_fails_however_it_looks():
    grid = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    for is_opposite in (True, False):
        row = check_class_sensitivity(
            ABOUT, grid, grid, other_class="benign", is_opposite=is_opposite
        )
        assert (row.verdict, row.statistic) == ("FAIL", pytest.approx(1))


def test_the_report_knows_the_source_of_every_check():
    keys = {key for source in SOURCES.values() for key in source.split(",")}
    assert keys <= METHODS_CITATIONS.keys()
