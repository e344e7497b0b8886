"""What a study is made from: images, table of labels and key, the user's or the phantom's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medvision.config.model import Study
from medvision.config.sections import DataSection
from medvision.domain.labels.columns import rename_columns
from medvision.domain.labels.findings import build_findings, join_findings
from medvision.domain.labels.rows import Classes, build_classes
from medvision.domain.labels.values import build_value, check_values
from medvision.errors import ConfigError, DataError, LabelError
from medvision.layout import Layout


def find_source(study: Study, layout: Layout) -> Path:
    """Return the input folder.

    Raises:
        DataError: The configuration names none.
    """
    if study.data.kind == "phantom":
        return layout.archive
    if study.pacs.protocol != "none":
        return layout.step("pull") / "archive"
    if study.fetch.source:
        return layout.step("fetch") / "archive"
    if study.data.path is None:
        raise DataError(
            f"data.path: must be given for data.kind {study.data.kind}, got nothing.",
            "set data.path to the folder with the images.",
        )
    return study.data.path


def find_key(study: Study, layout: Layout) -> Path:
    """Return the key of the pseudonyms.

    Raises:
        DataError: The configuration names a key that does not exist: a fresh one in its place
            would give every subject a new name.
    """
    if study.data.kind == "phantom":
        return layout.phantom_key
    if study.ingest.key is None:
        return layout.pseudonym_key
    if not study.ingest.key.is_file():
        raise DataError(
            f"ingest.key: must be an existing file, got {study.ingest.key}.",
            "leave it out to have a key made under the output folder.",
        )
    return study.ingest.key


def find_labels(study: Study, layout: Layout) -> Path:
    """Return the table of labels: the user's, or the phantom cohort's."""
    return study.data.labels or layout.phantom_labels


def read_labels(path: Path, *, data: DataSection) -> list[dict[str, str]]:
    """Read the table of labels, its columns under the names that labels are read by.

    Args:
        path: CSV or TSV.
        data: Names the columns of subject and label.

    Raises:
        LabelError: It cannot be read, is no table, or lacks a column that `data` names.
    """
    from medvision.io.tables import read_table

    try:
        rows: Sequence[Mapping[str, str]] = read_table(path)
    except DataError as error:
        raise LabelError(error.message, error.hint) from error
    rows = _drop_columns(rows, data=data)
    named = rename_columns(rows, subject_column=data.subject_column, label_column=data.label_column)
    if data.task == "multilabel":
        return join_findings(named, data.findings)
    if data.task == "regression":
        check_values(named)
    return named


def choose_classes(data: DataSection, labels: Sequence[str]) -> Classes:
    """Return what the labels are of, in the order of a network's outputs.

    Args:
        data: Names the task, its findings, and the positive class.
        labels: Label of each image.

    Raises:
        LabelError: There is nothing to tell apart.
    """
    if data.task == "multilabel":
        return build_findings(labels, wanted=data.findings)
    if data.task == "regression":
        return build_value(labels, name=data.label_column or "value")
    return build_classes(labels, positive=_choose_positive(data))


def _choose_positive(data: DataSection) -> str | None:
    """Return the class that counts as positive, if anybody says so; the phantom cohort does."""
    if data.kind != "phantom" or data.positive:
        return data.positive
    from medvision.phantom.subject import CLASS_NAMES

    return CLASS_NAMES[-1]


def _drop_columns(
    rows: Sequence[Mapping[str, str]], *, data: DataSection
) -> Sequence[Mapping[str, str]]:
    """Leave out what is neither the label nor an attribute, before columns are renamed.

    A column `label` gives way to another that the study predicts; the phantom's other targets would
    tell its label.
    """
    dropped: set[str] = set()
    if data.task != "classification" and data.label_column not in (None, "label"):
        dropped = {"label"} if rows and data.label_column in rows[0] else set()
    if data.kind == "phantom":
        from medvision.phantom.subject import TARGET_COLUMNS

        dropped |= set(TARGET_COLUMNS) - {data.label_column}
    if not dropped:
        return rows
    return [{key: value for key, value in row.items() if key not in dropped} for row in rows]


def parse_shard(text: str) -> tuple[int, int]:
    """Return (number, total) of the part that a text such as 3/16 names.

    Raises:
        ConfigError: The text names none.
    """
    number, _, total = text.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise ConfigError(f"--shard: value must be K/N with K from 1 to N, got {text}.")
    return int(number), int(total)
