"""Whom each image is of: one answer for every step that keeps subjects together."""

from types import SimpleNamespace
from typing import Any

import pytest

from medvision.cli._training.learning import read_groups
from medvision.errors import DataError
from medvision.io.tables import write_table


def make_step(root, columns: tuple[str, ...]) -> Any:
    rows = [
        {"image_id": "one", "subject": "sub-1", "group": "both"},
        {"image_id": "two", "subject": "sub-1", "group": ""},
        {"image_id": "three", "subject": "sub-2", "group": "both"},
    ]
    path = root / "cohort.tsv"
    write_table(path, [{name: row[name] for name in columns} for row in rows], columns=columns)
    return SimpleNamespace(layout=SimpleNamespace(cohort=path), read=lambda path: path)


def test_an_image_is_of_its_group_and_of_its_subject_where_it_has_none(tmp_path) -> None:
    held = read_groups(make_step(tmp_path, ("image_id", "subject", "group")))
    assert held == {"one": "both", "two": "sub-1", "three": "both"}


def test_a_cohort_without_groups_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match="group"):
        read_groups(make_step(tmp_path, ("image_id", "subject")))
