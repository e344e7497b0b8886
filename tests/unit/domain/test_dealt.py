"""Labels and images dealt anew: as common as before, and together where they must be."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from predicted import SETTINGS

from medvision.domain.labels.rows import Classes
from medvision.domain.shortcut.answers import Answer
from medvision.domain.shortcut.arms import build_class_arm
from medvision.domain.shortcut.dealt import (
    count_moved,
    count_siblings,
    deal_images,
    join_units,
    list_copies,
    name_strata,
    permute_labels,
)
from medvision.domain.shortcut.judge import ask_classes
from medvision.domain.shortcut.leaks import compare_splits
from medvision.domain.split import Assignment

TWO = Classes(("no", "yes"), "yes")
SAME = {"no": "no", "yes": "yes"}


def make_fold(n_subjects, *, n_images=1, labels=("no", "yes")):
    """Half train, a quarter validate, a quarter is tested; a subject's images have one label."""
    sides = ("train", "train", "validation", "test")
    return [
        Assignment(
            fold=0,
            repeat=0,
            part=0,
            inner=0,
            image_id=f"sub-{n:03d}_img-{m}",
            subject=f"sub-{n:03d}",
            label=labels[n // 4 % len(labels)],
            split=sides[n % 4],
        )
        for n in range(n_subjects)
        for m in range(n_images)
    ]


def unite(own):
    return {item.image_id: item.subject for item in own}


@given(st.integers(8, 40), st.integers(1, 3), st.text(max_size=5))
def test_permuted_labels_are_as_common_and_one_for_all_images_of_a_subject(n, m, purpose) -> None:
    own = make_fold(n, n_images=m)
    dealt = permute_labels(own, unite(own), purpose=purpose).assignments
    assert Counter(item.label for item in dealt) == Counter(item.label for item in own)
    assert [(i.image_id, i.split) for i in dealt] == [(i.image_id, i.split) for i in own]
    by_subject = {}
    for item in dealt:
        assert by_subject.setdefault(item.subject, item.label) == item.label


def test_permuted_labels_have_nothing_to_do_with_the_true_ones() -> None:
    own = make_fold(400)
    dealt = permute_labels(own, unite(own), purpose="a").assignments
    same = np.mean([a.label == b.label for a, b in zip(own, dealt, strict=True)])
    assert abs(same - 0.5) < 4 * np.sqrt(0.25 / 400)
    other = permute_labels(own, unite(own), purpose="b").assignments
    assert dealt != other
    assert permute_labels(own, unite(own), purpose="a").assignments == dealt


def test_draws_go_on_until_every_class_is_on_every_side() -> None:
    own = make_fold(12)
    draws = [permute_labels(own, unite(own), purpose=str(n)) for n in range(30)]
    assert max(draw.n_draws for draw in draws) > 1
    for draw in draws:
        for side in ("train", "validation", "test"):
            assert {item.label for item in draw.assignments if item.split == side} == {"no", "yes"}
    few = own[:5]
    assert permute_labels(few, unite(few), purpose="x").n_draws == 50


def test_copies_are_given_one_label_whoever_they_are_said_to_be_of() -> None:
    own = make_fold(16)
    copies = [(own[0].image_id, own[3].image_id), (own[3].image_id, own[7].image_id)]
    units = join_units(unite(own), copies)
    assert len({units[own[n].image_id] for n in (0, 3, 7)}) == 1
    assert len(set(units.values())) == 14
    for purpose in "abcdef":
        dealt = permute_labels(own, units, purpose=purpose).assignments
        assert len({dealt[n].label for n in (0, 3, 7)}) == 1
    assert count_siblings(own, units) == (2, 4)
    assert count_siblings(own, unite(own)) == (0, 4)


def test_a_pair_with_an_image_that_left_the_cohort_joins_nothing() -> None:
    assert join_units({"a": "s"}, [("a", "gone"), ("gone", "a")]) == {"a": "s"}


def test_images_of_equal_pixels_are_copies_and_those_without_a_digest_are_not() -> None:
    pairs = list_copies({"a": "1", "b": "1", "c": "2", "d": "", "e": "", "f": "1"})
    assert {pair for pair in pairs if pair[0] != pair[1]} == {("a", "b"), ("a", "f")}


@given(st.integers(4, 30), st.integers(1, 4), st.text(max_size=5))
def test_images_are_dealt_with_each_side_and_class_as_large_as_before(n, m, purpose) -> None:
    own = make_fold(n, n_images=m)
    dealt = deal_images(own, strata=SAME, purpose=purpose).assignments
    sizes = [Counter((item.split, item.label) for item in held) for held in (own, dealt)]
    assert sizes[0] == sizes[1]
    assert sorted(i.image_id for i in dealt) == sorted(i.image_id for i in own)
    truth = {i.image_id: (i.label, i.subject) for i in own}
    assert all(truth[i.image_id] == (i.label, i.subject) for i in dealt)


def test_an_image_level_split_parts_the_images_of_a_subject() -> None:
    own = make_fold(20, n_images=4)
    assert count_siblings(own, unite(own)) == (0, 20)
    n_siblings, n_tested = count_siblings(
        deal_images(own, strata=SAME, purpose="a").assignments, unite(own)
    )
    assert n_tested == 20
    assert n_siblings > 15


def draw_question(name, *, effect, seed, n=80, target=""):
    rng = np.random.default_rng(seed)
    answers = []
    for k in range(n):
        label = ("no", "yes")[k % 2]
        score = float(rng.normal() + effect * (k % 2))
        place = Assignment(0, 0, 0, 0, f"{name}-{k}", f"{name}-{k}", label, "test")
        answers.append(Answer(name, place, (-score, score)))
    arm = build_class_arm(answers, {}, classes=TWO)
    return ask_classes({name: arm}, target=target, settings=SETTINGS)


@pytest.mark.parametrize(("effect", "differs"), [(3.0, True), (0.5, False)])
def test_a_difference_between_the_splits_is_one_where_its_interval_says_so(effect, differs) -> None:
    image_level = draw_question("image-level", effect=effect, seed=1)
    subject_level = draw_question("study", effect=0.5, seed=2)
    (gap,) = compare_splits([image_level], [subject_level], arms=("image-level", "study"))
    assert gap.difference == pytest.approx(gap.image_level.value - gap.subject_level.value)
    assert gap.low < gap.difference < gap.high
    assert gap.is_higher is differs


def test_the_interval_of_the_difference_is_that_of_two_independent_figures() -> None:
    gaps, widths = [], []
    for seed in range(24):
        one = draw_question("image-level", effect=1.0, seed=2 * seed)
        other = draw_question("study", effect=1.0, seed=2 * seed + 1)
        (gap,) = compare_splits([one], [other], arms=("image-level", "study"))
        gaps.append(gap.difference)
        widths.append(gap.high - gap.low)
    expected = 2 * 1.96 * np.std(gaps)
    assert np.mean(widths) == pytest.approx(expected, rel=0.45)


def test_a_figure_that_is_undefined_has_no_difference() -> None:
    place = Assignment(0, 0, 0, 0, "i", "s", "yes", "test")
    arm = build_class_arm([Answer("study", place, (0.0, 1.0))], {}, classes=TWO)
    undefined = ask_classes({"study": arm}, target="", settings=SETTINGS)
    one = draw_question("image-level", effect=1.0, seed=0)
    (gap,) = compare_splits([one], [undefined], arms=("image-level", "study"))
    assert (gap.difference, gap.low, gap.is_higher) == (None, None, False)
    assert gap.method.startswith("undefined")


def relabel(own, labels):
    return [replace(item, label=label) for item, label in zip(own, labels, strict=True)]


def test_images_of_values_are_dealt_although_no_two_values_are_equal() -> None:
    values = [f"{value:.6f}" for value in np.random.default_rng(0).normal(50, 9, 120)]
    own = relabel(make_fold(40, n_images=3), values)
    strata = name_strata(values, Classes(("age",), None, task="regression"))
    dealt = deal_images(own, strata=strata, purpose="a").assignments
    assert count_moved(own, dealt) > 40
    assert count_siblings(dealt, unite(own))[0] > 20
    sizes = [Counter((item.split, strata[item.label]) for item in held) for held in (own, dealt)]
    assert sizes[0] == sizes[1]
    means = [np.mean([float(i.label) for i in dealt if i.split == s]) for s in ("train", "test")]
    assert abs(means[0] - means[1]) < 4


def test_rare_combinations_of_findings_are_dealt_by_the_rarest_finding_in_them() -> None:
    findings = Classes(("A", "B", "C"), None, task="multilabel")
    labels = ["No Finding"] * 20 + ["A"] * 12 + ["A|B", "B|C?"] * 6 + ["A|C", "C|B?", "A?"] * 2
    strata = name_strata(labels, findings)
    assert strata == {
        "No Finding": "No Finding",
        "A": "A",
        "A|B": "B",
        "B|C?": "B",
        "A|C": "",
        "C|B?": "",
        "A?": "",
    }
    own = relabel(make_fold(50), labels)
    assert count_moved(own, deal_images(own, strata=strata, purpose="a").assignments) > 10


def test_an_image_that_is_alone_in_its_stratum_stays_where_it_is() -> None:
    own = relabel(make_fold(4), list("abcd"))
    dealt = deal_images(own, strata={name: name for name in "abcd"}, purpose="a").assignments
    assert count_moved(own, dealt) == 0


def test_labels_of_subjects_of_unlike_size_are_as_common_among_subjects_alone() -> None:
    own = [
        item
        for n, item in enumerate(make_fold(60, n_images=5))
        if item.label == "yes" or n % 5 == 0
    ]
    dealt = permute_labels(own, unite(own), purpose="a").assignments
    by_subject = [{(i.subject, i.label) for i in held} for held in (own, dealt)]
    common = [Counter(label for _, label in held) for held in by_subject]
    assert common[0] == common[1]
    assert Counter(i.label for i in own) != Counter(i.label for i in dealt)
