"""Train subsets: nested, of all classes, in proportion, of train subjects alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.scorecard.subsets import (
    check_nested,
    check_train_only,
    choose_evenly,
    choose_subsets,
)
from medvision.domain.split import Assignment
from medvision.errors import CohortError

FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def make_images(labels, *, split: str = "train", start: int = 0):
    return [
        Assignment(3, 0, 3, 0, f"img-{n + start}", f"sub-{n + start}", label, split)
        for n, label in enumerate(labels)
    ]


def choose(images, groups=None, *, fractions=FRACTIONS, purpose="7/3"):
    return choose_subsets(images, groups or {}, fractions=fractions, purpose=purpose)


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    seed=st.integers(0, 99),
)
def test_a_smaller_share_is_within_every_larger_one_and_holds_every_class(labels, seed):
    subsets = choose(make_images(labels), purpose=str(seed))
    check_nested({each.fraction: each.subjects for each in subsets}, fold=3)
    places = {f"sub-{n}": label for n, label in enumerate(labels)}
    for each in subsets:
        assert {places[name] for name in each.subjects} == set(labels)
    assert set(subsets[-1].subjects) == set(places)


@given(n_a=st.integers(10, 80), n_b=st.integers(10, 80), fraction=st.sampled_from([0.2, 0.35, 0.5]))
def test_each_class_has_its_share_to_within_one_subject(n_a, n_b, fraction):
    (subset,) = choose(make_images("a" * n_a + "b" * n_b), fractions=[fraction])
    counts = Counter("a" if int(name[4:]) < n_a else "b" for name in subset.subjects)
    assert abs(counts["a"] - fraction * n_a) <= 1
    assert abs(counts["b"] - fraction * n_b) <= 1
    assert abs(len(subset.subjects) - fraction * (n_a + n_b)) <= 0.5


def test_a_share_too_small_for_all_classes_is_exceeded_and_says_so():
    subsets = choose(make_images("aaaaaaaaab"))
    assert [len(each.subjects) for each in subsets] == [2, 3, 5, 10]
    assert [each.is_exceeded for each in subsets] == [True, False, False, False]


def test_the_order_of_the_rows_does_not_matter_but_the_purpose_does():
    images = make_images("ab" * 20)
    assert choose(images) == choose(images[::-1])
    assert choose(images)[0].subjects != choose(images, purpose="8/3")[0].subjects


def test_one_subject_more_leaves_nearly_all_others_where_they_were():
    images = make_images("ab" * 40)
    half, again = (choose(held, fractions=[0.5])[0].subjects for held in (images[:-2], images))
    assert len(set(half) - set(again)) <= 2


def test_subjects_of_one_group_are_taken_together():
    images = make_images("ab" * 10)
    groups = {item.image_id: f"group-{int(item.subject[4:]) // 4}" for item in images}
    for each in choose(images, groups):
        whole = Counter(groups[name] for name in each.image_ids)
        assert set(whole.values()) == {4}
        assert each.n_groups == len(whole)


def test_a_subject_outside_train_in_a_subset_is_refused():
    images = [*make_images("abab"), *make_images("ab", split="test", start=4)]
    check_train_only(["sub-0", "sub-3"], images)
    with pytest.raises(CohortError, match=r"train subjects only, got sub-5 of test"):
        check_train_only(["sub-0", "sub-5"], images)


def test_shares_that_are_not_nested_are_refused():
    check_nested({0.5: ["a"], 1.0: ["a", "b"]}, fold=0)
    with pytest.raises(CohortError, match=r"fold 0: .* got c in the smaller one alone"):
        check_nested({1.0: ["a", "b"], 0.5: ["c"]}, fold=0)


@given(
    labels=st.lists(st.sampled_from("ab"), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_a_number_of_images_is_chosen_exactly_in_order_and_each_class_in_proportion(
    labels, share: float, seed: int
) -> None:
    images = make_images(labels)
    n_wanted = round(share * len(images))
    chosen = choose_evenly(images, n_wanted, purpose=str(seed))
    assert len(chosen) == n_wanted
    assert chosen == [item for item in images if item in chosen]
    assert set(chosen) == set(choose_evenly(images[::-1], n_wanted, purpose=str(seed)))
    held, all_held = (Counter(item.label for item in own) for own in (chosen, images))
    for label, count in all_held.items():
        assert abs(held[label] - n_wanted * count / len(images)) <= 1.5


def test_another_purpose_chooses_others_of_a_class() -> None:
    images = make_images("ab" * 20)
    first, second = (choose_evenly(images, 10, purpose=purpose) for purpose in "12")
    assert first != second
