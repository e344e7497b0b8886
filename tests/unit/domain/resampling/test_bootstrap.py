"""The bootstrap: clusters stay whole, strata keep their size, the interval covers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.resampling.bootstrap import (
    compute_interval,
    draw_weights,
    join_folds,
    leave_out,
)


def draw(
    clusters: list[str], folds: list[int], labels: list[int], n_resamples: int = 500, seed: int = 1
) -> np.ndarray:
    parts = draw_weights(
        clusters, np.array(folds), labels=np.array(labels), n_resamples=n_resamples, seed=seed
    )
    return np.concatenate(list(parts))


def test_images_of_one_subject_are_always_drawn_together() -> None:
    clusters = ["s1", "s1", "s2", "s3", "s3", "s3"]
    weights = draw(clusters, [0] * 6, [0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] == 2).all()


def test_every_resample_holds_each_folds_classes_in_their_number() -> None:
    rng = np.random.default_rng(0)
    folds, labels = rng.integers(0, 3, 60), rng.integers(0, 2, 60)
    weights = draw([f"s{n}" for n in range(60)], folds.tolist(), labels.tolist())
    for fold in range(3):
        for label in range(2):
            here = (folds == fold) & (labels == label)
            np.testing.assert_allclose(weights[:, here].sum(axis=1), here.sum())


def test_a_subject_with_both_classes_is_a_stratum_of_its_own_kind() -> None:
    clusters = ["s1", "s1", "s2", "s2", "s3", "s4"]
    weights = draw(clusters, [0] * 6, [0, 1, 0, 1, 0, 1])
    assert (weights[:, 4] == 1).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all()


def test_weights_have_the_variance_that_a_mean_has() -> None:
    """Each of n - 1 draws hits with probability 1/n and weighs n / (n - 1): variance 1."""
    n = 40
    weights = draw([f"s{i}" for i in range(n)], [0] * n, [0] * n, n_resamples=20000)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.04)
    np.testing.assert_allclose(weights.var(axis=0), 1, atol=0.06)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    arguments = (["a", "b", "c"], [0] * 3, [0] * 3)
    np.testing.assert_array_equal(draw(*arguments, seed=4), draw(*arguments, seed=4))
    assert (draw(*arguments, seed=4) != draw(*arguments, seed=5)).any()


def test_parts_bound_the_memory_and_add_up() -> None:
    n = 50_000
    parts = list(
        draw_weights(
            [str(i) for i in range(n)],
            np.zeros(n, dtype=np.intp),
            labels=np.zeros(n, dtype=np.intp),
            n_resamples=90,
            seed=1,
        )
    )
    assert [len(part) for part in parts] == [40, 40, 10]


def test_the_interval_of_a_mean_is_near_its_closed_form() -> None:
    values = np.random.default_rng(2).normal(size=400)
    weights = draw([str(i) for i in range(400)], [0] * 400, [0] * 400, n_resamples=4000)
    low, high = compute_interval(weights @ values / 400, 0.95)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_a_cluster_that_spans_folds_is_drawn_and_left_out_as_one() -> None:
    clusters, folds = ["a", "b", "c", "a", "b", "d", "e", "f"], [0, 0, 0, 1, 1, 1, 2, 2]
    weights = draw(clusters, folds, [0] * 8)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 3])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert weights[:, 0].std() > 0
    np.testing.assert_allclose(weights[:, [0, 1, 2, 5]].sum(axis=1), 4)
    np.testing.assert_allclose(weights[:, 6:].sum(axis=1), 2)
    strata, parts = leave_out(clusters, np.array(folds), labels=np.zeros(8, dtype=np.intp))
    (without,) = list(parts)
    assert len(strata) == 6
    np.testing.assert_array_equal(without[:, 0], without[:, 3])


def list_joined_slowly(clusters: list[int], folds: list[int]) -> list[int]:
    """The least fold that each image's fold hangs together with, by following every link."""
    links = {
        (a, b)
        for c, a in zip(clusters, folds, strict=True)
        for d, b in zip(clusters, folds, strict=True)
        if c == d
    }
    found = []
    for fold in folds:
        reached = {fold}
        while (more := reached | {b for a, b in links if a in reached}) != reached:
            reached = more
        found.append(min(reached))
    return found


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 6)), min_size=1, max_size=14))
def test_folds_are_joined_as_a_slow_walk_along_shared_clusters_joins_them(held) -> None:
    clusters, folds = [c for c, _ in held], [f for _, f in held]
    joined = join_folds(np.array(clusters), np.array(folds))
    assert joined.tolist() == list_joined_slowly(clusters, folds)
