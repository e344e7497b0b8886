"""Who has to do with a test subject, by whatever trace, and who is refused for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.splits.untested import check_untested, find_tested
from medvision.errors import CohortError

FOLDS = [
    {"image_id": "a", "subject": "sub-a", "split": "train"},
    {"image_id": "b", "subject": "sub-b", "split": "test"},
    {"image_id": "c", "subject": "sub-b", "split": "test"},
]


def make_row(image_id, **traces):
    return {"image_id": image_id, "source": "dicom", "subject": f"arch-{image_id}", **traces}


@pytest.mark.parametrize(
    "trace", ["subject", "subject_key", "person_key", "pixel_digest", "study", "series"]
)
def test_each_trace_of_a_test_image_tells(trace):
    manifest = [make_row("a"), make_row("b", **{trace: "x"}), make_row("u", **{trace: "x"})]
    assert find_tested(manifest, folds=FOLDS) == {"b", "c", "u"}


def test_nifti_paths_guess_no_study_and_empty_traces_tell_nothing():
    manifest = [
        {"image_id": "b", "source": "nifti", "subject": "b", "study": "x", "person_key": ""},
        {"image_id": "u", "source": "nifti", "subject": "u", "study": "x", "person_key": ""},
    ]
    assert "u" not in find_tested(manifest, folds=FOLDS)


def test_tested_in_any_fold_is_tested():
    folds = [
        {"image_id": name, "subject": name, "split": "test" if fold == n else "train"}
        for fold in range(3)
        for n, name in enumerate("abc")
    ]
    assert find_tested([make_row(name) for name in "abcu"], folds=folds) == {"a", "b", "c"}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_what_is_left_shares_no_trace_with_anybody_tested(traces):
    manifest = [
        make_row(f"i{n}", subject=f"s{subject}", pixel_digest=f"d{digest}")
        for n, (subject, digest) in enumerate(traces)
    ]
    folds = [{"image_id": "i0", "subject": "labels-own", "split": "test"}]
    tested = find_tested(manifest, folds=folds)
    left = [row for row in manifest if row["image_id"] not in tested]
    first = manifest[0]
    assert all(row["subject"] != first["subject"] for row in left)
    assert all(row["pixel_digest"] != first["pixel_digest"] for row in left)
    check_untested([row["image_id"] for row in left], manifest=manifest, folds=folds)


def test_a_planted_test_subject_is_refused_by_its_pseudonym():
    manifest = [make_row("a"), make_row("b", person_key="p"), make_row("u", person_key="p")]
    check_untested(["a"], manifest=manifest, folds=FOLDS)
    with pytest.raises(CohortError, match="got 1 that are, such as u"):
        check_untested(["a", "u"], manifest=manifest, folds=FOLDS)
