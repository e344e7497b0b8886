"""Who a process is among those that train together."""

import pytest

from medvision.errors import ConfigError
from medvision.runtime.team import ALONE, NAMES, Team, check_alone, read_team

PLACE = dict(zip(NAMES, ("1", "4", "1", "127.0.0.1", "29500"), strict=True))


def test_a_process_reads_its_place_from_torchrun_s_variables():
    assert read_team(PLACE) == Team(1, 4, 1)
    assert read_team({}) is read_team({"WORLD_SIZE": "1"}) is ALONE


@pytest.mark.parametrize("name", [name for name in NAMES if name != "WORLD_SIZE"])
def test_a_missing_variable_is_named(name):
    held = {key: value for key, value in PLACE.items() if key != name}
    with pytest.raises(ConfigError, match=f"got none for {name}"):
        read_team(held)


@pytest.mark.parametrize("rank", ["4", "-1", "one"])
def test_an_impossible_rank_is_refused(rank):
    with pytest.raises(ConfigError, match="environment: "):
        read_team({**PLACE, "RANK": rank})


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("n_items", [0, 1, 2, 8, 17])
def test_shares_are_all_items_once_and_even(n_items, size):
    shares = [Team(rank, size).divide(n_items) for rank in range(size)]
    assert [item for share in shares for item in share] == list(range(n_items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_command_that_works_alone_refuses_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_alone("train")
    with pytest.raises(ConfigError, match="must be 1 for `medvision predict`, got 2"):
        check_alone("predict")
