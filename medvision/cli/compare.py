"""`medvision compare`: the scorecard from all its trainings' predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from medvision.cli._cohort.summary import read_classes
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._scorecard.shares import check_shares
from medvision.cli._scorecard.tables import SIMILARITY_COLUMNS, build_cells
from medvision.cli._scorecard.text import brief_saving, build_sentences, say_saving
from medvision.cli._steps import list_scorecards
from medvision.cli.scorecard import find_arm
from medvision.config.model import Study
from medvision.config.scorecard import SCRATCH
from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.domain.scorecard.compare import Scorecard, compute_scorecard
from medvision.domain.split import build_assignments
from medvision.errors import CohortError
from medvision.io.tables import Cell, Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import read_json, write_json

SCORE_COLUMNS = (
    *("arm", "fraction", "n_subjects", "auc", "low", "high", "sd_over_seeds"),
    *("n_seeds", "n_test_subjects", "n_test_images"),
)
ADVANTAGE_COLUMNS = (
    *("arm", "fraction", "n_subjects", "difference", "low", "high", "sd_over_seeds"),
    *("n_seeds_ahead", "p", "p_holm", "verdict", "n_seeds", "n_test_subjects"),
)
SAVING_COLUMNS = (
    *("arm", "fraction", "n_subjects", "needed", "low", "high", "is_at_most"),
    *("share_not_reached", "words"),
)
TABLES = ("predictions", "trainings", "subsets", "cka")

Read = Callable[[str], Path]
"""Path below the output folder -> where that file lies."""

Tables = Mapping[str, Sequence[Row]]

Subsets = dict[int, dict[float, list[str]]]
"""Seed and share to the subjects that are trained on."""


@study_command(
    "compare",
    help="Compare every start of the scorecard with none at all, share by share: AUC, paired "
    "differences, subjects saved at equal AUC, and what the training moved (CKA).",
    example="medvision compare --set 'scorecard.sources=[pretrain]'",
)
def command(study: Study, layout: Layout) -> None:
    """Gather the trainings of the scorecard and compare them."""
    find_arm(study, SCRATCH)
    steps = list_scorecards(study, layout)
    with open_step("compare", study, upstream=("cohort", *steps)) as step:
        step.seed = study.evaluate.seed
        facts, card, tables = compute_facts(
            lambda path: step.read(layout.root / path),
            steps=steps,
            n_resamples=study.evaluate.n_resamples,
            confidence=study.evaluate.confidence,
            seed=study.evaluate.seed,
        )
        _write_tables(step, card, tables)
        write_json(step.write(layout.step("compare") / "scorecard.json"), facts)
        step.facts["sentences"] = facts["sentences"]


def compute_facts(
    read: Read, *, steps: Sequence[str], n_resamples: int, confidence: float, seed: int
) -> tuple[dict[str, JsonValue], Scorecard, Tables]:
    """Compute the scorecard from the files of its trainings.

    Args:
        read: Tells where a file below the output folder lies.
        steps: The training steps, scratch first.
        n_resamples: Number of bootstrap resamples.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.

    Returns:
        The content of `compare/scorecard.json`, which an audit computes again; the scorecard; and
        the rows of the trainings' tables, by the name of the table.

    Raises:
        CohortError: Train subsets are not nested, not the same for all arms, or hold a subject
            that is tested or validates.
        DataError: A file is missing or cannot be read, or the arms cannot be paired.
    """
    tables: dict[str, list[Row]] = {
        name: [row for step in steps for row in read_table(read(f"{step}/{name}.tsv"))]
        for name in TABLES
    }
    _check_subsets(read, steps, tables["trainings"])
    summaries = [
        cast(dict[str, JsonValue], read_json(read(f"{step}/summary.json"))) for step in steps
    ]
    classes = read_classes(read("cohort/summary.json"))
    card = compute_scorecard(
        build_cells(tables["predictions"], tables["trainings"], classes=classes.names),
        {row["image_id"]: row["group"] for row in read_table(read("cohort/cohort.tsv"))},
        classes=classes,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )
    return _describe(card, tables, classes=classes, summaries=summaries), card, tables


def _check_subsets(read: Read, steps: Sequence[str], trainings: Sequence[Row]) -> None:
    """Check once more, from the files, who was trained on."""
    assignments = build_assignments(read_table(read("cohort/folds.tsv")))
    seen: dict[int, Subsets] = {}
    for step in steps:
        subsets = _read_subsets(read, step)
        fold = int(step.rpartition("-")[2])
        if seen.setdefault(fold, subsets) != subsets:
            raise CohortError(
                f"{step}: train subsets must be those of every arm, got others than the first.",
                "run `medvision scorecard` again for this fold, for all arms.",
            )
        for shares in subsets.values():
            check_shares(shares, assignments, fold=fold)
    for row in trainings:
        listed = seen[int(row["fold"])][int(row["seed"])][float(row["fraction"])]
        if int(row["n_subjects"]) != len(listed):
            raise CohortError(
                f"scorecard/{row['arm']}/fold-{row['fold']}: trainings must be on the subsets that "
                f"are listed, got {row['n_subjects']} subjects at {row['fraction']}."
            )


def _read_subsets(read: Read, step: str) -> Subsets:
    """Read who was trained on in one job, by seed and share."""
    subsets: Subsets = {}
    for row in read_table(read(f"{step}/subsets.tsv")):
        shares = subsets.setdefault(int(row["seed"]), {})
        shares.setdefault(float(row["fraction"]), []).append(row["subject"])
    return subsets


def _describe(
    card: Scorecard,
    tables: Tables,
    *,
    classes: Classes,
    summaries: Sequence[Mapping[str, JsonValue]],
) -> dict[str, JsonValue]:
    """Gather everything, nested, with the sentences that a report can quote."""
    forms = {str(held["network_form"]) for held in summaries}
    n_trainings = len(tables["trainings"])
    first: dict[str, Mapping[str, JsonValue]] = {}
    for held in summaries:
        first.setdefault(str(held["arm"]), held)
    return {
        "metric": card.metric,
        "classes": list(classes.names),
        "positive": classes.positive,
        "seeds": list(card.seeds),
        "n_trainings": n_trainings,
        "n_folds": len({row["fold"] for row in tables["trainings"]}),
        "n_test_images": card.n_images,
        "n_test_subjects": card.n_test_subjects,
        "n_clusters": card.n_clusters,
        "n_resamples": card.n_resamples,
        "confidence": card.confidence,
        "arms": {name: cast(JsonValue, dict(held)) for name, held in first.items()},
        "sizes": [
            {"fraction": fraction, "n_subjects": n} for fraction, n in sorted(card.sizes.items())
        ],
        "exceeded": _list_exceeded(tables["trainings"]),
        "scores": [_as_json(asdict(held)) for held in card.scores],
        "advantages": [_as_json(asdict(held)) for held in card.advantages],
        "savings": [
            _as_json(
                {
                    **asdict(held),
                    "words": say_saving(held, card),
                    "brief": brief_saving(held, card),
                }
            )
            for held in card.savings
        ],
        "similarity": _average_similarity(tables["cka"]),
        "sentences": cast(JsonValue, build_sentences(card, is_one_entrance=len(forms) == 1)),
    }


def _list_exceeded(trainings: Sequence[Row]) -> JsonValue:
    """Return the shares that were exceeded so that each class kept a subject."""
    rows = [row for row in trainings if row["is_exceeded"] == "true"]
    return [*sorted({float(row["fraction"]) for row in rows})]


def _as_json(values: Mapping[str, object]) -> JsonValue:
    """Return tuples as lists."""
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return cast(JsonValue, plain)


def _average_similarity(rows: Sequence[Row]) -> JsonValue:
    """Return each arm's CKA by block: mean, least and largest over folds and seeds."""
    held: dict[tuple[str, int, str], list[Row]] = {}
    for row in rows:
        held.setdefault((row["arm"], int(row["block"]), row["layer"]), []).append(row)
    return [
        {
            "arm": arm,
            "block": block,
            "layer": layer,
            **_spread("cka", [row["cka"] for row in each]),
            **_spread("cka_debiased", [row["cka_debiased"] for row in each]),
            "n_networks": len(each),
            "n_images_least": min(int(row["n_images"]) for row in each),
            "n_images_most": max(int(row["n_images"]) for row in each),
        }
        for (arm, block, layer), each in held.items()
    ]


def _spread(name: str, texts: Sequence[str]) -> dict[str, JsonValue]:
    """Return mean, least and largest of the values that there are, and how many are lost."""
    values = [float(text) for text in texts if text]
    return {
        name: sum(values) / len(values) if values else None,
        f"{name}_least": min(values) if values else None,
        f"{name}_most": max(values) if values else None,
        f"{name}_n": len(values),
    }


def _write_tables(step: Step, card: Scorecard, tables: Tables) -> None:
    """Write one table per kind of result."""
    counts: dict[str, Cell] = {
        "n_seeds": len(card.seeds),
        "n_test_subjects": card.n_test_subjects,
        "n_test_images": card.n_images,
    }
    held: dict[str, tuple[Sequence[Mapping[str, Cell]], Sequence[str]]] = {
        "scorecard": ([{**asdict(s), **counts} for s in card.scores], SCORE_COLUMNS),
        "differences": ([{**asdict(a), **counts} for a in card.advantages], ADVANTAGE_COLUMNS),
        "savings": (
            [{**asdict(s), "words": say_saving(s, card)} for s in card.savings],
            SAVING_COLUMNS,
        ),
        "cka": (tables["cka"], SIMILARITY_COLUMNS),
    }
    for name, (rows, columns) in held.items():
        chosen = [{column: row[column] for column in columns} for row in rows]
        write_table(step.write(step.layout.table("compare", name)), chosen, columns=columns)
