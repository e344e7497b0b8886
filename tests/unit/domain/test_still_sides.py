"""Differences of which one side is the same on every resample: never taken as known for certain."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import cast

import numpy as np
import pytest
from predicted import SETTINGS, Row, make_rows

from medvision.cli._evaluated.external import evaluate
from medvision.cli._evaluated.figures import Known
from medvision.config.evaluate import EvaluateSection
from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.estimate import Estimate
from medvision.domain.evaluation.external import CohortGap, combine_ends, subtract_unpaired
from medvision.domain.labels.rows import Classes
from medvision.domain.resampling.draws import Draws

BINARY = Classes(("no", "yes"), "yes")


def share(n_hits: int, n: int) -> Estimate:
    """A share with Wilson's ends."""
    z, value = 1.959964, n_hits / n
    middle = (value + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(value * (1 - value) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate("a", "s", value, middle - reach, middle + reach, n, n, None, "", None)


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_ends_are_combined_as_in_newcombes_table(first, second, ends) -> None:
    assert combine_ends(share(*first), share(*second)) == pytest.approx(ends, abs=5e-5)


def test_a_side_without_an_interval_gives_none() -> None:
    none = replace(share(3, 4), low=None, high=None)
    assert combine_ends(none, share(1, 2)) is None
    assert combine_ends(share(1, 2), none) is None


def make_study(
    hits: Sequence[bool], *, split: str, n_negative: int | None = None, subject: str | None = None
) -> list[Row]:
    """Half of the images positive; of them those flagged are told so, of the others all are."""
    n_others = len(hits) if n_negative is None else n_negative
    rng = np.random.default_rng(len(hits))
    odds = [2 + rng.random() if hit else -2 - rng.random() for hit in hits]
    odds += [-1 - rng.random() for _ in range(n_others)]
    labels = ["yes"] * len(hits) + ["no"] * n_others
    return make_rows(odds, labels, split=split, subjects=[subject] * len(odds) if subject else None)


def find_gaps(
    external: Sequence[bool], *, n_negative: int | None = None, subject: str | None = None
) -> dict[str, CohortGap]:
    """Hold an internal sensitivity of two thirds against that of an external cohort."""
    internal = [n % 3 > 0 for n in range(75)]
    rows = [*make_study(internal, split="test"), *make_study(internal, split="validation")]
    rows += make_study(external, split="external", n_negative=n_negative, subject=subject)
    section = cast(EvaluateSection, asdict(SETTINGS))
    found = evaluate(rows, Known({}, BINARY, {}), section=section)
    table, _ = found.tables["cohorts"]
    return {str(row["metric"]): CohortGap(**row) for row in table}  # type: ignore[arg-type]  # cells


def test_a_perfect_external_cohort_of_eight_excludes_nothing_that_wilson_does_not() -> None:
    gap = find_gaps([True] * 4)["sensitivity"]
    assert gap.external == 1.0
    assert gap.external_low == pytest.approx(0.51, abs=0.005)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < gap.difference < gap.high  # type: ignore[operator]  # known
    assert gap.high > 0.1
    assert "Newcombe" in gap.method


def test_one_external_subject_with_three_images_has_no_interval_and_no_difference_of_one() -> None:
    """The planted fault: an interval of no width, as if one subject were the whole world."""
    gaps = find_gaps([True, True, True], n_negative=0, subject="only")
    for name in ("brier", "log_loss", "ece"):
        gap = gaps[name]
        assert gap.external is not None
        assert gap.external_n_subjects == 1
        assert (gap.external_low, gap.external_high, gap.low, gap.high) == (None,) * 4


def test_sides_that_move_are_resampled_as_before() -> None:
    gap = find_gaps([n % 2 > 0 for n in range(20)])["sensitivity"]
    assert "resamples of each cohort by itself" in gap.method


def test_a_difference_moves_where_both_its_sides_do() -> None:
    strata = np.zeros(3, dtype=np.intp)
    moving = Draws(0.5, np.array([0.4, 0.6]), np.array([0.4, 0.5, 0.6]), strata, "fold")
    still = Draws(1.0, np.ones(2), np.ones(3), strata, "fold")
    turned = replace(moving, replicates=moving.replicates[::-1])
    assert subtract_unpaired(moving, turned).is_moving
    assert moving.minus_others(turned).is_moving
    for one, other in ((moving, still), (still, moving)):
        for gap in (subtract_unpaired(one, other), one.minus_others(other)):
            assert not gap.is_moving
            assert "on one side" in gap.say_still()
        # Two networks on the same images are another matter: their subjects move together.
        assert one.minus(other).is_moving


def test_the_gap_of_a_perfect_subgroup_of_eight_has_no_interval() -> None:
    """The planted fault: the interval of all others alone left 0 out."""
    hits = [True] * 4 + [n % 3 > 0 for n in range(75)]
    test = make_study(hits, split="test")
    few = {row["image_id"] for row in [*test[:4], *test[79:83]]}
    held = {row["image_id"]: {"site": "b" if row["image_id"] in few else "a"} for row in test}
    result = evaluate_predictions(
        [*test, *make_study(hits, split="validation")],
        {},
        classes=BINARY,
        settings=replace(SETTINGS, subgroups=("site",)),
        variables=held,
    )
    found = {(item.subgroup, item.metric): item for item in result.subgroups}
    for site in "ab":
        item = found[site, "sensitivity"]
        assert item.gap == pytest.approx(1 / 3 if site == "b" else -1 / 3)
        assert (item.gap_low, item.gap_high) == (None, None)
        assert "no interval, one side does not move" in item.method
    assert found["b", "brier"].gap_low is not None
