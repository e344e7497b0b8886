"""Claims about the space of a search: each fault is named before anything is run."""

import pytest

from medvision.config.model import build_study
from medvision.config.tune import is_whole
from medvision.errors import ConfigError

RATE = {"low": 1e-4, "high": 1e-2, "log": True}


def build(space, **fields):
    return build_study({"tune": {"trials": 3, "space": space, **fields}})


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, ["tune.space must hold a field where tune.trials is above 0"]),
        ({"train.learning_rat": RATE}, ["section.field of the configuration", "learning_rat"]),
        ({"learning_rate": RATE}, ["section.field of the configuration", "got learning_rate"]),
        ({"cohort.folds": {"choices": [2, 3]}}, ["must be of model, augment, train", "cohort"]),
        ({"preprocess.size": {"choices": [[8, 8, 8]]}}, ["must be of model, augment, train"]),
        ({"train.seeds": {"choices": [[0], [1]]}}, ["got train.seeds", "never chosen"]),
        ({"train.accumulation": {"low": 1, "high": 2}}, ["got train.accumulation", "memory"]),
        ({"model.backbone": {"choices": ["small"]}}, ["got model.backbone"]),
        ({"train.learning_rate": {"low": -1.0, "high": 1.0}}, ["greater than 0", "got -1.0"]),
        ({"train.batch_size": {"choices": [8, 1]}}, ["greater than or equal to 2", "got 1"]),
        ({"train.batch_size": {"low": 4.5, "high": 8}}, ["must have whole ends", "4.5"]),
        ({"augment.gain": {"low": 0.0, "high": 1.5}}, ["augment.gain", "less than 1", "got 1.5"]),
        ({"model.policy": {"low": 0.0, "high": 1.5}}, ["must be choices"]),
        ({"model.policy": {"choices": ["full", "some"]}}, ["model.policy", "got 'some'"]),
        ({"train.patience": {"low": 5, "high": 3}}, ["low must be below high"]),
        ({"train.weight_decay": {"low": 0.0, "high": 1, "log": True}}, ["above 0 where log"]),
        ({"train.patience": {"low": 5}}, ["must have low and high, or choices, got neither"]),
        ({"train.patience": {"low": 5, "high": 6, "choices": [5]}}, ["got both"]),
        ({"train.patience": {"lo": 5, "high": 6}}, ["key must be known, got lo"]),
        ({"train.patience": {"choices": []}}, ["at least 1 item"]),
        (
            {"train.imbalance": {"choices": ["none", "weights"]}},
            ["tune.objective must be auc", "what the loss means"],
        ),
    ],
)
def test_a_fault_of_the_space_is_named(space, words) -> None:
    with pytest.raises(ConfigError) as caught:
        build(space)
    for word in words:
        assert word in caught.value.message


@pytest.mark.parametrize(
    "space",
    [
        {"train.learning_rate": RATE},
        {"train.learning_rate": {"low": "1e-4", "high": "1e-2"}},
        {"train.batch_size": {"low": 2, "high": 64, "log": True}},
        {"augment.flip_axes": {"choices": [[], [0], [0, 1]]}},
        {"model.policy": {"choices": ["full", "linear"]}},
        {"train.loss": {"choices": ["cross_entropy", "focal"]}},
    ],
)
def test_a_space_within_the_fields_own_rules_is_taken(space) -> None:
    assert set(build(space).tune.space) == set(space)


def test_a_field_that_changes_the_loss_may_be_searched_by_auc() -> None:
    space = {"train.imbalance": {"choices": ["none", "weights"]}}
    assert build(space, objective="auc").tune.objective == "auc"


def test_nothing_is_searched_by_default() -> None:
    assert build_study({}).tune.trials == 0


def test_chosen_values_replace_those_of_the_study_and_nothing_else() -> None:
    study = build({"train.learning_rate": RATE})
    changed = study.with_values({"train.learning_rate": 0.005, "augment.flip_axes": [1]})
    assert (changed.train.learning_rate, changed.augment.flip_axes) == (0.005, (1,))
    assert changed.with_values({"train.learning_rate": 0.001, "augment.flip_axes": []}) == study


@pytest.mark.parametrize("key", ["cohort.seed", "train.nothing"])
def test_a_chosen_value_of_another_section_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="must be one to search"):
        build_study({}).with_values({key: 3})


def test_whole_numbers_are_told_from_fractions() -> None:
    study = build_study({})
    sections = {"train": study.train, "augment": study.augment}
    assert is_whole("train.batch_size", sections)
    assert is_whole("augment.shift_voxels", sections)
    assert not is_whole("train.learning_rate", sections)


@pytest.mark.parametrize(
    ("cohort", "parts", "each"),
    [
        ({"folds": 3}, 3, 1),
        ({"folds": 3, "inner_folds": 2, "repeats": 2}, 6, 2),
        ({"folds": 4, "held_out": 0.2, "repeats": 2}, 2, 4),
        ({"folds": 1}, 1, 1),
    ],
)
def test_tested_parts_and_their_trainings_are_counted(cohort, parts: int, each: int) -> None:
    section = build_study({"cohort": cohort}).cohort
    assert (section.n_parts, section.fits_per_part) == (parts, each)
    assert parts * each == section.n_fits
