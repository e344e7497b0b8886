"""Class fidelity: a classifier that could not have refused swapped labels leaves it undecided."""

from dataclasses import replace

import numpy as np
import pytest

from medvision.domain.synthesis.fidelity import Agreement, judge_fidelity
from tests.synthetic_generators import RULES

CLASSES = ("normal", "nodule")


def predict(labels, rights):
    """Predict all but so many of each class wrongly, of two classes."""
    predicted = labels.copy()
    for label, n_right in enumerate(rights):
        own = np.flatnonzero(labels == label)
        predicted[own[n_right:]] = 1 - label
    return predicted


def agree(real, made, *, n_real=20, n_made=30):
    """Predictions of two classes, of which so many of `n_real` and `n_made` are right in each."""
    labels, drawn = np.arange(2 * n_real) % 2, np.arange(2 * n_made) % 2
    found = predict(labels, real), predict(drawn, made)
    return Agreement("planted", found[0], labels, np.arange(2 * n_real), found[1], drawn)


def judge(agreement, classes=CLASSES):
    return [own.verdict for own in judge_fidelity(agreement, classes=classes, rules=RULES)]


@pytest.mark.parametrize("drawn", [(0, 1), (0,), (1,)])
def test_a_classifier_that_says_one_class_but_once_lets_no_swapped_labels_pass(drawn):
    # Of all images but one it says the first class, whatever was asked for.
    swapped = agree((20, 1), (30, 0))
    own = np.isin(swapped.synthetic_labels, drawn)
    held = replace(
        swapped,
        synthetic=swapped.synthetic[own],
        synthetic_labels=swapped.synthetic_labels[own],
    )
    verdicts = judge(held)
    assert [verdicts[label] for label in drawn] == ["undecided"] * len(drawn)


def test_an_able_classifier_passes_what_is_right_and_refuses_swapped_labels():
    assert judge(agree((18, 18), (27, 27))) == ["passed", "passed"]
    assert judge(agree((18, 18), (3, 3))) == ["refused", "refused"]


def test_a_classifier_better_than_chance_by_little_is_undecided_in_words():
    first, _ = judge_fidelity(agree((12, 11), (18, 16)), classes=CLASSES, rules=RULES)
    assert first.verdict == "undecided"
    assert "not surely better than chance" in first.reason
    assert "57% of a class" in first.reason
    assert "chance is 50%" in first.reason


def test_a_class_that_the_classifier_mixes_with_others_is_undecided_and_the_rest_is_judged():
    # Of three classes the first is surely known, and the other two are called alike.
    labels, drawn = np.arange(90) % 3, np.arange(90) % 3
    found = np.where(labels == 0, 0, 1)
    mixed = Agreement("planted", found, labels, np.arange(90), found, drawn)
    criteria = judge_fidelity(mixed, classes=("a", "b", "c"), rules=RULES)
    assert [own.verdict for own in criteria] == ["passed", "passed", "undecided"]
    assert "in 0% of its validation images and in 0% of the others'" in criteria[2].reason


def test_real_images_of_one_class_alone_tell_nothing():
    own = agree((20, 20), (30, 30))
    held = own.real_labels == 0
    lone = replace(
        own, real=own.real[held], real_labels=own.real_labels[held], clusters=own.clusters[held]
    )
    assert judge(lone) == ["undecided", "undecided"]


def test_images_of_few_subjects_make_no_classifier_sure():
    many = agree((20, 20), (30, 30))
    assert judge(many) == ["passed", "passed"]
    assert judge(replace(many, clusters=many.real_labels)) == ["undecided", "undecided"]
