"""Rules over measures: each planted fault is found by its rule, and a sound cohort has none."""

import statistics
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.config.quality import QualitySection, Rule
from medvision.domain.quality.cohort_fit import Fit, compute_fits
from medvision.domain.quality.findings import (
    RULES,
    Finding,
    MeasuredImage,
    choose_groups,
    find_findings,
)
from medvision.domain.quality.outlier import OutlierRule, find_bounds

TYPICAL: dict[str, float | None] = {
    "n_planes": 24.0,
    "plane_pixels": 64.0,
    "pixel_mm": 3.0,
    "plane_mm": 5.0,
    "finite_share": 1.0,
    "minimum": 0.0,
    "maximum": 900.0,
    "sd": 100.0,
    "foreground_mean": 300.0,
    "single_value_share": 0.1,
    "clipped_low_share": 0.0,
    "clipped_high_share": 0.0,
    "border_share": 0.01,
    "noise_share": 0.02,
    "sharpness": 0.5,
    "ghosting": 0.004,
    "cohort_fit": 0.9,
    "turn_gain": 0.0,
}

PLANTED: dict[str, dict[str, float | None]] = {
    "constant": {"maximum": 0.0},
    "blank": {"single_value_share": 0.999},
    "not-finite": {"finite_share": 0.99},
    "clipped": {"clipped_high_share": 0.2},
    "truncated": {"border_share": 0.5},
    "noise": {"noise_share": 0.2},
    "blur": {"sharpness": 0.2},
    "ghosting": {"ghosting": 0.2},
    "spacing": {"plane_mm": 10.0},
    "size": {"n_planes": 6.0},
    "intensity": {"foreground_mean": 900.0},
    "orientation": {"turn_gain": 0.4},
    "unlike-cohort": {"cohort_fit": 0.1},
}


def make_cohort(n_images: int = 30) -> list[MeasuredImage]:
    """Images that vary by a twentieth."""
    rng = np.random.default_rng(0)
    bounded = {"finite_share", "minimum", "n_planes", "turn_gain"}
    return [
        MeasuredImage(
            f"image-{n:03d}",
            "3D CT",
            {
                name: value if value is None or name in bounded else value * rng.normal(1, 0.05)
                for name, value in TYPICAL.items()
            },
        )
        for n in range(n_images)
    ]


def judge(images: list[MeasuredImage], **changes: object) -> list[Finding]:
    return find_findings(images, **{**dict(QualitySection()), **changes})


def test_a_sound_cohort_has_no_finding() -> None:
    assert judge(make_cohort()) == []


@pytest.mark.parametrize("rule", PLANTED)
def test_each_planted_fault_is_found_by_its_rule_and_no_other(rule: str) -> None:
    images = make_cohort()
    images[7] = replace(images[7], values={**images[7].values, **PLANTED[rule]})
    found = judge(images)
    assert [(item.image_id, item.rule) for item in found] == [("image-007", rule)]
    excluded = rule in QualitySection().exclude
    assert found[0].action == ("excluded" if excluded else "flagged")


def test_an_unreadable_image_has_its_reason_and_nothing_else() -> None:
    images = make_cohort()
    images[3] = MeasuredImage("image-003", "", {}, reason="no such file")
    (found,) = judge(images)
    assert (found.rule, found.detail, found.action) == ("unreadable", "no such file", "excluded")


def test_text_that_ingestion_flagged_is_a_finding() -> None:
    images = make_cohort()
    images[3] = replace(images[3], text="burned-in-risk")
    assert [(f.rule, f.detail) for f in judge(images)] == [("text", "burned-in-risk")]


def test_spoilt_images_do_not_shift_the_limits_of_the_others() -> None:
    images = make_cohort()
    blank = {**TYPICAL, "maximum": 0.0, "sd": 0.0, "foreground_mean": -9e9}
    spoilt = [MeasuredImage(f"spoilt-{n}", "3D CT", blank) for n in range(40)]
    assert {item.rule for item in judge([*images, *spoilt])} == {"constant"}


def test_a_few_images_are_compared_with_nothing() -> None:
    images = make_cohort(9)
    images[0] = replace(images[0], values={**images[0].values, "plane_mm": 50.0})
    assert judge(images) == []
    assert [item.rule for item in judge(images, minimum_group=9)] == ["spacing"]


def test_a_second_protocol_is_no_outlier() -> None:
    images = make_cohort(30)
    for n in range(10):
        images[n] = replace(images[n], values={**images[n].values, "plane_mm": 10.0})
    assert judge(images) == []
    assert {item.rule for item in judge(images[6:])} == {"spacing"}


def test_what_fits_badly_in_every_orientation_is_not_called_turned() -> None:
    images = make_cohort()
    values = {**images[0].values, "turn_gain": 0.4, "cohort_fit": 0.1}
    images[0] = replace(images[0], values=values, is_inverted=True)
    (found,) = judge(images)
    assert (found.rule, found.detail) == ("unlike-cohort", "perhaps grey levels inverted")


def test_rules_named_in_exclude_exclude_and_no_others() -> None:
    images = make_cohort()
    images[7] = replace(images[7], values={**images[7].values, **PLANTED["noise"]})
    assert [item.action for item in judge(images, exclude=("noise",))] == ["excluded"]


def test_the_configuration_knows_the_rules_of_the_domain() -> None:
    assert get_args(Rule) == tuple(RULES)


def test_a_modality_with_few_images_is_compared_with_all_others() -> None:
    kinds = {f"ct-{n}": ("3D", "CT") for n in range(5)} | {"mr-0": ("3D", "MR")}
    groups = choose_groups(kinds, minimum_group=5)
    assert (groups["ct-0"], groups["mr-0"]) == ("3D CT", "3D other")


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=40),
    st.sampled_from(["both", "high", "low"]),
    st.floats(0.5, 10),
)
def test_bounds_equal_the_median_and_mad_of_the_standard_library(
    values: list[float], side: str, outlier_z: float
) -> None:
    rule = OutlierRule("any", "linear", side, 0.5)  # type: ignore[arg-type]
    bounds = find_bounds(values, rule, outlier_z=outlier_z, unit=2.0)
    middle = statistics.median(values)
    deviation = max(1.4826 * statistics.median(abs(value - middle) for value in values), 1.0)
    assert bounds is not None
    low = -np.inf if side == "high" else middle - outlier_z * deviation
    high = np.inf if side == "low" else middle + outlier_z * deviation
    assert (bounds.low, bounds.high) == pytest.approx((low, high))


def test_bounds_on_the_log_scale_are_factors() -> None:
    bounds = find_bounds([2.0] * 9, OutlierRule("any", "log", "both", 0.1), outlier_z=3)
    assert bounds is not None
    assert bounds.high / 2 == pytest.approx(np.exp(0.3))
    assert 2 / bounds.low == pytest.approx(np.exp(0.3))
    assert (bounds.passed(2.6), bounds.passed(3.0)) == (None, bounds.high)


def make_thumbnails(n_images: int, *, shape: tuple[int, ...]) -> np.ndarray:
    """Images of one lopsided thing, slightly shifted, in noise."""
    rng = np.random.default_rng(0)
    grid = np.zeros(shape)
    third = shape[0] // 3
    grid[third : 2 * third, : shape[1] // 2] = 120
    grid[: third // 2, shape[1] // 2 :] = 110
    if len(shape) == 3:
        grid[..., shape[2] // 2 :] *= 0.4
    images = [
        np.roll(grid, rng.integers(-1, 2), axis=0) + rng.normal(60, 8, shape)
        for _ in range(n_images)
    ]
    return np.clip(images, 0, 255).astype(np.uint8)


def fit(thumbnails: np.ndarray) -> list[Fit]:
    return compute_fits(lambda rows: thumbnails[rows], len(thumbnails))


@pytest.mark.parametrize("shape", [(64, 64), (32, 32, 32)])
def test_a_turned_or_mirrored_image_is_told_in_words(shape: tuple[int, ...]) -> None:
    thumbnails = make_thumbnails(20, shape=shape)
    thumbnails[3] = np.rot90(thumbnails[3], 2)
    thumbnails[5] = thumbnails[5][::-1]
    thumbnails[6] = 255 - thumbnails[6]
    fits = fit(thumbnails)
    assert (fits[3].turn, fits[5].turn, fits[0].turn) == ("turned by 180°", "mirrored along i", "")
    assert min(fits[3].gain, fits[5].gain) > 0.1
    assert fits[0].gain == 0
    assert [n for n, fit in enumerate(fits) if fit.is_inverted] == [6]


def test_a_minority_of_other_images_does_not_shape_the_mean() -> None:
    thumbnails = make_thumbnails(20, shape=(64, 64))
    thumbnails[:4] = np.random.default_rng(1).integers(0, 255, (4, 64, 64))
    fits = fit(thumbnails)
    assert max(fit.best for fit in fits[:4]) < 0.3
    assert min(fit.best for fit in fits[4:]) > 0.8


def test_fits_are_correlations_with_the_mean() -> None:
    thumbnails = make_thumbnails(6, shape=(8, 8))
    halves = thumbnails.reshape(6, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(6, -1)
    units = [(row - row.mean()) / row.std() for row in halves]
    first = np.mean(units, axis=0)
    order = sorted(range(6), key=lambda n: -np.corrcoef(units[n], first)[0, 1])
    mean = np.mean([units[n] for n in order[:4]], axis=0)
    expected = [np.corrcoef(row, mean)[0, 1] for row in units]
    found = [fit.as_it_stands for fit in fit(thumbnails)]
    assert found == pytest.approx(expected, abs=1e-5)
