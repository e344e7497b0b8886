"""Work in processes: same results, same order, and a crash costs one item."""

import os

import pytest

from medvision.io.ingest.pool import map_in_order


def square(number):
    return number * number


def die_at_three(number):
    if number == 3:
        os._exit(1)
    return number


@pytest.mark.parametrize("is_apart", [False, True])
def test_results_come_in_the_order_of_the_items(is_apart):
    results = map_in_order(square, range(20), workers=2, is_apart=is_apart)
    assert list(results) == [n * n for n in range(20)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_item_that_kills_its_process_costs_itself_alone(workers):
    found = list(map_in_order(die_at_three, range(7), workers=workers, is_apart=True))
    assert found == [0, 1, 2, None, 4, 5, 6]
