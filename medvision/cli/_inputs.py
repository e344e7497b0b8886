"""What a study is made from: images, table of labels and key, the user's or the phantom's."""

from pathlib import Path

from medvision.config.model import Study
from medvision.config.sections import DataSection
from medvision.domain.label_columns import rename_columns
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
        rows = read_table(path)
    except DataError as error:
        raise LabelError(error.message, error.hint) from error
    return rename_columns(rows, subject_column=data.subject_column, label_column=data.label_column)


def parse_shard(text: str) -> tuple[int, int]:
    """Return (number, total) of the part that a text such as 3/16 names.

    Raises:
        ConfigError: The text names none.
    """
    number, _, total = text.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise ConfigError(f"--shard: value must be K/N with K from 1 to N, got {text}.")
    return int(number), int(total)
