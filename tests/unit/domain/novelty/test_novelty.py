"""Distance from the train images: by plain loops, alone as in company, and its false alarms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.domain.novelty.distance import (
    Novelty,
    build_reference,
    choose_reference,
    compute_distances,
    compute_likeness,
    compute_own_likeness,
    find_limit,
    parse_novelty,
)
from medvision.errors import DataError


def walk(train, image, k):
    """Oracle: each feature in deviations of its own, all distances, the k-th smallest."""
    n_features = len(image)
    means, spreads = [], []
    for f in range(n_features):
        column = [row[f] for row in train]
        mean = sum(column) / len(column)
        means.append(mean)
        spreads.append(math.sqrt(sum((x - mean) ** 2 for x in column) / len(column)))
    scales = [max(spread, max(spreads) / 1000) or 1.0 for spread in spreads]
    found = []
    for row in train:
        gaps = [(image[f] - row[f]) / scales[f] for f in range(n_features)]
        found.append(math.sqrt(sum(gap * gap for gap in gaps) / n_features))
    return sorted(found)[min(k, len(found)) - 1]


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 12))
def test_distances_are_those_of_plain_loops(seed, k, n_train):
    rng = np.random.default_rng(seed)
    train, images = rng.normal(size=(n_train, 5)), rng.normal(size=(4, 5))
    train[:, 4] = 0.25
    images[0] = train[0]
    images[1] = 0
    found = compute_distances(build_reference(train, n_neighbours=k), images)
    wanted = [walk(train.tolist(), row, k) for row in images.tolist()]
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-4)


def test_an_image_has_the_same_bits_alone_and_in_company():
    rng = np.random.default_rng(1)
    reference = build_reference(rng.normal(size=(300, 64)).astype(np.float32), n_neighbours=5)
    images = rng.normal(size=(37, 64)).astype(np.float32)
    together = compute_distances(reference, images)
    alone = [compute_distances(reference, images[n : n + 1])[0] for n in range(37)]
    assert together.tolist() == alone
    assert compute_distances(reference, images[::-1])[::-1].tolist() == alone


def test_the_unit_of_a_feature_says_nothing():
    rng = np.random.default_rng(2)
    train, images = rng.normal(size=(20, 6)), rng.normal(size=(5, 6))
    units = np.array([1, 10, 0.1, 5, 2, 3])
    one = compute_distances(build_reference(train, n_neighbours=3), images)
    other = compute_distances(
        build_reference(train * units + 7, n_neighbours=3), images * units + 7
    )
    assert other == pytest.approx(one)


def test_a_feature_that_lies_still_in_train_tells_where_it_moves():
    rng = np.random.default_rng(3)
    train, images = rng.normal(size=(30, 4)), rng.normal(size=(2, 4))
    train[:, 3] = images[0, 3] = 0
    images[1] = images[0] + [0, 0, 0, 0.5]
    still, moved = compute_distances(build_reference(train, n_neighbours=3), images)
    assert moved > 50 * still


def test_likeness_counts_the_validation_images_as_far():
    found = compute_likeness(np.array([0.0, 0.2, 0.25, 0.9]), np.array([0.1, 0.2, 0.3, 0.4]))
    assert found == pytest.approx([1, 4 / 5, 3 / 5, 1 / 5])
    own = compute_own_likeness(np.array([0.1, 0.2, 0.2, 0.4]))
    assert own == pytest.approx([1, 3 / 4, 3 / 4, 1 / 4])
    assert compute_likeness(np.array([0.1]), np.empty(0)) is None
    assert compute_own_likeness(np.array([0.1])) is None


@pytest.mark.parametrize("n_validation", [6, 19, 40, 200])
def test_no_more_ordinary_images_are_alarms_than_the_limit_says_and_strange_ones_all_are(
    n_validation,
):
    """Planted: images of another direction. False alarms: the rest, in 300 studies."""
    rng = np.random.default_rng(n_validation)
    limit = find_limit(n_validation, 0.05)
    false, true = [], []
    for _ in range(300):
        train, validation, test = (
            rng.normal(size=(n, 8)) + 4 * np.eye(8)[0] for n in (30, n_validation, 20)
        )
        strange = rng.normal(size=(20, 8)) - 4 * np.eye(8)[0]
        reference = build_reference(train, n_neighbours=3)
        held = compute_distances(reference, validation)
        for images, flags in ((test, false), (strange, true)):
            own = compute_distances(reference, images)
            likeness = compute_likeness(own, held)
            flags.extend(Novelty(own, likeness, np.full(20, limit)).is_unlike.tolist())
    assert np.mean(true) > 0.99
    expected = int(limit * (n_validation + 1) + 1e-9) / (n_validation + 1)
    assert expected <= limit
    assert np.mean(false) == pytest.approx(expected, abs=0.015)


def test_few_validation_images_raise_the_limit_to_what_they_can_tell():
    assert find_limit(4, 0.05) == 0.2
    assert find_limit(99, 0.05) == 0.05


def test_the_reference_is_spread_evenly_and_never_twice():
    assert choose_reference(5, n_most=9).tolist() == [0, 1, 2, 3, 4]
    kept = choose_reference(1000, n_most=30)
    assert len(set(kept.tolist())) == 30
    assert set(np.diff(kept)) <= {33, 34}


def test_a_table_gives_back_what_was_written_and_none_where_a_cell_is_empty():
    rows = [
        {"distance": "0.25", "likeness": "0.0769230769", "alarm": "0.0769230769"},
        {"distance": "0.1", "likeness": "0.153846154", "alarm": "0.0769230769"},
    ]
    assert parse_novelty(rows).is_unlike.tolist() == [True, False]
    assert parse_novelty([*rows, {**rows[0], "distance": ""}]) is None
    assert parse_novelty([{"arm": "transfer"}]) is None
    with pytest.raises(DataError, match="distance must be a number"):
        parse_novelty([{**rows[0], "likeness": "far"}])
