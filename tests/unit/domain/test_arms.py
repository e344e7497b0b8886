"""Arms: their order, who is compared with whom, and the seed of an ensemble."""

import pytest

from medvision.domain.arms import (
    ALL_SEEDS,
    is_ensemble,
    list_pairs,
    name_ensemble,
    parse_seed,
    rank_arm,
    write_seed,
)

ARMS = ["transfer", "scratch", "other", "transfer-ensemble", "scratch-ensemble"]


def test_the_main_arm_is_first_and_no_ensemble_is_ever_it():
    mixed = ["scratch-ensemble", "other", "transfer-ensemble", "scratch", "transfer"]
    assert sorted(mixed, key=rank_arm) == ARMS
    assert not is_ensemble(min(ARMS, key=rank_arm))


def test_an_ensemble_is_held_against_its_own_networks_and_the_first_against_the_others():
    assert list_pairs(ARMS) == [
        ("transfer", "scratch"),
        ("transfer", "other"),
        ("transfer-ensemble", "transfer"),
        ("scratch-ensemble", "scratch"),
        ("transfer-ensemble", "scratch-ensemble"),
    ]
    assert list_pairs(["scratch"]) == []
    assert name_ensemble("scratch") == "scratch-ensemble"


@pytest.mark.parametrize("seed", [0, 7, ALL_SEEDS])
def test_a_seed_is_read_as_it_was_written(seed):
    assert parse_seed(str(write_seed(seed))) == seed


def test_another_word_is_no_seed():
    with pytest.raises(ValueError, match="best"):
        parse_seed("best")
