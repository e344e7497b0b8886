"""Folds of findings and of values: every finding spread by itself, values by range."""

import numpy as np
import pytest

from medvision.domain.cohort import CohortImage
from medvision.domain.labels.findings import name_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.splits.balance import count_balance
from medvision.domain.splits.folds import build_folds
from medvision.domain.splits.kinds import count_names
from medvision.errors import CohortError

NAMES = ("a", "b", "c")
FINDINGS = Classes(NAMES, None, "multilabel")
VALUES = Classes(("age",), None, "regression")


def make_images(labels):
    return [
        CohortImage(f"image-{n:03d}", f"subject-{n:03d}", label, f"subject-{n:03d}")
        for n, label in enumerate(labels)
    ]


def fold(images, classes, folds=3):
    return build_folds(
        images,
        folds=folds,
        validation_fraction=0.25,
        seed=1,
        stratify_by=(),
        held_out=None,
        inner_folds=1,
        repeats=1,
        classes=classes,
    )


def draw_findings(n=90, seed=0):
    rng = np.random.default_rng(seed)
    shares = (0.5, 0.2, 0.1)
    drawn = rng.random((n, 3)) < shares
    return [
        name_findings([x for x, there in zip(NAMES, row, strict=True) if there]) for row in drawn
    ]


def test_every_finding_is_spread_evenly_by_itself():
    labels = draw_findings()
    images = make_images(labels)
    for name in NAMES:
        n_all = sum(name in label.split("|") for label in labels)
        for part in range(3):
            tested = [i for i in fold(images, FINDINGS) if i.fold == part and i.split == "test"]
            n_here = sum(name in item.label.split("|") for item in tested)
            assert abs(n_here - n_all / 3) < 1.5


def test_every_split_holds_each_finding_there_and_absent():
    for item in ("train", "validation", "test"):
        for part in range(3):
            held = [
                i.label.split("|")
                for i in fold(make_images(draw_findings(seed=3)), FINDINGS)
                if (i.fold, i.split) == (part, item)
            ]
            for name in NAMES:
                assert 0 < sum(name in label for label in held) < len(held)


def test_a_finding_of_too_few_subjects_is_named():
    with pytest.raises(CohortError, match="got 1 of class b"):
        fold(make_images(["a", "a|b", *["No Finding", "a"] * 10]), FINDINGS)


def test_values_are_spread_by_range_and_none_needs_to_be_everywhere():
    rng = np.random.default_rng(0)
    images = make_images([f"{value:.2f}" for value in rng.normal(60, 12, 90)])
    folds = fold(images, VALUES)
    medians = []
    for part in range(3):
        tested = [float(i.label) for i in folds if (i.fold, i.split) == (part, "test")]
        assert len(tested) == 30
        medians.append(np.median(tested))
    assert np.ptp(medians) < 4


def test_a_handful_of_subjects_with_values_is_split_all_the_same():
    folds = fold(make_images([str(n) for n in range(6)]), VALUES)
    assert {item.split for item in folds} == {"train", "validation", "test"}


def test_the_balance_counts_findings_and_ranges_by_name():
    images = make_images(draw_findings())
    names = count_names([image.label for image in images], FINDINGS)
    rows = count_balance(fold(images, FINDINGS), images, stratify_by=(), names=names)
    assert {row.value for row in rows} == {"a", "b", "c", "No Finding"}
    images = make_images([str(n) for n in range(40)])
    names = count_names([image.label for image in images], VALUES)
    rows = count_balance(fold(images, VALUES), images, stratify_by=(), names=names)
    values = list(dict.fromkeys(row.value for row in rows))
    assert values == ["0 to 7", "8 to 15", "16 to 23", "24 to 31", "32 to 39"]
    train = [row for row in rows if (row.fold, row.split) == (0, "train")]
    assert sum(row.share for row in train) == pytest.approx(1)
