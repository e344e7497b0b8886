"""Several processes end as one does, but for rounding; and none is left waiting."""

import signal

import pytest
import torch
from team_fits import run_team

LIMITS = {"plain": 1e-6, "norm": 1e-5, "idle": 1e-5, "passes": 1e-5}
"""Largest difference of any tensor from that of one process; float32 rounds at about 1e-7."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    assert run_team(out, *LIMITS, size=1) == [0]
    return out


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """Three: the step of two images of `idle` leaves one of them without any."""
    out = tmp_path_factory.mktemp("team")
    assert run_team(out, *LIMITS, "again", "refuse", "stop", size=3) == [0, 0, 0]
    return out


def load(folder, case, rank=0):
    return torch.load(folder / f"{case}-{rank}.pt", weights_only=True)


def differ(a, b) -> float:
    assert a.keys() == b.keys()
    return max(float((a[n].double() - b[n].double()).abs().max()) for n in a)


@pytest.mark.parametrize("case", LIMITS)
def test_processes_end_as_one_does_at_equal_steps(alone, team, case):
    one, three = load(alone, case), load(team, case)
    assert differ(one["tensors"], three["tensors"]) < LIMITS[case]
    for before, after in zip(one["history"], three["history"], strict=True):
        assert after == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("case", LIMITS)
def test_all_processes_hold_the_same_bits(team, case):
    first, last = load(team, case, 0), load(team, case, 2)
    assert differ(first["tensors"], last["tensors"]) == 0
    assert first["history"] == last["history"]


def test_without_the_other_processes_images_it_would_be_another_network(alone, team):
    # The same training, the norms of each process left to its own images.
    assert differ(load(alone, "norm")["tensors"], load(team, "again")["tensors"]) > 1e-3


def test_an_image_of_one_process_that_is_no_number_is_named_by_all(team):
    texts = {(team / f"refuse-{rank}.txt").read_text() for rank in range(3)}
    assert len(texts) == 1
    text = texts.pop()
    assert text.startswith("7 training: loss must be finite, got nan")
    assert "sub-7" in text
    # Of the eight images of the step, only those of the process that saw it.
    assert text.count("sub-") == 3


def test_sigterm_to_one_process_stops_all_between_the_same_steps_and_they_go_on(team):
    texts = {(team / f"stop-{rank}.txt").read_text() for rank in range(3)}
    assert texts == {"75 training: run must be left to end, it was asked to stop in epoch 1."}
    assert differ(load(team, "stop")["tensors"], load(team, "whole")["tensors"]) == 0
    assert load(team, "stop")["history"] == load(team, "whole")["history"]


def test_the_death_of_one_process_ends_all_with_plain_words(tmp_path):
    first, second = run_team(tmp_path, "fail", size=2)
    assert (first, second) == (7, -signal.SIGKILL)
    text = (tmp_path / "fail-0.txt").read_text()
    assert "all 2 processes must go on, got an end of another one" in text
