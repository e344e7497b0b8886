"""What a bundle tells of its explanations, each table read once, for all that follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast, get_args

from medvision.audit.verify import Locate
from medvision.cli._cohort.summary import read_classes
from medvision.config.explain import ExplainSection
from medvision.domain.attribution import Check, Verdict
from medvision.domain.explanation.plan import PLAN
from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.io.tables import Row, read_table
from medvision.runtime.files import read_json

if TYPE_CHECKING:
    from medvision.explain.case import Case
    from medvision.explain.consistency_rows import CascadePoint, Consistency
    from medvision.explain.likeness import Likeness
    from medvision.explain.visits import Bounds

ATTRIBUTIONS = "explain/attributions.tsv"
CHECKS = "explain/checks.tsv"
SUMMARY = "explain/summary.json"
VERDICTS = "explain/verdicts.tsv"
PEAKS = "explain/peaks.tsv"
CASCADE = "explain/cascade.tsv"
STABILITY = "explain/stability.tsv"
SELECTION = "explain/selection.tsv"
INFLUENCE = "explain/influence.tsv"

INDEX = "preprocess/index.tsv"

_TABLES = (ATTRIBUTIONS, VERDICTS, PEAKS, CASCADE, STABILITY, INFLUENCE, INDEX)


@dataclass(frozen=True)
class Told:
    """The tables of the explain step, and what they rest on.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        section: The recorded settings of explain.
        classes: What the networks predict.
        cases: The explained cases, in the order of the draw.
        checks: All rows of checks.
        tables: Path of each other table to its rows.
        summary: The summary.
        selection: What the plan says of the draw.
        facts: Of the record.
    """

    locate: Locate
    section: ExplainSection
    classes: Classes
    cases: "Sequence[Case]"
    checks: Sequence[Check]
    tables: Mapping[str, Sequence[Row]]
    summary: Mapping[str, JsonValue]
    selection: JsonValue
    facts: Mapping[str, JsonValue]

    @property
    def bounds(self) -> "Bounds":
        """How much was looked at again."""
        return build_bounds(self.section)

    @property
    def consistency(self) -> "Consistency":
        """The rows of cascade and stability."""
        from medvision.explain.consistency_rows import Consistency

        cascade, stability = self.tables[CASCADE], self.tables[STABILITY]
        return Consistency(
            [parse_point(row) for row in cascade], [parse_likeness(row) for row in stability]
        )


def read_told(locate: Locate) -> Told:
    """Read what the explain step of a bundle told.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError, TypeError: A table or a record is incomplete.
    """
    record = cast(Mapping[str, Any], read_json(locate("explain/record.json")))
    return Told(
        locate=locate,
        section=ExplainSection.model_validate(record["parameters"]["explain"]),
        classes=read_classes(locate("cohort/summary.json")),
        cases=[build_case(row) for row in read_table(locate(SELECTION))],
        checks=[parse_check(row) for row in read_table(locate(CHECKS))],
        tables={path: read_table(locate(path)) for path in _TABLES},
        summary=cast(Mapping[str, JsonValue], read_json(locate(SUMMARY))),
        selection=cast(Mapping[str, JsonValue], read_json(locate(PLAN)))["selection"],
        facts=record["facts"],
    )


def build_bounds(section: ExplainSection) -> "Bounds":
    """Return how much a run looked at again.

    Args:
        section: The recorded settings of explain.
    """
    from medvision.explain.visits import Bounds

    held = dict(section)
    return Bounds(**{each.name: held[each.name] for each in fields(Bounds)})


def build_case(row: Row) -> "Case":
    """Return a row of the selection as a case."""
    from medvision.explain.case import Case

    values: dict[str, Any] = {
        each.name: int(row[each.name]) if each.type is int else row[each.name]
        for each in fields(Case)
    }
    return Case(**values)


def list_rings(pairs: Iterable[tuple[str, str]], images: Sequence[str]) -> dict[str, list[str]]:
    """Return of each method the images that it has a map of, in the order of the selection.

    Args:
        pairs: Image and method of each map, in any order.
        images: The selection.
    """
    held = set(pairs)
    return {
        method: [name for name in images if (name, method) in held]
        for method in dict.fromkeys(method for _, method in sorted(held))
    }


def parse_check(row: Row) -> Check:
    """Return a row of the table of checks.

    Raises:
        ValueError: A figure is no number, or the verdict is none.
    """
    if row["verdict"] not in get_args(Verdict):
        raise ValueError(f"verdict {row['verdict']!r}")
    figures = ("statistic", "comparator", "threshold", "edge_map", "centre_prior", "edge_margin")
    return Check(
        image_id=row["image_id"],
        method=row["method"],
        check=row["check"],
        verdict=cast(Verdict, row["verdict"]),
        reason=row["reason"],
        source=row["source"],
        n=int(row["n"]) if row["n"] else None,
        **{name: _read(row[name]) for name in figures},
    )


def parse_point(row: Row) -> "CascadePoint":
    """Return a row of the table of cascades as a `CascadePoint`.

    Raises:
        ValueError: A figure is no number.
    """
    from medvision.explain.consistency_rows import CascadePoint

    figures = {name: _read(row[name]) for name in ("ssim", "rank_correlation", "entropy")}
    numbers = {name: int(row[name]) for name in ("stage", "n_layers")}
    return CascadePoint(**{**row, **figures, **numbers})  # type: ignore[arg-type]  # text is left


def parse_likeness(row: Row) -> "Likeness":
    """Return a row of the table of stability as a `Likeness`.

    Raises:
        ValueError: A figure is no number.
    """
    from medvision.explain.likeness import Likeness

    figures = {name: _read(row[name]) for name in ("ssim", "rank_correlation")}
    return Likeness(**{**row, **figures})  # type: ignore[arg-type]  # text is left


def _read(text: str) -> float | None:
    """Return a figure; an empty cell has none."""
    return float(text) if text else None
