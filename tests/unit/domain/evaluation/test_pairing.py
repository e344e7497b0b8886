"""Two studies are compared on shared test images alone, paired, with subjects kept together."""

import numpy as np
import pytest
from predicted import SETTINGS, Row, make_rows
from sklearn.metrics import roc_auc_score

from medvision.domain.evaluation.pairing import compare_studies
from medvision.domain.evaluation.sharing import StudyTest
from medvision.domain.labels.rows import Classes
from medvision.errors import DataError

CLASSES = Classes(("no", "yes"), "yes")
N = 60


def make_study(name: str, *, noise: float, seed: int, keep: range = range(N)) -> StudyTest:
    """A study of N subjects, an image each, in three folds of its own."""
    rng = np.random.default_rng(seed)
    labels = ["yes" if n % 3 == 0 else "no" for n in range(N)]
    truth = np.array([1.0 if label == "yes" else -1.0 for label in labels])
    folds = [int(n) for n in rng.permutation(np.arange(N) % 3)]
    test = make_rows(truth + rng.normal(0, noise, N), labels, folds=folds)
    validation = make_rows(truth + rng.normal(0, noise, N), labels, folds=folds, split="validation")
    return StudyTest(name, [*[test[n] for n in keep], *validation], {}, CLASSES)


def compute_mean_auc(rows: list[Row]) -> float:
    """The mean AUC over a study's own folds, weighted by pairs: the slow oracle."""
    areas, weights = [], []
    for fold in sorted({row["fold"] for row in rows}):
        own = [row for row in rows if row["fold"] == fold]
        positive = [row["label"] == "yes" for row in own]
        areas.append(roc_auc_score(positive, [float(row["logit_yes"]) for row in own]))
        weights.append(sum(positive) * (len(own) - sum(positive)))
    return float(np.average(areas, weights=weights))


def find(comparison, metric: str):
    (pairing,) = comparison.pairings
    (found,) = [item for item in pairing.differences if item.metric == metric]
    return found


def test_the_difference_is_that_of_the_shared_images_each_in_its_own_folds() -> None:
    a = make_study("A", noise=0.7, seed=0, keep=range(50))
    b = make_study("B", noise=1.5, seed=1, keep=range(10, N))
    result = compare_studies(a, b, settings=SETTINGS)
    shared = {f"test-{n:04d}" for n in range(10, 50)}
    areas = [
        compute_mean_auc(
            [row for row in study.rows if row["split"] == "test" and row["image_id"] in shared]
        )
        for study in (a, b)
    ]
    held = find(result, "auc")
    assert held.difference == pytest.approx(areas[0] - areas[1])
    assert held.low < held.difference < held.high
    assert held.n_subjects == 40
    overlap = result.overlap
    assert (overlap.n_images_a, overlap.n_images_b, overlap.n_images) == (50, 50, 40)
    assert (overlap.n_subjects_a, overlap.n_subjects_b, overlap.n_subjects) == (50, 50, 40)


def test_a_study_against_itself_differs_by_nothing_and_has_no_interval() -> None:
    a = make_study("A", noise=1.0, seed=0)
    b = StudyTest("B", a.rows, {}, CLASSES)
    held = find(compare_studies(a, b, settings=SETTINGS), "auc")
    assert (held.difference, held.low, held.high) == (0.0, None, None)


def test_two_studies_the_other_way_round_differ_by_the_opposite() -> None:
    a, b = make_study("A", noise=0.7, seed=0), make_study("B", noise=1.5, seed=1)
    there, back = compare_studies(a, b, settings=SETTINGS), compare_studies(b, a, settings=SETTINGS)
    assert find(there, "brier").difference == pytest.approx(-find(back, "brier").difference)


def test_doubling_each_subjects_images_does_not_narrow_the_interval() -> None:
    a, b = make_study("A", noise=0.9, seed=0), make_study("B", noise=1.5, seed=1)
    doubled = [
        StudyTest(
            study.name,
            [*study.rows, *[{**row, "image_id": f"{row['image_id']}-again"} for row in study.rows]],
            {},
            CLASSES,
        )
        for study in (a, b)
    ]
    once, twice = (
        compare_studies(a, b, settings=SETTINGS),
        compare_studies(*doubled, settings=SETTINGS),
    )
    width = [find(held, "brier").high - find(held, "brier").low for held in (once, twice)]
    assert width[1] == pytest.approx(width[0], rel=0.02)
    assert find(twice, "brier").n_subjects == N


def test_subjects_joined_by_either_study_are_resampled_as_one() -> None:
    a, b = make_study("A", noise=0.9, seed=0), make_study("B", noise=1.5, seed=1)
    images = [row["image_id"] for row in a.rows if row["split"] == "test"]
    pairs = {name: f"pair-{n // 2}" for n, name in enumerate(images)}
    shifted = {name: f"pair-{(n + 1) // 2}" for n, name in enumerate(images[:8])}
    joined = compare_studies(
        StudyTest("A", a.rows, pairs, CLASSES),
        StudyTest("B", b.rows, shifted, CLASSES),
        settings=SETTINGS,
    )
    # The first eight images hang together in turn: by pairs of A, and by those of B across them.
    assert f"of {1 + (N - 8) // 2} subjects (some joined)" in find(joined, "brier").method


def copy_into_another_fold(study: StudyTest) -> StudyTest:
    """The same study with each test subject a second time, as another, in the next fold."""
    again = [
        {
            **row,
            "image_id": f"{row['image_id']}-again",
            "subject": f"{row['subject']}-again",
            **{name: str((int(row["fold"]) + 1) % 3) for name in ("fold", "part")},
        }
        for row in study.rows
    ]
    return StudyTest(study.name, [*study.rows, *again], {}, CLASSES)


def test_copies_that_one_study_joined_across_the_others_folds_narrow_nothing() -> None:
    """Every subject lies twice in A's folds under two names; B knows that they are one."""
    a, b = make_study("A", noise=0.9, seed=0), make_study("B", noise=1.5, seed=1)
    first, second = copy_into_another_fold(a), copy_into_another_fold(b)
    images = {row["image_id"] for row in second.rows if row["split"] == "test"}
    groups = {name: name.removesuffix("-again") for name in images}
    once = compare_studies(a, b, settings=SETTINGS)
    twice = compare_studies(first, StudyTest("B", second.rows, groups, CLASSES), settings=SETTINGS)
    # Folds of twice the images compare more pairs, so that the areas are a little surer.
    for metric in ("auc", "log_loss", "brier"):
        width = [find(held, metric).high - find(held, metric).low for held in (once, twice)]
        assert width[1] == pytest.approx(width[0], rel=0.15), metric
        assert f"of {N} subjects (some joined) within joined fold" in find(twice, metric).method
    z = [held.pairings[0].tests[0].test.statistic for held in (once, twice)]
    assert abs(z[1]) == pytest.approx(abs(z[0]), rel=0.25)


def test_studies_that_share_no_test_image_are_refused() -> None:
    a = make_study("A", noise=1, seed=0, keep=range(30))
    b = make_study("B", noise=1, seed=1, keep=range(30, N))
    with pytest.raises(DataError, match="must be shared, got none of 30 and 30"):
        compare_studies(a, b, settings=SETTINGS)


def test_studies_of_different_classes_are_refused() -> None:
    a, b = make_study("A", noise=1, seed=0), make_study("B", noise=1, seed=1)
    other = StudyTest("B", b.rows, {}, Classes(("no", "yes"), "no"))
    with pytest.raises(DataError, match="the positive one must be equal"):
        compare_studies(a, other, settings=SETTINGS)


def test_studies_of_other_tasks_are_refused() -> None:
    a, b = make_study("A", noise=1, seed=0), make_study("B", noise=1, seed=1)
    values = Classes(("age",), None, "regression")
    with pytest.raises(DataError, match="of one kind, got classes and a value"):
        compare_studies(a, StudyTest("B", b.rows, {}, values), settings=SETTINGS)
    other = Classes(("size",), None, "regression")
    with pytest.raises(DataError, match="the value's name must be equal, got age and size"):
        compare_studies(
            StudyTest("A", a.rows, {}, values),
            StudyTest("B", b.rows, {}, other),
            settings=SETTINGS,
        )


def test_an_image_with_two_truths_is_refused_and_not_named() -> None:
    a, b = make_study("A", noise=1, seed=0), make_study("B", noise=1, seed=1)
    rows = [dict(row) for row in b.rows]
    rows[3]["label"] = "no" if rows[3]["label"] == "yes" else "yes"
    with pytest.raises(DataError, match="got 1 of 60 labelled differently") as caught:
        compare_studies(a, StudyTest("B", rows, {}, CLASSES), settings=SETTINGS)
    assert "test-0003" not in str(caught.value)


def test_arms_of_no_common_name_are_compared_first_with_first() -> None:
    a, b = make_study("A", noise=1, seed=0), make_study("B", noise=1, seed=1)
    renamed = [{**row, "arm": "scratch"} for row in b.rows]
    result = compare_studies(a, StudyTest("B", renamed, {}, CLASSES), settings=SETTINGS)
    assert [(held.arm_a, held.arm_b) for held in result.pairings] == [("transfer", "scratch")]
