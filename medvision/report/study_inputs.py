"""What the record of a study's explanations is made of, and how it says what it does not know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.explanation.plan import PLAN
from medvision.domain.record import JsonValue
from medvision.report.sources import Row

STUDY_RECORD, METRICS = "report/study.json", "evaluate/metrics.json"
"""Paths below the output folder."""

TABLES = (
    *("ingest/manifest.tsv", "preprocess/index.tsv", "predict/predictions.tsv"),
    *("predict/temperatures.tsv", "explain/selection.tsv", "explain/attributions.tsv"),
    *("explain/checks.tsv", "explain/stability.tsv"),
)
DOCUMENTS = (PLAN, METRICS, "explain/summary.json", "preprocess/meta.json")
"""What is read by whoever writes the record, and by whoever checks it."""

Table = Mapping[str, JsonValue]


@dataclass(frozen=True)
class StudyInputs:
    """What the record is made of, in the report as in an audit.

    Args:
        tables: Path below the output folder to rows: manifest, array index, predictions, and the
            tables of the explanations.
        documents: Path to JSON object: plan, statistics, summary of the explanations, description
            of arrays.
        records: Step to its record, of the steps whose work is told of here.
        provenance: Step to the sha256 of its record.
        digests: Path below the output folder to sha256.
        architectures: Path of a model to the sha256 of its tensors' names, kinds and shapes.
    """

    tables: Mapping[str, Sequence[Row]]
    documents: Mapping[str, Table]
    records: Mapping[str, Table]
    provenance: Mapping[str, str]
    digests: Mapping[str, str]
    architectures: Mapping[str, str]

    def of_image(self, path: str, image_id: str) -> list[Row]:
        """Return the rows of a table that are of an image."""
        return [row for row in self.tables[path] if row["image_id"] == image_id]


def know(value: JsonValue, reason: str) -> JsonValue:
    """Return a value; where there is none, an object that says why.

    Args:
        value: What is told; None or empty text where it is not known.
        reason: Why there would be none.
    """
    return {"value": None, "reason": reason} if value is None or value == "" else value
