"""Work in processes: same results, same order, few items held, and a crash costs one item."""

import os
import subprocess
import sys

import pytest

from medvision.errors import ConfigError
from medvision.io.ingest import pool
from medvision.io.ingest.pool import map_in_order


def square(number):
    return number * number


def die_at_three(number):
    if number == 3:
        os._exit(1)
    return number


def die_at_fives(number):
    if number % 5 == 0:
        os._exit(1)
    return number


def die(number):
    os._exit(1)


def fail_at_three(number):
    if number == 3:
        raise ValueError(number)
    return number


@pytest.mark.parametrize("is_apart", [False, True])
def test_results_come_in_the_order_of_the_items(is_apart):
    results = map_in_order(square, range(20), workers=2, is_apart=is_apart)
    assert list(results) == [(n, n * n) for n in range(20)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_item_that_kills_its_process_costs_itself_alone(workers):
    found = list(map_in_order(die_at_three, range(17), workers=workers, is_apart=True))
    assert found == [(n, None if n == 3 else n) for n in range(17)]


@pytest.mark.slow
def test_several_items_that_kill_their_processes_cost_themselves_alone():
    found = list(map_in_order(die_at_fives, range(12), workers=2, is_apart=True))
    assert found == [(n, None if n % 5 == 0 else n) for n in range(12)]


@pytest.mark.parametrize("is_apart", [False, True])
def test_items_are_taken_as_they_are_needed(is_apart):
    taken = []

    def count():
        for n in range(1000):
            taken.append(n)
            yield n

    results = map_in_order(square, count(), workers=2, is_apart=is_apart)
    for n in range(3):
        assert next(results) == (n, n * n)
    assert len(taken) <= 3 + 3 * 2
    results.close()


def test_an_error_of_the_function_itself_is_passed_on():
    with pytest.raises(ValueError, match="3"):
        list(map_in_order(fail_at_three, range(5), workers=2, is_apart=True))


@pytest.mark.slow
def test_where_no_process_can_be_started_one_error_says_so(monkeypatch):
    monkeypatch.setattr(pool, "_answer", die)
    with pytest.raises(ConfigError, match=r"ingest\.workers: processes must start"):
        list(map_in_order(die, range(50), workers=2, is_apart=True))


@pytest.mark.slow
def test_a_script_without_a_guarded_start_gets_one_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from medvision.io.ingest.pool import map_in_order\n"
        "print(list(map_in_order(abs, range(9), workers=2, is_apart=True)))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1
    assert "ingest.workers: processes must start" in done.stderr
