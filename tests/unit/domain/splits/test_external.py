"""An external cohort: told by the labels, in no other split of any fold, and free of leaks."""

from dataclasses import replace

import pytest
from strategies import make_cohort, make_image, split_cohort

from medvision.domain.labels.rows import Classes, LabelRow
from medvision.domain.split import check_no_leakage, keep_untested
from medvision.domain.splits.balance import count_balance
from medvision.domain.splits.external import (
    add_external,
    check_external,
    drop_external,
    mark_external,
    part_cohort,
)
from medvision.domain.splits.leakage import check_leakage, find_leakage, join_groups
from medvision.domain.splits.untested import check_untested, find_tested
from medvision.errors import CohortError, LabelError

BINARY = Classes(("x", "y"), "y")
INTERNAL = make_cohort({"x": 12, "y": 12})
EXTERNAL = [
    make_image(f"ext-{n}", f"other-{n}", "xy"[n % 2], given_split="external") for n in range(6)
]
FOLDS = add_external(split_cohort(INTERNAL), EXTERNAL)


def make_rows(sites: str, **fields: str) -> list[LabelRow]:
    return [
        LabelRow(n + 2, f"s{n}", "x", attributes={"site": site}, **fields)
        for n, site in enumerate(sites)
    ]


def test_rows_are_external_by_the_value_of_a_column() -> None:
    rows = mark_external(make_rows("ABCA"), "site", external_values=["B", "C"])
    assert [row.split for row in rows] == [None, "external", "external", None]
    assert mark_external(make_rows("AB"), None, external_values=()) == make_rows("AB")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("sit", ["B"], "external_column: column must be one of site, got sit"),
        ("site", ["b"], "external_values: value must be in column site, got b"),
        ("site", ["A", "B"], "rows must be left to train and test on, got 3 rows"),
    ],
)
def test_a_cohort_that_cannot_be_told_is_refused(column: str, values: list, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        mark_external(make_rows("AAB"), column, external_values=values)


def test_an_external_cohort_is_named_once() -> None:
    with pytest.raises(CohortError, match="column split"):
        mark_external(make_rows("AB", split="train"), "site", external_values=["B"])


def test_a_class_of_the_external_cohort_alone_is_refused() -> None:
    odd = [*EXTERNAL, make_image("ext-9", "other-9", "z", given_split="external")]
    with pytest.raises(LabelError, match=r"class that is trained on \(x, y\), got 1 of z"):
        check_external(odd, BINARY, is_asked=True)
    with pytest.raises(CohortError, match="must keep an image, got none"):
        check_external([], BINARY, is_asked=True)
    check_external(EXTERNAL[:1], BINARY, is_asked=True)
    check_external([], BINARY, is_asked=False)


def test_a_finding_that_nobody_looked_for_outside_is_refused() -> None:
    findings = Classes(("Mass", "Nodule"), None, "multilabel")
    images = [make_image("e1", "s1", "Mass|Nodule?"), make_image("e2", "s2", "Nodule?")]
    with pytest.raises(LabelError, match="finding Nodule must be known of an external image"):
        check_external(images, findings, is_asked=True)
    check_external([*images, make_image("e3", "s3", "No Finding")], findings, is_asked=True)


def test_external_images_are_external_in_every_fold_and_change_no_other_split() -> None:
    check_no_leakage(FOLDS)
    names = {image.image_id for image in EXTERNAL}
    for fold in range(3):
        own = [item for item in FOLDS if item.fold == fold]
        assert {i.image_id for i in own if i.split == "external"} == names
        assert not {i.image_id for i in own if i.split != "external"} & names
    assert drop_external(FOLDS) == split_cohort(INTERNAL)
    assert add_external(split_cohort(INTERNAL), []) == split_cohort(INTERNAL)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_external_image_in_another_split_is_refused(split: str) -> None:
    first = next(item for item in FOLDS if item.split == "external" and item.fold == 1)
    planted = [replace(item, split=split) if item == first else item for item in FOLDS]
    with pytest.raises(CohortError, match=f"external cohort must be in no other.*in {split}"):
        check_no_leakage(planted)


def test_another_image_of_an_external_subject_in_train_is_refused() -> None:
    first = next(item for item in FOLDS if item.split == "external")
    with pytest.raises(CohortError, match=f"got {first.subject} in external and train"):
        check_no_leakage([*FOLDS, replace(first, image_id="again", split="train")])


def test_a_search_of_hyper_parameters_sees_no_external_image() -> None:
    kept = keep_untested(FOLDS, [0])
    assert {item.split for item in kept} == {"train", "validation"}
    first = next(item for item in FOLDS if item.split == "external" and item.fold == 0)
    with pytest.raises(CohortError, match="must not see"):
        keep_untested([*FOLDS, replace(first, image_id="again", split="train")], [0])


def test_nobody_external_is_learnt_from_without_labels() -> None:
    folds = [{"image_id": i.image_id, "subject": i.subject, "split": i.split} for i in FOLDS]
    folds = [row for row in folds if row["split"] != "test"]
    columns = ("subject", "person_key", "pixel_digest", "study", "series", "subject_key")
    manifest = [
        {"image_id": name, "source": "dicom", **dict.fromkeys(columns, ""), "study": study}
        for name, study in (("ext-1", "u1"), ("unlabelled", "u1"), ("img-x-0001-0", "u2"))
    ]
    names = {image.image_id for image in EXTERNAL} | {"unlabelled"}
    assert find_tested(manifest, folds=folds) == names
    with pytest.raises(CohortError, match="got 1 that are, such as unlabelled"):
        check_untested(["unlabelled"], manifest=manifest, folds=folds)


def test_balance_counts_no_external_image() -> None:
    internal, external = part_cohort([*EXTERNAL, *INTERNAL])
    assert (list(internal), list(external)) == (INTERNAL, EXTERNAL)
    plain = count_balance(split_cohort(INTERNAL), INTERNAL, stratify_by=())
    assert count_balance(drop_external(FOLDS), internal, stratify_by=()) == plain


@pytest.mark.parametrize("field", ["pixel_digest", "study", "patient"])
def test_an_image_in_both_cohorts_stops_the_run(field: str) -> None:
    images = [
        make_image("i1", "s1", "x", **{field: "shared"}),
        make_image("i2", "s2", "x", **{field: "shared"}, given_split="external"),
        make_image("i3", "s3", "x"),
    ]
    (pair,) = find_leakage(images, on_leakage="group")
    assert pair.action == "stopped"
    with pytest.raises(CohortError, match="images on two sides must differ") as caught:
        check_leakage([pair])
    assert caught.value.hint is not None
    assert "external cohort must share nothing" in caught.value.hint
    (pair,) = find_leakage(images, on_leakage="report")
    assert pair.action == "reported"
    assert [image.group for image in join_groups(images, [pair])] == ["s1", "s2", "s3"]


def test_a_subject_in_both_cohorts_stops_the_run() -> None:
    images = [make_image("i1", "s1", "x"), make_image("i2", "s1", "x", given_split="external")]
    (pair,) = find_leakage(images, on_leakage="group")
    assert (pair.kind, pair.action) == ("same-subject", "stopped")


def test_copies_within_the_external_cohort_are_resampled_as_one() -> None:
    images = [
        *INTERNAL,
        make_image("e1", "s1", "x", pixel_digest="p", given_split="external"),
        make_image("e2", "s2", "x", pixel_digest="p", given_split="external"),
    ]
    (pair,) = find_leakage(images, on_leakage="stop")
    check_leakage([pair])
    *others, first, second = join_groups(images, [pair])
    assert first.group == second.group
    assert [image.group for image in others] == [image.subject for image in INTERNAL]


def test_copies_among_internal_subjects_are_grouped_as_ever() -> None:
    copies = [make_image(f"c{n}", f"s{n}", "x", pixel_digest="p") for n in range(2)]
    alone = find_leakage([*INTERNAL, *copies], on_leakage="group")
    beside = find_leakage([*INTERNAL, *copies, *EXTERNAL], on_leakage="group")
    assert [pair.action for pair in beside] == [pair.action for pair in alone] == ["grouped"]
