"""Leakage: each planted fault is found, and what becomes of it is as configured."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from strategies import make_cohort, make_image, split_cohort

from medvision.domain.splits.leakage import (
    MOST_SHARING,
    NearPair,
    check_group_sizes,
    check_leakage,
    find_leakage,
    join_groups,
)
from medvision.errors import CohortError

SAME_PIXELS = [
    make_image("i1", "s1", "x", pixel_digest="p"),
    make_image("i2", "s2", "x", pixel_digest="p"),
]


@pytest.mark.parametrize(
    ("on_leakage", "action"), [("group", "grouped"), ("stop", "stopped"), ("report", "reported")]
)
def test_equal_pixels_under_two_subjects_are_found(on_leakage: str, action: str) -> None:
    (pair,) = find_leakage(SAME_PIXELS, on_leakage=on_leakage)
    assert (pair.kind, pair.image_a.image_id, pair.image_b.image_id) == ("same-pixels", "i1", "i2")
    assert pair.action == action


@pytest.mark.parametrize("field", ["pixel_digest", "study", "patient"])
def test_what_two_subjects_share_joins_them(field: str) -> None:
    images = [
        make_image("i1", "s1", "x", **{field: "shared"}),
        make_image("i2", "s2", "x", **{field: "shared"}),
        make_image("i3", "s3", "x"),
    ]
    grouped = join_groups(images, find_leakage(images, on_leakage="group"))
    first, second, third = (image.group for image in grouped)
    assert first == second != third
    assert first.startswith("joint-")
    assert third == "s3"


def test_joined_subjects_land_in_one_split() -> None:
    images = make_cohort({"x": 12, "y": 12})
    shared = [
        make_image("j1", "sub-x-0001", "x", pixel_digest="p"),
        make_image("j2", "sub-x-0007", "x", pixel_digest="p"),
    ]
    cohort = join_groups([*images, *shared], find_leakage([*images, *shared], on_leakage="group"))
    for seed in range(10):
        folds = split_cohort(cohort, folds=3, validation_fraction=0.25, seed=seed)
        for fold in range(3):
            joined = {
                item.split
                for item in folds
                if item.fold == fold and item.subject in ("sub-x-0001", "sub-x-0007")
            }
            assert len(joined) == 1


def test_one_subject_under_two_studies_stays_whole_without_a_word() -> None:
    images = [
        *make_cohort({"x": 4, "y": 4}),
        make_image("v1", "s1", "x", study="a"),
        make_image("v2", "s1", "x", study="b"),
    ]
    assert find_leakage(images, on_leakage="stop") == []
    folds = split_cohort(images, folds=3, validation_fraction=0.3, seed=1)
    for fold in range(3):
        splits = {i.split for i in folds if i.fold == fold and i.subject == "s1"}
        assert len(splits) == 1


@pytest.mark.parametrize("on_leakage", ["group", "stop"])
def test_equal_images_with_unequal_labels_stop_the_run(on_leakage: str) -> None:
    images = [
        make_image("i1", "s1", "x", pixel_digest="p"),
        make_image("i2", "s2", "y", pixel_digest="p"),
    ]
    pairs = find_leakage(images, on_leakage=on_leakage)
    assert ("conflicting-label", "stopped") in [(p.kind, p.action) for p in pairs]
    with pytest.raises(CohortError, match="1 conflicting-label") as caught:
        check_leakage(pairs)
    assert "unequal labels" in caught.value.hint
    check_leakage(find_leakage(images, on_leakage="report"))


@pytest.mark.parametrize("field", ["pixel_digest", "study", "patient", "subject"])
@pytest.mark.parametrize("on_leakage", ["group", "stop"])
def test_a_given_split_that_leaks_stops_the_run(field: str, on_leakage: str) -> None:
    """The planted fault of a split by image: nothing may be moved, so nothing can be mended."""
    names = {"subject": ("s1", "s1")}.get(field, ("s1", "s2"))
    extra = {} if field == "subject" else {field: "shared"}
    images = [
        make_image("i1", names[0], "x", given_split="train", **extra),
        make_image("i2", names[1], "x", given_split="test", **extra),
        make_image("i3", "s3", "x", given_split="validation"),
    ]
    with pytest.raises(CohortError) as caught:
        check_leakage(find_leakage(images, on_leakage=on_leakage))
    assert "on_leakage to report" in caught.value.hint
    (pair,) = find_leakage(images, on_leakage="report")
    assert pair.action == "reported"


def test_equal_images_within_one_given_split_are_harmless_and_said() -> None:
    images = [
        make_image("i1", "s1", "x", pixel_digest="p", given_split="train"),
        make_image("i2", "s2", "x", pixel_digest="p", given_split="train"),
    ]
    (pair,) = find_leakage(images, on_leakage="stop")
    assert pair.action == "same-split"
    check_leakage([pair])


def test_every_leaking_image_has_a_row_though_not_every_pair() -> None:
    splits = ["validation", "validation", "train", "train", "test"]
    images = [
        make_image(f"i{n}", f"s{n}", "x", pixel_digest="p", given_split=split)
        for n, split in enumerate(splits)
    ]
    pairs = find_leakage(images, on_leakage="report")
    leaking = {p.image_a.image_id for p in pairs} | {p.image_b.image_id for p in pairs}
    assert leaking == {"i0", "i1", "i2", "i3", "i4"}
    apart = [p for p in pairs if p.image_a.given_split != p.image_b.given_split]
    assert [p.action for p in apart] == ["reported"] * 4
    within = [(p.image_a.image_id, p.image_b.image_id) for p in pairs if p.action == "same-split"]
    assert within == [("i0", "i1"), ("i2", "i3")]


@pytest.mark.parametrize(
    "field", ["pixel_digest", "study", "series", "frame_of_reference", "person_key", "patient"]
)
@pytest.mark.parametrize("split", ["test", "external"])
def test_two_subjects_of_one_person_in_one_given_split_count_as_one(field: str, split: str) -> None:
    """And those of another person do not; nothing is said of a subject's own images."""
    images = [
        make_image("i0", "s0", "x", given_split="train"),
        make_image("i1", "s1", "x", given_split=split, **{field: "shared"}),
        make_image("i2", "s1", "x", given_split=split, **{field: "shared"}),
        make_image("i3", "s2", "x", given_split=split, **{field: "shared"}),
        make_image("i4", "s3", "x", given_split=split, **{field: "other"}),
    ]
    pairs = find_leakage(images, on_leakage="stop")
    check_leakage(pairs)
    assert ("i1", "i3", "same-split") in [
        (p.image_a.image_id, p.image_b.image_id, p.action) for p in pairs
    ]
    groups = [image.group for image in join_groups(images, pairs)]
    assert groups[1] == groups[2] == groups[3]
    assert (groups[0], groups[4]) == ("s0", "s3")


@pytest.mark.parametrize("field", ["frame_of_reference", "person_key"])
def test_what_many_of_one_given_split_share_joins_nobody(field: str) -> None:
    images = [
        make_image(f"i{n}", f"s{n}", "x", given_split="test", **{field: "constant"})
        for n in range(MOST_SHARING + 1)
    ]
    pairs = find_leakage(images, on_leakage="group")
    assert [pair.action for pair in pairs] == ["untrusted"]
    assert {image.group for image in join_groups(images, pairs)} == {i.subject for i in images}


def test_look_alikes_of_two_subjects_in_one_given_split_count_as_one() -> None:
    images = [
        make_image(f"i{n}", f"s{n // 2}", "x", pixel_digest=f"p{n}", given_split="test")
        for n in range(4)
    ]
    near = [NearPair("i0", "i1", 0.99, "flipped"), NearPair("i3", "i0", 0.95, "rotated 5°")]
    (pair,) = find_leakage(images, on_leakage="stop", near=near)
    assert (pair.image_a.image_id, pair.image_b.image_id, pair.action) == ("i0", "i3", "same-split")
    assert len({image.group for image in join_groups(images, [pair])}) == 1


@pytest.mark.shared
def test_the_eight_validation_images_that_equal_train_images_are_reported(
    shared_data: Path,
) -> None:
    archive = np.load(shared_data / "pneumoniamnist" / "pneumoniamnist.npz")
    images = [
        make_image(
            f"{part}-{n}",
            f"{part}-{n}",
            str(label[0]),
            pixel_digest=hashlib.sha256(pixels.tobytes()).hexdigest(),
            given_split=split,
        )
        for part, split in (("train", "train"), ("val", "validation"), ("test", "test"))
        for n, (pixels, label) in enumerate(
            zip(archive[f"{part}_images"], archive[f"{part}_labels"], strict=True)
        )
    ]
    pairs = find_leakage(images, on_leakage="report")
    leaking = {
        image.image_id
        for pair in pairs
        if pair.action == "reported"
        for image in (pair.image_a, pair.image_b)
        if image.given_split == "validation"
    }
    assert len(leaking) == 8
    sides = {p.image_a.given_split for p in pairs} | {p.image_b.given_split for p in pairs}
    assert sides == {"train", "validation", "test"}
    with pytest.raises(CohortError, match="same-pixels"):
        check_leakage(find_leakage(images, on_leakage="group"))


@pytest.mark.parametrize("field", ["series", "frame_of_reference", "person_key"])
@pytest.mark.parametrize(
    ("on_leakage", "action"), [("group", "grouped"), ("stop", "stopped"), ("report", "reported")]
)
def test_one_person_under_two_subjects_is_found(field: str, on_leakage: str, action: str) -> None:
    images = [make_image(f"i{n}", f"s{n}", "x", **{field: "shared"}) for n in range(2)]
    (pair,) = find_leakage(images, on_leakage=on_leakage)
    assert pair.action == action
    assert pair.kind == {"person_key": "same-person"}.get(field, f"same-{field.replace('_', '-')}")


@pytest.mark.parametrize("field", ["frame_of_reference", "person_key"])
def test_what_many_subjects_share_is_listed_and_joins_nobody(field: str) -> None:
    images = [
        make_image(f"i{n}", f"s{n}", "x", **{field: "constant"}) for n in range(MOST_SHARING + 1)
    ]
    pairs = find_leakage(images, on_leakage="stop")
    assert [pair.action for pair in pairs] == ["untrusted"]
    check_leakage(pairs)
    assert {image.group for image in join_groups(images, pairs)} == {i.subject for i in images}
    few = find_leakage(images[:MOST_SHARING], on_leakage="group")
    assert len({image.group for image in join_groups(images[:MOST_SHARING], few)}) == 1


def test_look_alikes_of_two_subjects_are_a_pair_and_of_one_subject_are_not() -> None:
    images = [make_image(f"i{n}", f"s{n // 2}", "x", pixel_digest=f"p{n}") for n in range(4)]
    near = [NearPair("i0", "i1", 0.99, "flipped"), NearPair("i3", "i0", 0.95, "rotated 5°")]
    (pair,) = find_leakage(images, on_leakage="group", near=near)
    assert (pair.kind, pair.image_a.image_id, pair.image_b.image_id) == ("near-pixels", "i0", "i3")
    assert (pair.action, pair.similarity, pair.alteration) == ("grouped", 0.95, "rotated 5°")
    groups = {image.group for image in join_groups(images, [pair])}
    assert len(groups) == 1


def test_equal_pixels_are_listed_once_although_they_look_alike_too() -> None:
    pairs = find_leakage(SAME_PIXELS, on_leakage="stop", near=[NearPair("i1", "i2", 1.0, "")])
    assert [pair.kind for pair in pairs] == ["same-pixels"]


def test_subjects_that_chain_into_one_group_end_the_run() -> None:
    images = [make_image(f"i{n}", f"s{n}", "x", pixel_digest=f"p{n}") for n in range(9)]
    near = [NearPair(f"i{n}", f"i{n + 1}", 0.95, "") for n in range(4)]
    chained = join_groups(images, find_leakage(images, on_leakage="group", near=near))
    with pytest.raises(CohortError, match="at most 3 for 3 folds, got a group of 5"):
        check_group_sizes(chained, folds=3)
    check_group_sizes(chained, folds=1)
    check_group_sizes(images, folds=3)


def test_a_large_group_of_equal_images_is_told_what_helps_it_too() -> None:
    images = [
        make_image(f"i{n}", f"s{n}", "x", pixel_digest="p" if n < 4 else f"p{n}") for n in range(9)
    ]
    joined = join_groups(images, find_leakage(images, on_leakage="group"))
    with pytest.raises(CohortError) as caught:
        check_group_sizes(joined, folds=3)
    assert "lower cohort.folds" in caught.value.hint
    check_group_sizes(joined, folds=2)
