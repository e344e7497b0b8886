"""Seeds: the same numbers again, and derived seeds that nothing else shares."""

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from medvision.runtime.seeds import choose_kernels, derive_seed, seed_everything


def test_every_generator_gives_the_same_numbers_again():
    def draw():
        seed_everything(5)
        return random.random(), np.random.random(), torch.rand(1).item()

    assert draw() == draw()


def test_only_deterministic_kernels_are_accepted_on_a_cpu():
    seed_everything(0)
    assert torch.are_deterministic_algorithms_enabled()


def test_fast_kernels_are_asked_for_and_given_up_at_the_next_seed():
    def read():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
        )

    choose_kernels("fast")
    assert read() == (False, True, True, "high")
    seed_everything(0)
    assert read() == (True, False, False, "highest")


def test_derived_seed_never_changes():
    assert derive_seed("train", 0, 1) == 219348487


@given(st.lists(st.integers() | st.text(), max_size=4))
def test_derived_seed_is_in_the_range_of_every_generator(parts):
    assert 0 <= derive_seed(*parts) < 2**31


def test_parts_do_not_run_into_one_another():
    seeds = {
        derive_seed(*parts) for parts in [("a", "bc"), ("ab", "c"), ("abc",), (1, 23), (12, 3)]
    }
    assert len(seeds) == 5
