"""A record says what a step did, in plain JSON, with no clock and no place."""

import dataclasses
import json

import pytest

from medvision.domain.record import SOURCE_PREFIX, Record

FULL = Record(
    step="train/transfer/fold-0",
    version="0.1.0",
    parameters={"train": {"epochs": 3, "seeds": [0, 1]}},
    reads={"cohort/folds.tsv": "a" * 64, SOURCE_PREFIX + "labels": "b" * 64},
    writes={"train/transfer/fold-0/seed-0/model.safetensors": "c" * 64},
    seed=0,
    device="cpu",
    software={"python": "3.11"},
    facts={"stopped": None, "best": 0.5},
)


def test_a_record_survives_json() -> None:
    assert Record(**json.loads(json.dumps(FULL.as_dict()))) == FULL


def test_a_record_says_everything_it_holds() -> None:
    assert set(FULL.as_dict()) == {field.name for field in dataclasses.fields(Record)}


def test_a_record_has_no_room_for_a_clock_a_host_or_a_place() -> None:
    names = {field.name for field in dataclasses.fields(Record)}
    assert names == {
        *("step", "version", "parameters", "reads", "writes"),
        *("seed", "device", "software", "facts"),
    }


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.seed = 1  # type: ignore[misc]


def test_the_dictionary_of_a_record_is_a_copy() -> None:
    FULL.as_dict()["parameters"].clear()  # type: ignore[union-attr]
    assert FULL.parameters


def test_two_records_share_no_defaults() -> None:
    one, other = (Record("cohort", "1", {}, {}, {}) for _ in range(2))
    one.facts["a"] = 1
    assert other.facts == {}
