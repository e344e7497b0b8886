"""Tables of labels as they come from offices: what is wrong is said, and about nobody by name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bad_inputs import NAMES, Rows, check_refusal, list_labels, step, write_labels, write_study
from click.testing import Result

from medvision.io.tables import read_table
from medvision.layout import Layout

GOOD = list_labels()

Cohort = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study ingested once."""
    folder = write_study(tmp_path_factory.mktemp("labels"))
    for command in ("ingest", "measure"):
        result = step(command, folder)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def cohort(folder: Path) -> Cohort:
    """Run the step on a table given as rows or bytes."""

    def run(table: Rows | bytes, *overrides: str) -> Result:
        if isinstance(table, bytes):
            (folder / "labels.csv").write_bytes(table)
        else:
            write_labels(folder, table)
        return step("cohort", folder, *overrides)

    return run


def rename(old: str, new: str) -> Rows:
    return [{new if key == old else key: value for key, value in row.items()} for row in GOOD]


def change(**values: str) -> Rows:
    return [{**row, **values} for row in GOOD]


TEXT = "".join(f"{row['subject']},{row['label']}\n" for row in GOOD)

CASES: dict[str, tuple[Rows | bytes, int, str, str]] = {
    "mistyped column": (
        *(rename("label", "lable"), 4),
        *("labels: column label must be present, got subject, lable.", "did you mean lable?"),
    ),
    "no column subject": (
        *(rename("subject", "patient"), 4),
        *("column subject must be present, got patient, label", "the columns subject and label"),
    ),
    "no header": (
        *(TEXT.encode(), 4),
        *("got a first line without subject and label", "name the columns in the first line"),
    ),
    "empty": (b"", 4, "labels.csv: table must have a header line", "write the names"),
    "header alone": (b"subject,label\n", 4, "at least one row, got none", "one line per subject"),
    "ragged": (
        *(b"subject,label\nDoe00,well\nDoe01,sick,more\n", 4),
        *("labels.csv line 3: row must have 2 cells, got 3", "as many cells as the first"),
    ),
    "no label": (
        *(b"subject,label\nDoe00,well\nDoe01,\n", 4),
        *("labels line 3: label must not be empty", "fill in label, or remove the line"),
    ),
    "Latin-1": (
        *("subject,label\nDoé,well\n".encode("latin-1"), 4),
        *("labels.csv: table must be text in UTF-8, got another encoding at byte 16", "CSV UTF-8"),
    ),
    "UTF-16": ("subject,label\n".encode("utf-16"), 4, "must be text in UTF-8", "CSV UTF-8"),
    "workbook": (
        *(b"PK\x03\x04" + bytes(range(256)), 4),
        *("labels.csv: table must be text in UTF-8, got a spreadsheet.", "save it as CSV UTF-8"),
    ),
    "one class": (
        *(change(label="well"), 4),
        *("classes must number two or more, got 1 (well)", "label images of a second class"),
    ),
    "mistyped split": (
        *(change(split="trian"), 4),
        *("line 2: split must be train, validation, test or external, got trian", "mean train?"),
    ),
    "unknown split": (
        *(change(split="holdout"), 4),
        *("must be train, validation, test or external, got holdout", "use exactly these words"),
    ),
    "duplicate row": (
        *([*GOOD, GOOD[0]], 4),
        *("labels lines 2 and 14: an image must have one label, got duplicate", "remove one"),
    ),
    "conflicting row": (
        *([*GOOD, {**GOOD[0], "label": "sick"}], 4),
        *("labels lines 2 and 14: an image must have one label, got conflicting", "remove one"),
    ),
    "other subjects": (
        *([{**row, "subject": f"X{n}"} for n, row in enumerate(GOOD)], 4),
        *("got 12 rows and 12 images without one match", "letter by letter"),
    ),
    "fewer subjects than folds": (
        *(GOOD[:2], 5),
        *("subjects must number at least cohort.folds = 3, got 2", "lower cohort.folds"),
    ),
    "fewer of a class than folds": (
        *([*GOOD[::2], GOOD[1]], 5),
        *("subjects of each class must number at least 3 for 3 folds, got 1 of class sick", "add"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_table_is_refused_in_words(cohort: Cohort, folder: Path, *, case: str) -> None:
    table, exit_code, message, hint = CASES[case]
    check_refusal(cohort(table), exit_code, message, hint)
    assert not Layout(folder / "results").record("cohort").exists()


def test_a_missing_table_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    (folder / "labels.csv").unlink()
    result = step("cohort", folder)
    check_refusal(result, 4, "labels.csv: table must be a readable file, got: no such file")
    assert f"relative to the working directory, {Path.cwd()}" in result.output


def test_a_folder_in_place_of_the_table_is_told_apart(folder: Path) -> None:
    (folder / "labels.csv").unlink(missing_ok=True)
    (folder / "labels.csv").mkdir()
    check_refusal(step("cohort", folder), 4, "must be a readable file, got: is a directory")
    (folder / "labels.csv").rmdir()


def test_an_unknown_subject_is_reported_by_line_and_the_rest_goes_on(
    cohort: Cohort, folder: Path
) -> None:
    result = cohort([*GOOD[:-1], {"subject": "Stranger", "label": "sick"}])
    assert result.exit_code == 0, result.output
    assert "1 label-without-image: see cohort/unmatched.tsv" in result.output
    assert "1 image-without-label: see cohort/unmatched.tsv" in result.output
    assert not any(name in result.output for name in (*NAMES, "Stranger"))
    rows = {row["kind"]: row for row in read_table(Layout(folder / "results").unmatched)}
    assert rows["label-without-image"]["labels_row"] == "13"
    assert "no such subject" in rows["label-without-image"]["detail"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_what_spreadsheets_write_for_a_comma_is_read(cohort: Cohort, *, mark: str) -> None:
    result = cohort(("subject,label\n" + TEXT).replace(",", mark).encode())
    assert result.exit_code == 0, result.output


def test_an_unreadable_table_does_not_cost_the_images_of_an_earlier_run(folder: Path) -> None:
    (folder / "labels.csv").write_bytes("subject,label\nDoé,well\n".encode("latin-1"))
    check_refusal(step("ingest", folder), 4, "labels.csv: table must be text in UTF-8")
    assert Layout(folder / "results").record("ingest").exists()
