"""Which train images stand beside an explained one: one a subject, in order, of the right sign."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.explanation.influence import choose_epochs, rank_train


@pytest.mark.parametrize(
    ("n_epochs", "n_kept", "wanted"),
    [(18, 3, (3, 9, 15)), (5, 3, (1, 3, 5)), (2, 3, (1, 2)), (10, 1, (5,)), (4, 0, ())],
)
def test_checkpoints_lie_in_the_middles_of_equal_parts(n_epochs, n_kept, wanted):
    assert choose_epochs(n_epochs, n_kept) == wanted


@given(st.integers(1, 300), st.integers(0, 40))
def test_as_many_epochs_as_wanted_are_kept_each_once_and_within_the_training(n_epochs, n_kept):
    epochs = choose_epochs(n_epochs, n_kept)
    assert len(set(epochs)) == len(epochs) == min(n_epochs, n_kept)
    assert all(1 <= epoch <= n_epochs for epoch in epochs)
    assert list(epochs) == sorted(epochs)


def rank_slowly(distances, influence, subjects, n_most):
    """Oracle: each subject's best image, then the best subjects."""
    found = []
    for kind in ("nearest", "raised", "lowered"):
        scores = distances if kind == "nearest" else influence
        places = [n for n, score in enumerate(scores) if kind != "raised" or score < 0]
        places = [n for n in places if kind != "lowered" or scores[n] > 0]
        sign = -1 if kind == "lowered" else 1
        best = {}
        for place in places:
            held = best.get(subjects[place])
            if held is None or sign * scores[place] < sign * scores[held]:
                best[subjects[place]] = place
        order = sorted(best.values(), key=lambda n: (sign * scores[n], n))[:n_most]
        found += [(kind, rank, place) for rank, place in enumerate(order, 1)]
    return found


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 4))
def test_ranks_are_those_of_the_slow_way(seed, n_train, n_most):
    generator = np.random.default_rng(seed)
    distances = generator.integers(0, 5, n_train) / 2.0
    influence = generator.integers(-3, 4, n_train) / 2.0
    subjects = [f"sub-{n}" for n in generator.integers(0, 5, n_train)]
    ranked = rank_train(distances, influence, subjects=subjects, n_most=n_most)
    wanted = rank_slowly(distances, influence, subjects, n_most)
    assert [(own.kind, own.rank, own.position) for own in ranked] == wanted
    for own in ranked:
        assert own.score == (distances if own.kind == "nearest" else influence)[own.position]


def test_an_image_without_influence_stands_under_neither_kind():
    ranked = rank_train(np.ones(2), np.zeros(2), subjects=["a", "b"], n_most=2)
    assert {own.kind for own in ranked} == {"nearest"}


def test_without_checkpoints_only_the_nearest_are_named():
    ranked = rank_train(np.array([2.0, 1.0]), None, subjects=["a", "b"], n_most=1)
    assert [(own.kind, own.position) for own in ranked] == [("nearest", 1)]
