"""What the page is made of: the plain rows and JSON of all stages, as the CLI read them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from medvision.domain.record import JsonValue

Row = Mapping[str, str]
"""One line of a table: column to text, empty cells are ""."""

JsonObject = Mapping[str, JsonValue]
"""A JSON object."""


@dataclass(frozen=True)
class History:
    """One model's training history, a row per epoch."""

    arm: str
    fold: int
    seed: int
    rows: Sequence[Row]


@dataclass(frozen=True)
class Sources:
    """All that a report is computed from; a part that was not run is simply absent.

    Args:
        tables: Name (`manifest`, `folds`, `metrics`, ...) to rows.
        documents: Name (`cohort_summary`, `explain_summary`, ...) to JSON object.
        histories: One per trained model.
        searches: What each search for hyper-parameters chose, and by how many trials.
        settings: Configuration section to its fields.
        records: The steps' records, in the order of the steps.
        version: Version of medvision.
        command: The command that makes the study again.
        reasons: Reason code of ingestion to its meaning.
    """

    tables: Mapping[str, Sequence[Row]]
    documents: Mapping[str, JsonObject] = field(default_factory=dict)
    histories: Sequence[History] = ()
    searches: Sequence[JsonObject] = ()
    settings: Mapping[str, JsonObject] = field(default_factory=dict)
    records: Sequence[JsonObject] = ()
    version: str = ""
    command: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> Sequence[Row]:
        """Return a table's rows; none where its stage was not run."""
        return self.tables.get(name, ())

    def document(self, name: str) -> JsonObject:
        """Return a JSON object; an empty one where its stage was not run."""
        return self.documents.get(name, {})

    def setting(self, section: str, name: str) -> JsonValue:
        """Return one field of the configuration, None where it is not set."""
        return self.settings.get(section, {}).get(name)


def parse_number(text: str | None) -> float | None:
    """Return a cell's number; None for an empty cell, a word or NaN."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def parse_count(text: str | None) -> int | None:
    """Return a cell's whole number; None where it holds none."""
    value = parse_number(text)
    return None if value is None else round(value)


def list_unique(values: Iterable[str]) -> list[str]:
    """Return the values without repeats, in their first order."""
    return list(dict.fromkeys(values))
