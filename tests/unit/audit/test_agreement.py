"""What an audit asks of the tables of a study with an external cohort."""

import pytest

from medvision.audit.agreement import (
    COHORT,
    FOLDS,
    PREDICTIONS,
    PREPROCESS_REJECTS,
    SELECTION,
    find_row_faults,
)

SPLITS = (
    {"a": "train", "b": "test", "e": "external"},
    {"a": "test", "b": "train", "e": "external"},
)


def make_tables() -> dict[str, list[dict[str, str]]]:
    folds = [
        {
            "fold": str(fold),
            "repeat": "0",
            "part": str(fold),
            "inner": "0",
            "image_id": name,
            "subject": f"s-{name}",
            "label": "x",
            "split": split,
        }
        for fold, splits in enumerate(SPLITS)
        for name, split in splits.items()
    ]
    held = [{**row, "arm": "scratch", "seed": "0"} for row in folds if row["split"] != "train"]
    cohort = [{"image_id": n, "subject": f"s-{n}", "label": "x"} for n in "abe"]
    return {
        COHORT: cohort,
        FOLDS: folds,
        PREDICTIONS: held,
        SELECTION: [],
        PREPROCESS_REJECTS: [],
    }


def find(tables: dict[str, list[dict[str, str]]]) -> list[tuple[str, str, str]]:
    faults = find_row_faults(tables.__getitem__)
    return [(fault.where, fault.thing, fault.found) for fault in faults]


def test_external_images_predicted_by_every_training_are_sound() -> None:
    assert find(make_tables()) == []


def test_an_external_image_that_a_training_did_not_predict_is_found() -> None:
    tables = make_tables()
    tables[PREDICTIONS] = [
        row for row in tables[PREDICTIONS] if (row["fold"], row["image_id"]) != ("1", "e")
    ]
    assert find(tables) == [(f"{PREDICTIONS} scratch seed 0 fold 1", "e", "no row")]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_subject_that_is_external_in_one_fold_alone_is_found(split: str) -> None:
    tables = make_tables()
    for table in (FOLDS, PREDICTIONS):
        for row in tables[table]:
            if (row["fold"], row["image_id"]) == ("1", "e"):
                row["split"] = split
    assert (f"{FOLDS} s-e", "splits", f"external and {split}") in find(tables)


def test_an_external_prediction_passed_off_as_a_test_image_is_found() -> None:
    tables = make_tables()
    for row in tables[PREDICTIONS]:
        row["split"] = "test"
    faults = find(tables)
    assert [where for where, thing, _ in faults if thing == "split"] == [f"{PREDICTIONS} e"] * 2
