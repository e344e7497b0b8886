"""What the gate computes, against slow plain loops, closed forms and published figures."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.synthesis.alterations import measure_altered, pool_images
from medvision.domain.synthesis.copies import Nearness, find_most, judge_copies
from medvision.domain.synthesis.fidelity import compare_shares, count_effective
from medvision.domain.synthesis.frechet import compute_fid
from medvision.domain.synthesis.halves import draw_halves, part_subjects
from medvision.domain.synthesis.kernel import compute_kernel, compute_kid
from medvision.domain.synthesis.manifold import compute_coverage, compute_reach, compute_width
from medvision.domain.synthesis.membership import Members, deal_membership, judge_membership
from medvision.domain.synthesis.sample import (
    Rules,
    Sample,
    Space,
    compute_distances,
    standardise_space,
)

RULES = Rules(n_repeats=60, level=0.99, confidence=0.95, n_neighbours=2, similarity=0.9, seed=1)


def draw(seed, n, *, width=3):
    return np.random.default_rng(seed).normal(size=(n, width))


@given(st.integers(0, 10**6))
def test_kid_is_the_mean_over_pairs_of_different_subjects(seed):
    rng = np.random.default_rng(seed)
    x, y = draw(seed, 6), draw(seed + 1, 5) + 1
    a, b = rng.integers(0, 4, 6), np.arange(5)
    a[:2] = (0, 1)

    def mean(u, v, pairs):
        return np.mean([(u[i] @ v[j] / 3 + 1) ** 3 for i, j in pairs])

    first = mean(x, x, [(i, j) for i in range(6) for j in range(6) if a[i] != a[j]])
    second = mean(y, y, [(i, j) for i in range(5) for j in range(5) if i != j])
    wanted = first + second - 2 * mean(x, y, itertools.product(range(6), range(5)))
    found = compute_kid(
        compute_kernel(x, x),
        compute_kernel(y, y),
        compute_kernel(x, y),
        first_clusters=a,
        second_clusters=b,
    )
    assert found == pytest.approx(wanted)


def test_kid_of_one_distribution_is_zero_on_average_and_not_of_two():
    def kid(x, y):
        n = np.arange(len(x))
        parts = compute_kernel(x, x), compute_kernel(y, y), compute_kernel(x, y)
        return compute_kid(*parts, first_clusters=n, second_clusters=n)

    same = [kid(draw(n, 10), draw(n + 999, 10)) for n in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert np.mean([kid(draw(n, 10), draw(n + 999, 10) + 1) for n in range(50)]) > 1


@pytest.mark.parametrize(("n", "m", "width"), [(30, 20, 3), (5, 4, 8), (12, 3, 5)])
def test_fid_is_that_of_the_eigenvalues_of_the_product_of_covariances(n, m, width):
    x, y = draw(1, n, width=width), draw(2, m, width=width) * 2 + 1
    a, b = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * roots
    assert compute_fid(x, y) == pytest.approx(wanted, rel=1e-5)


def test_fid_of_a_moved_sample_is_the_square_of_the_way_and_of_few_images_far_above_zero():
    x = draw(3, 20)
    assert compute_fid(x, x + 2.0) == pytest.approx(12.0)
    assert compute_fid(draw(4, 8, width=20), draw(5, 8, width=20)) > 10


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_precision_recall_and_width_are_those_of_loops(seed, k):
    rng = np.random.default_rng(seed)
    x, y, whose = draw(seed, 7), draw(seed + 1, 6), rng.integers(0, 5, 7)
    own = compute_distances(x, x)
    reach = []
    for i in range(7):
        others = sorted(own[i, j] for j in range(7) if whose[j] != whose[i])
        reach.append(others[k - 1] if len(others) >= k else np.nan)
    found = compute_reach(own, whose, n_neighbours=k)
    assert np.allclose(found, reach, equal_nan=True)
    if not np.isnan(reach).all():
        inside = [
            any(np.sqrt(((y[i] - x[j]) ** 2).mean()) <= reach[j] for j in range(7))
            for i in range(6)
        ]
        assert compute_coverage(compute_distances(y, x), found) == np.mean(inside)
    pairs = [own[i, j] for i in range(7) for j in range(7) if whose[i] != whose[j]]
    if pairs:
        assert compute_width(own, whose) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("shape", [(1, 6, 7), (2, 4, 5, 4)])
def test_pixel_distance_is_the_least_over_all_flips_and_moves(shape):
    rng = np.random.default_rng(1)
    first = rng.normal(size=(2, *shape)).astype(np.float32)
    second = rng.normal(size=(3, *shape)).astype(np.float32)
    n_axes = len(shape) - 1
    wanted = np.full((2, 3), np.inf)
    inner = (slice(None), *(slice(1, -1),) * n_axes)
    for i, j in np.ndindex(2, 3):
        for flips in itertools.product((False, True), repeat=n_axes):
            axes = [n + 1 for n in range(n_axes) if flips[n]]
            for moves in itertools.product((-1, 0, 1), repeat=n_axes):
                moved = np.roll(np.flip(first[i], axes), moves, axis=tuple(range(1, n_axes + 1)))
                r = np.corrcoef(moved[inner].ravel(), second[j][inner].ravel())[0, 1]
                wanted[i, j] = min(wanted[i, j], np.sqrt(2 - 2 * r))
    assert np.allclose(measure_altered(first, second), wanted, atol=1e-4)


def test_large_images_are_pooled_by_whole_blocks_and_flat_ones_are_like_nothing():
    images = np.arange(130 * 5, dtype=np.float32).reshape(1, 1, 130, 5)
    pooled = pool_images(images)
    assert pooled.shape == (1, 1, 43, 5)
    assert pooled[0, 0, 0] == pytest.approx(images[0, 0, :3].mean(axis=0))
    flat = np.ones((1, 1, 5, 5), np.float32)
    assert measure_altered(flat, flat)[0, 0] == pytest.approx(np.sqrt(2))


@given(st.integers(1, 200), st.integers(2, 200))
def test_the_allowed_count_is_the_quantile_of_the_geometric_law(n_images, n_subjects):
    mean, total, k = 2 * n_images / (n_subjects - 1), 0.0, -1
    while total < 0.99 - 1e-9 and k < n_images:
        k += 1
        total += (1 / (1 + mean)) * (mean / (1 + mean)) ** k
    assert find_most(n_images, n_subjects, level=0.99) == k


def test_images_of_new_subjects_are_seldom_called_copies_as_a_whole():
    verdicts = []
    for seed in range(200):
        x, y = draw(seed, 30, width=6), draw(seed + 5000, 30, width=6)
        near = Nearness("any", compute_distances(y, x), compute_distances(x, x), np.arange(30))
        verdicts.append(judge_copies(near, RULES)[0][0].verdict)
    assert verdicts.count("refused") <= 6


def test_equal_images_of_two_subjects_leave_copies_undecided():
    x = np.repeat(draw(1, 5), 2, axis=0)
    near = Nearness("any", compute_distances(x, x), compute_distances(x, x) * 0, np.arange(10))
    assert judge_copies(near, RULES)[0][0].verdict == "undecided"


def build_members(seed, *, n_train=12, n_validation=8):
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n_train + n_validation), 2)
    return Members(
        "any",
        rng.integers(0, 6, len(clusters)) / 2.0,
        clusters < n_train,
        clusters % 2,
        clusters,
    )


@given(st.integers(0, 10**6))
def test_membership_is_the_share_of_pairs_of_a_class_that_are_ranked_rightly(seed):
    members = build_members(seed)
    wins = [
        float(members.nearest[i] < members.nearest[j])
        + 0.5 * float(members.nearest[i] == members.nearest[j])
        for i in np.flatnonzero(members.is_train)
        for j in np.flatnonzero(~members.is_train)
        if members.labels[i] == members.labels[j]
    ]
    found = judge_membership(members, n_synthetic=5, rules=Rules(4, 0.99, 0.95, 2, 0.9, seed))
    assert found.value == pytest.approx(np.mean(wins))


def test_dealt_membership_is_fair_and_keeps_the_images_of_a_subject_together():
    members = build_members(1)
    areas = deal_membership(members, n_draws=4000, seed=2)
    assert areas.mean() == pytest.approx(0.5, abs=0.01)
    # By hand: every deal of one subject out of four, two images each, that move together.
    own = Members(
        "any",
        np.array([1.0, 1, 2, 2, 3, 3, 4, 4]),
        np.arange(8) < 6,
        np.zeros(8, int),
        np.repeat(np.arange(4), 2),
    )
    found = set(np.round(deal_membership(own, n_draws=200, seed=3), 6).tolist())
    assert found == {0.0, round(1 / 3, 6), round(2 / 3, 6), 1.0}


def test_one_validation_subject_is_too_few_to_tell_membership():
    members = build_members(1, n_validation=1)
    assert judge_membership(members, n_synthetic=5, rules=RULES).verdict == "undecided"


def test_the_interval_of_two_shares_is_the_published_one():
    # Newcombe 1998, table II, example (a): 56/70 - 48/80, method 10.
    made, real = np.arange(70) < 56, np.arange(80) < 48
    low, high = compare_shares(made, real, clusters=np.arange(80), confidence=0.95)
    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_images_of_one_subject_count_as_one_where_they_agree():
    flags = np.repeat(np.arange(20) % 3 == 0, 4)
    assert count_effective(flags, np.arange(80)) == pytest.approx(80)
    assert count_effective(flags, np.repeat(np.arange(20), 4)) == pytest.approx(19, abs=1.1)
    assert count_effective(np.ones(80, bool), np.repeat(np.arange(20), 4)) == 20


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_halves_share_no_subject_and_hold_half_of_each_kind(seed, n_subjects):
    clusters = np.repeat(np.arange(n_subjects), 3)
    labels = clusters % 2
    sample = Sample(np.zeros((len(clusters), 1)), labels, clusters)
    first, second = part_subjects(sample, np.random.default_rng(seed))
    assert sorted([*first, *second]) == list(range(len(clusters)))
    assert not set(clusters[first]) & set(clusters[second])
    for label in (0, 1):
        sizes = [len(set(clusters[own][labels[own] == label])) for own in (first, second)]
        assert abs(sizes[0] - sizes[1]) <= 1


def test_synthetic_images_are_drawn_in_the_numbers_of_the_real_ones():
    train = Sample(np.zeros((20, 1)), np.arange(20) % 2, np.arange(20))
    made = Sample(np.zeros((9, 1)), (np.arange(9) < 3).astype(int), np.arange(9))
    space = Space("any", "none", False, train, train, made)
    for own in draw_halves(space, RULES):
        assert not set(own.half) & set(own.real)
        counts = [np.bincount(train.labels[own.real], minlength=2).tolist()]
        counts.append(np.bincount(made.labels[own.synthetic], minlength=2).tolist())
        assert counts[0] == counts[1] == [5, 3]


def test_the_scale_is_of_train_and_validation_alike_and_of_no_synthetic_image():
    n = np.arange(6)
    a, b, made = (Sample(draw(seed, 6), n % 2, n) for seed in (1, 2, 3))
    far = Sample(made.features * 1000, made.labels, made.clusters)
    first = standardise_space(Space("any", "none", False, a, b, made))
    other = standardise_space(Space("any", "none", False, b, a, far))
    assert np.allclose(first.train.features, other.validation.features)
    assert np.allclose(first.validation.features, other.train.features)
