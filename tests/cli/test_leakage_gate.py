"""The gate before training: a leaking fold is refused unless the user was told and went on."""

from pathlib import Path

import pytest
from toy_study import make_study

from medvision.cli._run import open_step
from medvision.cli._training.learning import read_learning_data
from medvision.config.model import Study
from medvision.errors import CohortError
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json


def make_leaking_study(root: Path, *, is_overridden: bool) -> Study:
    """Give the first test image of fold 0 a sibling in train."""
    study = make_study(root)
    layout = Layout(root)
    rows = read_table(layout.folds)
    (tested, *_) = [row for row in rows if row["split"] == "test"]
    (trained, *_) = [row for row in rows if (row["fold"], row["split"]) == ("0", "train")]
    trained["subject"] = tested["subject"]
    with open_step("cohort", study) as step:
        write_table(step.write(layout.folds), rows, columns=tuple(rows[0]))
        summary = {"classes": ["benign", "nodule"], "leakage": {"overridden": is_overridden}}
        write_json(step.write(layout.cohort_summary), summary)
    return study


def test_a_fold_edited_to_leak_is_refused_before_training(tmp_path: Path) -> None:
    study = make_leaking_study(tmp_path, is_overridden=False)
    with (
        pytest.raises(CohortError, match="subject must be in one split"),
        open_step("train/scratch/fold-0", study, upstream=("cohort", "preprocess")) as step,
    ):
        read_learning_data(step)


def test_leakage_that_the_user_was_told_of_does_not_stop_training(tmp_path: Path) -> None:
    study = make_leaking_study(tmp_path, is_overridden=True)
    with open_step("train/scratch/fold-0", study, upstream=("cohort", "preprocess")) as step:
        assert read_learning_data(step).folds == (0, 1)
