"""Joining labels with images: nothing is guessed and nothing is lost."""

import random
from dataclasses import replace

import pytest

from medvision.domain.cohort import Matching, count_unmatched
from medvision.domain.cohort import match_labels as match_with_roles
from medvision.domain.labels.candidates import ArchiveImage, build_archive_images
from medvision.domain.labels.rows import LabelRow
from medvision.errors import LabelError


def archive(name: str, subject: str, source: str = "dicom") -> ArchiveImage:
    return ArchiveImage(
        image_id=f"{subject}_{name}",
        subject=subject,
        subject_key=subject,
        study=f"study-{subject}",
        source=source,
        modality="CT",
        role="original",
        part="",
        axis="",
        n_volumes="1",
        volume="",
        shape="8x8x4",
        spacing_mm="1x1x2",
        geometry="full",
        pixel_digest=name,
        image_key=f"key-{name}",
    )


def match_labels(
    labels: list[LabelRow],
    images: list[ArchiveImage],
    *,
    refused: dict[str, str],
    roles: tuple[str, ...] = ("original",),
) -> Matching:
    return match_with_roles(labels, images, roles=roles, refused=refused)


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


def test_images_of_other_roles_and_with_a_fourth_axis_are_set_aside_and_listed() -> None:
    images = [
        archive("i1", "s1"),
        replace(archive("i2", "s1"), role="localizer"),
        replace(archive("i3", "s2"), n_volumes="30", volume="all", axis="time"),
        archive("i4", "s3"),
    ]
    labels = [LabelRow(2, "s1", "x"), LabelRow(3, "s2", "y")]
    matching = match_labels(labels, images, refused={})
    assert [image.image_id for image in matching.images] == ["s1_i1"]
    assert {(item.kind, item.id): item.detail for item in matching.unmatched} == {
        ("four-dimensional", "s2_i3"): "30 volumes; set ingest.volume to first, mean or each",
        ("image-without-label", "s3_i4"): "no row of the labels fits it",
        ("label-without-image", "s2"): "its image is set aside: 30 volumes; set ingest.volume to "
        "first, mean or each",
        ("other-role", "s1_i2"): "role localizer is not among cohort.roles",
    }
    labels = [labels[0], LabelRow(4, "s3", "y")]
    both = match_labels(labels, images, refused={}, roles=("original", "localizer"))
    assert "several-images" in count_unmatched(both.unmatched)


@pytest.mark.parametrize("volume", ["1", "mean", "7"])
def test_a_volume_that_was_chosen_enters(volume: str) -> None:
    image = replace(archive("i1", "s1"), n_volumes="30", volume=volume, axis="time")
    matching = match_labels([LabelRow(2, "s1", "x")], [image], refused={})
    assert len(matching.images) == 1


ECHOES = [
    replace(archive(f"e{n}", "s1"), image_key="key-i1", part=f"component=M,echo-time-ms={te}")
    for n, te in enumerate(("4.6", "9.2"))
]


@pytest.mark.parametrize(
    "part", ["echo-time-ms=9.2", " echo-time-ms = 9.20 ", "echo-time-ms=9.2,component=M"]
)
def test_a_label_chooses_among_the_parts_of_a_series(part: str) -> None:
    for image in ("key-i1", None):
        labels = [LabelRow(2, "s1", "x", image=image, part=part)]
        matching = match_labels(labels, ECHOES, refused={})
        assert [item.image_id for item in matching.images] == ["s1_e1"]


def test_a_label_chooses_among_the_volumes_of_a_series() -> None:
    images = [
        replace(archive(f"v{n}", "s1"), n_volumes="3", volume=str(n), part="component=M")
        for n in (1, 2, 3)
    ]
    matching = match_labels([LabelRow(2, "s1", "x", part="volume=2")], images, refused={})
    assert [image.image_id for image in matching.images] == ["s1_v2"]


def test_without_a_choice_the_parts_are_told() -> None:
    labels = [LabelRow(2, "s1", "x"), LabelRow(3, "s1", "x", part="component=P")]
    images = [*ECHOES, archive("i2", "s2")]
    matching = match_labels([*labels, LabelRow(4, "s2", "y")], images, refused={})
    details = {item.line: (item.kind, item.detail) for item in matching.unmatched if item.line}
    parts = "component=M,echo-time-ms=4.6; component=M,echo-time-ms=9.2"
    assert details == {
        2: ("several-images", f"2 images fit; name one in column part: {parts}"),
        3: ("label-without-image", f"no image has this part; there are: {parts}"),
    }


def test_an_archive_of_which_nothing_may_enter_is_told_apart_from_wrong_names() -> None:
    images = [replace(image, role="derived") for image in IMAGES]
    with pytest.raises(LabelError, match=r"cohort: at least one .* got 4 that are not"):
        match_labels([LabelRow(2, "s1", "x")], images, refused={})


def test_label_without_issuer_finds_the_subject_of_the_only_issuer() -> None:
    issued = replace(archive("i1", "s1"), subject="issued", subject_key="s1")
    plain = replace(archive("i2", "s1"), role="localizer")
    images = [issued, plain, archive("i3", "s2")]
    labels = [LabelRow(2, "s1", "a"), LabelRow(3, "s2", "b")]
    found = match_labels(labels, images, refused={}).images
    assert {image.image_id: image.patient for image in found} == {"s1_i1": "s1", "s2_i3": "s2"}


def test_label_of_an_identifier_that_two_issuers_gave_is_refused_and_says_how_to_write_it() -> None:
    images = [
        replace(archive(name, "s1"), subject=issuer, subject_key="s1")
        for name, issuer in (("i1", "one"), ("i2", "two"))
    ]
    with pytest.raises(LabelError, match="2 issuers") as caught:
        match_labels([LabelRow(2, "s1", "a")], images, refused={})
    assert "issuer|identifier" in caught.value.hint
    found = match_labels([LabelRow(2, "one", "a"), LabelRow(3, "two", "b")], images, refused={})
    assert [image.subject for image in found.images] == ["one", "two"]
