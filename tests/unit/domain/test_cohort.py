"""Joining labels with images: nothing is guessed and nothing is lost."""

import random
from dataclasses import replace

import pytest

from medvision.domain.cohort import (
    ArchiveImage,
    build_archive_images,
    count_unmatched,
    match_labels,
)
from medvision.domain.labels import LabelRow
from medvision.errors import LabelError


def archive(name: str, subject: str, source: str = "dicom") -> ArchiveImage:
    return ArchiveImage(
        image_id=f"{subject}_{name}",
        subject=subject,
        study=f"study-{subject}",
        source=source,
        modality="CT",
        shape="8x8x4",
        spacing_mm="1x1x2",
        geometry="full",
        pixel_digest=name,
        image_key=f"key-{name}",
    )


IMAGES = [archive("i1", "s1"), archive("i2", "s2"), archive("i3", "s3"), archive("i4", "s3")]


def test_a_label_without_image_name_fits_the_subjects_only_image() -> None:
    matching = match_labels([LabelRow(2, "s1", "x")], IMAGES, refused={})
    assert [(image.image_id, image.label) for image in matching.images] == [("s1_i1", "x")]


def test_everything_left_over_is_listed() -> None:
    labels = [
        LabelRow(2, "s1", "x"),
        LabelRow(3, "s3", "x"),
        LabelRow(4, "s9", "y"),
        LabelRow(5, "s2", "y", image="key-i9"),
        LabelRow(6, "s7", "y"),
    ]
    matching = match_labels(labels, IMAGES, refused={"s7": "missing-slice"})
    listed = [(item.kind, item.id, item.line) for item in matching.unmatched]
    assert listed == [
        ("image-without-label", "s2_i2", None),
        ("image-without-label", "s3_i3", None),
        ("image-without-label", "s3_i4", None),
        ("label-without-image", "s9", 4),
        ("label-without-image", "key-i9", 5),
        ("label-without-image", "s7", 6),
        ("several-images", "s3", 3),
    ]
    details = {item.id: item.detail for item in matching.unmatched}
    assert details["s7"] == "refused at ingestion: missing-slice"
    assert details["s9"] == "the archive holds no such subject"
    assert count_unmatched(matching.unmatched)["image-without-label"] == 3
    matched = {image.image_id for image in matching.images}
    assert matched | {item.id for item in matching.unmatched} >= {i.image_id for i in IMAGES}


def test_the_labels_subject_wins_and_the_headers_is_kept_for_leakage() -> None:
    labels = [LabelRow(2, "code-1", "x", image="key-i1"), LabelRow(3, "code-2", "y", image="key-n")]
    images = [*IMAGES, archive("n", "guess", "nifti")]
    dicom, nifti = sorted(
        match_labels(labels, images, refused={}).images, key=lambda image: image.subject
    )
    assert (dicom.subject, dicom.patient, dicom.study) == ("code-1", "s1", "study-s1")
    assert (nifti.subject, nifti.patient, nifti.study) == ("code-2", "", "")


@pytest.mark.parametrize(("label", "fault"), [("x", "duplicate"), ("y", "conflicting")])
def test_a_second_label_for_an_image_is_refused(label: str, fault: str) -> None:
    labels = [LabelRow(2, "s1", "x"), LabelRow(7, "s1", label, image="key-i1")]
    with pytest.raises(LabelError, match=f"lines 2 and 7: .* got {fault} rows for s1_i1"):
        match_labels(labels, IMAGES, refused={})


def test_a_table_of_which_nothing_fits_is_refused() -> None:
    with pytest.raises(LabelError, match="got 2 rows and 4 images without one match"):
        match_labels([LabelRow(2, "a", "x"), LabelRow(3, "b", "y")], IMAGES, refused={})


def test_a_series_that_became_several_images_needs_no_guess() -> None:
    images = [archive("i1", "s1"), replace(archive("i5", "s1"), image_key="key-i1")]
    matching = match_labels(
        [LabelRow(2, "s1", "x", image="key-i1"), LabelRow(3, "s2", "x")],
        [*images, archive("i2", "s2")],
        refused={},
    )
    assert [image.subject for image in matching.images] == ["s2"]
    assert count_unmatched(matching.unmatched) == {"image-without-label": 2, "several-images": 1}


def test_the_order_of_rows_does_not_matter() -> None:
    labels = [LabelRow(2, "s1", "x"), LabelRow(3, "s2", "y"), LabelRow(4, "s9", "y")]
    expected = match_labels(labels, IMAGES, refused={})
    for seed in range(5):
        order = random.Random(seed)
        shuffled = match_labels(order.sample(labels, 3), order.sample(IMAGES, 4), refused={})
        assert shuffled == expected


def test_manifest_rows_become_images() -> None:
    row = {name: f"the {name}" for name in ArchiveImage.__dataclass_fields__}
    (image,) = build_archive_images([{**row, "flags": "ignored"}])
    assert image.spacing_mm == "the spacing_mm"
