"""An evaluation of both cohorts from predictions: what `evaluate` writes and an audit repeats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from medvision.cli._cohort.summary import read_classes
from medvision.cli._evaluated.abstention import Table
from medvision.cli._evaluated.figures import Evaluated, Known, evaluate_cohort
from medvision.config.evaluate import EvaluateSection
from medvision.domain.evaluation.caveats import list_caveats
from medvision.domain.evaluation.external import CohortGap, build_gaps, part_rows
from medvision.domain.labels.rows import EXTERNAL, Classes
from medvision.domain.record import JsonValue
from medvision.domain.resampling.settings import Settings
from medvision.io.tables import Cell, read_table
from medvision.runtime.seeds import derive_seed

COHORTS_COLUMNS = (
    *("arm", "metric", "internal", "internal_low", "internal_high", "internal_n_subjects"),
    *("external", "external_low", "external_high", "external_n_subjects"),
    *("difference", "low", "high", "method"),
)
_TEXTS = ("method", "reason", "sentences", "warning", "warnings")
_OF_FOLDS = ("n_folds", "n_repeats", "n_inner")
_WORDS = {
    "trainings of each part": "trainings",
    "held-out images": "external images",
    "test subjects": "external subjects",
    "test image": "external image",
    "areas within fold, folds by their pairs": "areas of each training's scores",
    "among those of its fold ranked": "among those ranked",
    "within fold and class": "within class",
    " of one fold": "",
    " of a fold": "",
    " within a fold": "",
    " within fold": "",
    "no fold has": "there are no",
}
"""What the internal column calls the sets of a fold, and what that is where there are no folds."""


def read_known(locate: Callable[[str], Path]) -> Known:
    """Read what an evaluation must know besides the predictions.

    Args:
        locate: Returns where a file of the study lies.

    Raises:
        DataError: A file is missing or cannot be read.
    """
    cohort = {row["image_id"]: row for row in read_table(locate("cohort/cohort.tsv"))}
    return Known(
        {name: row["group"] for name, row in cohort.items()},
        read_classes(locate("cohort/summary.json")),
        variables=cohort,
        temperatures=read_table(locate("predict/temperatures.tsv")),
    )


def evaluate(
    rows: Sequence[Mapping[str, str]], known: Known, *, section: EvaluateSection
) -> Evaluated:
    """Evaluate predictions by the study's task, those for an external cohort apart.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        known: Of their images.
        section: Settings of the statistics.

    Returns:
        The internal column, in which nothing external has a part; where there is an external
        cohort with a second one, thresholds of internal validation in both, and the gap of the two.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
        ConfigError: A setting does not fit the task.
    """
    internal, external = part_rows(rows)
    settings = Settings(**dict(section))
    own = _warn(evaluate_cohort(internal, known, settings=settings), internal, known.classes)
    if not external:
        return own
    # The same resamples for both would bind two cohorts that have nothing to do with each other.
    apart = replace(settings, seed=derive_seed(EXTERNAL, settings.seed))
    other = _warn(evaluate_cohort(external, known, settings=apart), external, known.classes)
    return _join(own, other)


def _warn(found: Evaluated, rows: Sequence[Mapping[str, str]], classes: Classes) -> Evaluated:
    """Add what a reader must know first."""
    told = list_caveats(rows, classes)
    table: Table = ([{"warning": text} for text in told], ("warning",))
    return replace(
        found,
        facts=found.facts | {"warnings": [*told]},
        tables={**found.tables, "warnings": table},
    )


def list_warnings(result: Evaluated) -> list[str]:
    """Return what a reader must know first, of the internal column and of the external one.

    Args:
        result: Of a study.
    """
    other = cast(dict[str, JsonValue], result.facts.get(EXTERNAL, {}))
    held = (result.facts, other)
    return [str(text) for facts in held for text in cast(list[str], facts.get("warnings", []))]


def list_sentences(result: Evaluated) -> list[JsonValue]:
    """Return the sentences on the internal column, then those on the external one.

    Args:
        result: Of a study.
    """
    own = cast(list[JsonValue], result.facts["sentences"])
    other = cast(dict[str, JsonValue], result.facts.get(EXTERNAL, {}))
    return [*own, *cast(list[JsonValue], other.get("sentences", []))]


def _join(own: Evaluated, other: Evaluated) -> Evaluated:
    """Put the external column beside the internal one."""
    gaps = build_gaps(own.figures, other.figures)
    kept = {name: value for name, value in other.facts.items() if name not in _OF_FOLDS}
    facts = {name: _reword(value, name) for name, value in kept.items()}
    facts["n_trainings"] = other.facts["n_inner"]
    facts["gaps"] = [cast(JsonValue, asdict(gap)) for gap in gaps]
    tables: dict[str, Table] = {
        f"{EXTERNAL}-{name}": ([_reword_row(row) for row in rows], columns)
        for name, (rows, columns) in other.tables.items()
        # Both columns have the same thresholds, of internal validation.
        if name != "thresholds"
    }
    tables["cohorts"] = (_list_gaps(gaps), COHORTS_COLUMNS)
    return Evaluated(own.facts | {EXTERNAL: facts}, {**own.tables, **tables}, own.figures)


def _list_gaps(gaps: Sequence[CohortGap]) -> list[Mapping[str, Cell]]:
    """Return the table in which the cohorts are two columns."""
    return [asdict(gap) for gap in gaps]


def _reword_row(row: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return a row with the words that fit external images in how it was made."""
    return {
        name: _say(value) if name in _TEXTS and isinstance(value, str) else value
        for name, value in row.items()
    }


def _reword(value: JsonValue, name: str) -> JsonValue:
    """Return what a file holds with the words that fit external images."""
    if isinstance(value, dict):
        return {key: _reword(held, key) for key, held in value.items()}
    if isinstance(value, list):
        return [_reword(held, name) for held in value]
    is_text = name in _TEXTS
    return _say(value) if is_text and isinstance(value, str) else value


def _say(text: str) -> str:
    """Return a text in the words that fit external images."""
    for own, other in _WORDS.items():
        text = text.replace(own, other)
    return text
