"""Deletion curves against a plain loop, and random orders that are fair."""

import numpy as np
import pytest
import torch
from explain_nets import Linear, Tiny
from scipy.stats import spearmanr

from medvision.explain.faithfulness import (
    compute_area,
    compute_deletion_curves,
    cut_blocks,
    draw_ranks,
    rank_blocks,
)


def slow_curve(score, array, *, grid, size, steps, baseline):
    """Cut boxes with loops, sort them by mean, delete them one share after the other."""
    boxes = [
        (slice(i, i + size[0]), slice(j, j + size[1]), slice(k, k + size[2]))
        for i in range(0, grid.shape[0], size[0])
        for j in range(0, grid.shape[1], size[1])
        for k in range(0, grid.shape[2], size[2])
    ]
    boxes.sort(key=lambda box: -grid[box].mean())
    curve = []
    for step in range(steps + 1):
        image = array.copy()
        for box in boxes[: round(len(boxes) * step / steps)]:
            image[(slice(None), *box)] = baseline
        curve.append(score(image))
    return np.array(curve)


@pytest.mark.parametrize("shape", [(9, 8, 5), (12, 9, 1)])
def test_the_curve_is_that_of_deleting_box_by_box(shape):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(2, *shape)).astype(np.float32)
    weight = rng.normal(size=(2, *shape)).astype(np.float32)
    grid = rng.normal(size=shape).astype(np.float32)
    spatial = shape if shape[2] > 1 else shape[:2]
    blocks = cut_blocks(shape, (3, 2, 2))
    curves = compute_deletion_curves(
        Linear(torch.from_numpy(weight.reshape(2, *spatial))),
        torch.from_numpy(array.reshape(1, 2, *spatial)),
        target=1,
        blocks=blocks,
        orders=[rank_blocks(grid, blocks), rank_blocks(-grid, blocks)],
        steps=5,
        baseline=0.5,
        batch_size=4,
    )
    for curve, ordered in zip(curves, (grid, -grid), strict=True):
        expected = slow_curve(
            lambda image: float((image * weight).sum()),
            array,
            grid=ordered,
            size=(3, 2, 2),
            steps=5,
            baseline=0.5,
        )
        np.testing.assert_allclose(curve, expected, rtol=1e-4, atol=1e-4)


def test_a_curve_does_not_depend_on_the_orders_beside_it():
    torch.manual_seed(0)
    network, image = Tiny().eval(), torch.rand(1, 1, 16, 16, 16)
    blocks = cut_blocks((16, 16, 16), (4, 4, 4))
    orders = draw_ranks(blocks, n=4, rng=np.random.default_rng(0))

    def run(chosen):
        return compute_deletion_curves(
            network,
            image,
            target=0,
            blocks=blocks,
            orders=chosen,
            steps=4,
            baseline=0,
            batch_size=4,
        )

    np.testing.assert_array_equal(run(orders)[2], run([orders[2]])[0])


def test_the_true_order_of_a_linear_model_beats_every_random_order():
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(1, 12, 12, 12)).astype(np.float32)
    blocks = cut_blocks((12, 12, 12), (3, 3, 3))
    orders = [rank_blocks(weight[0], blocks), *draw_ranks(blocks, n=20, rng=rng)]
    curves = compute_deletion_curves(
        Linear(torch.from_numpy(weight)),
        torch.ones(1, 1, 12, 12, 12),
        target=1,
        blocks=blocks,
        orders=orders,
        steps=10,
        baseline=0,
        batch_size=8,
    )
    areas = compute_area(curves)
    assert (areas[0] < areas[1:]).all()
    assert np.ptp(curves[:, 0]) == 0
    assert np.ptp(curves[:, -1]) == 0


def test_area_is_the_trapezoid_over_the_deleted_share():
    assert compute_area(np.array([[4.0, 2.0, 0.0], [1.0, 1.0, 1.0]])).tolist() == [2.0, 1.0]


def test_random_orders_are_permutations_drawn_by_the_seed_and_smooth():
    blocks = cut_blocks((40, 40, 20), (4, 4, 4))
    ranks, again, other = (
        draw_ranks(blocks, n=30, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    assert all(sorted(r) == list(range(500)) for r in ranks)
    assert np.array_equal(ranks, again)
    assert not np.array_equal(ranks, other)
    neighbours = [r.reshape(blocks.shape) for r in ranks]
    alike = [spearmanr(f[:-1].ravel(), f[1:].ravel()).statistic for f in neighbours]
    assert np.mean(alike) > 0.5, "neighbours go together"


def test_no_box_is_favoured_by_random_orders():
    blocks = cut_blocks((20, 20, 8), (4, 4, 4))
    ranks = np.array(draw_ranks(blocks, n=2000, rng=np.random.default_rng(0)))
    standard_error = 50 / np.sqrt(12 * 2000)
    assert np.abs(ranks.mean(axis=0) - 24.5).max() < 5 * standard_error


def test_equal_boxes_are_deleted_in_the_order_of_their_number():
    blocks = cut_blocks((6, 6, 2), (2, 2, 2))
    assert rank_blocks(np.ones((6, 6, 2), np.float32), blocks).tolist() == list(range(9))


def test_insertion_is_deletion_in_the_reverse_order_read_from_its_end():
    rng = np.random.default_rng(4)
    shape, size, steps = (9, 8, 5), (3, 2, 2), 5
    array = rng.normal(size=(1, *shape)).astype(np.float32)
    weight, grid = rng.normal(size=(2, *shape)).astype(np.float32)
    blocks = cut_blocks(shape, size)
    ranks = rank_blocks(grid, blocks)
    curve = compute_deletion_curves(
        Linear(torch.from_numpy(weight[None])),
        torch.from_numpy(array[None]),
        target=1,
        blocks=blocks,
        orders=[len(ranks) - 1 - ranks],
        steps=steps,
        baseline=0.5,
        batch_size=4,
    )[0]
    boxes = [np.argwhere(blocks.labels == label) for label in np.unique(blocks.labels)]
    boxes.sort(key=lambda box: -np.mean([grid[tuple(voxel)] for voxel in box]))
    expected = []
    for step in range(steps + 1):
        image = np.full(shape, 0.5, np.float32)
        for box in boxes[: len(boxes) - round(len(boxes) * (steps - step) / steps)]:
            for i, j, k in box:
                image[i, j, k] = array[0, i, j, k]
        expected.append(float((image * weight).sum()))
    np.testing.assert_allclose(curve[::-1], expected, rtol=1e-4, atol=1e-4)
    assert compute_area(curve[None]) == pytest.approx(
        np.trapezoid(expected, dx=1 / steps), rel=1e-4
    )
