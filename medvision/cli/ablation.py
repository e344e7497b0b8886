"""`medvision ablation`: what synthetic images added, from all trainings' predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from medvision.cli._ablation.tables import build_cells
from medvision.cli._ablation.tally import Tally, tally_images
from medvision.cli._ablation.text import build_sentences
from medvision.cli._cohort.summary import read_classes
from medvision.cli._run import Step, open_step, study_command
from medvision.cli._scorecard.shares import check_shares
from medvision.cli._steps import list_ablations
from medvision.cli.ablate import check_asked
from medvision.config.model import Study
from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.domain.split import build_assignments
from medvision.domain.synthesis.ablation import Ablation, Effect, compute_ablation
from medvision.errors import CohortError
from medvision.io.tables import Cell, Row, read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

SCORE_COLUMNS = (
    *("variant", "fraction", "n_subjects", "auc", "low", "high", "sd_over_seeds"),
    *("n_seeds", "n_test_subjects", "n_test_images"),
)
EFFECT_COLUMNS = (
    *("added", "to", "fraction", "n_subjects", "difference", "low", "high", "sd_over_seeds"),
    *("n_seeds_ahead", "p", "p_holm", "verdict", "n_seeds", "n_test_subjects"),
)
_TABLES = ("predictions", "trainings", "subsets", "gates")

Read = Callable[[str], Path]
"""Path below the output folder -> where that file lies."""

Tables = Mapping[str, Sequence[Row]]


@study_command(
    "ablation",
    help="Say what random changes and synthetic images added, share by share: AUC and paired "
    "differences with intervals over subjects and seeds.",
    example="medvision ablation --set synthesise.generator=gan",
)
def command(study: Study, layout: Layout) -> None:
    """Gather the trainings of the ablation and compare them."""
    check_asked(study)
    steps = list_ablations(study, layout)
    with open_step("ablation", study, upstream=("cohort", *steps)) as step:
        step.seed = study.evaluate.seed
        facts, held = compute_facts(
            lambda path: step.read(layout.root / path),
            steps=steps,
            gate=study.ablation.gate,
            n_resamples=study.evaluate.n_resamples,
            confidence=study.evaluate.confidence,
            seed=study.evaluate.seed,
        )
        _write_tables(step, held, effects=facts["effects"])
        write_json(step.write(layout.step("ablation") / "ablation.json"), facts)
        step.facts["sentences"] = facts["sentences"]


def compute_facts(
    read: Read,
    *,
    steps: Sequence[str],
    gate: str,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> tuple[dict[str, JsonValue], Ablation]:
    """Compute the ablation from the files of its trainings.

    Args:
        read: Tells where a file below the output folder lies.
        steps: The training steps.
        gate: obey or ignore.
        n_resamples: Number of bootstrap resamples.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.

    Returns:
        The content of `ablation/ablation.json`, which an audit computes again; the ablation.

    Raises:
        CohortError: Train subsets are not nested, or hold a subject that is tested or validates; or
            other images were added than the gate allows.
        DataError: A file is missing or cannot be read, or the variants cannot be paired.
    """
    tables: dict[str, list[Row]] = {
        name: [row for step in steps for row in read_table(read(f"{step}/{name}.tsv"))]
        for name in _TABLES
    }
    _check_subsets(read, tables)
    tally = tally_images(tables["trainings"], tables["gates"], gate=gate)
    classes = read_classes(read("cohort/summary.json"))
    held = compute_ablation(
        build_cells(tables["predictions"], tables["trainings"], classes=classes.names),
        {row["image_id"]: row["group"] for row in read_table(read("cohort/cohort.tsv"))},
        classes=classes,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )
    return _describe(held, tables["trainings"], tally=tally, classes=classes), held


def _check_subsets(read: Read, tables: Tables) -> None:
    """Check once more, from the files, who was trained on."""
    shares: dict[tuple[int, int], dict[float, list[str]]] = {}
    for row in tables["subsets"]:
        place = shares.setdefault((int(row["fold"]), int(row["seed"])), {})
        place.setdefault(float(row["fraction"]), []).append(row["subject"])
    assignments = build_assignments(read_table(read("cohort/folds.tsv")))
    for (fold, _), held in shares.items():
        check_shares(held, assignments, fold=fold)
    for row in tables["trainings"]:
        fold, fraction = int(row["fold"]), float(row["fraction"])
        n_listed = len(shares.get((fold, int(row["seed"])), {}).get(fraction, []))
        if int(row["n_subjects"]) != n_listed:
            raise CohortError(
                f"ablate/share-{fraction:g}/fold-{fold}: trainings must be on the subjects that "
                f"are listed, {n_listed}, got {row['n_subjects']}."
            )


def _describe(
    held: Ablation, trainings: Sequence[Row], *, tally: Tally, classes: Classes
) -> dict[str, JsonValue]:
    """Gather everything, nested, with the sentences that a report can quote."""
    return {
        "metric": held.metric,
        "classes": list(classes.names),
        "positive": classes.positive,
        "seeds": list(held.seeds),
        "n_trainings": len(trainings),
        "n_folds": len({row["fold"] for row in trainings}),
        "n_test_images": held.n_images,
        "n_test_subjects": held.n_test_subjects,
        "n_clusters": held.n_clusters,
        "n_resamples": held.n_resamples,
        "confidence": held.confidence,
        "gate": {
            "is_obeyed": tally.is_obeyed,
            "n_judged": tally.n_judged,
            "n_open": tally.n_open,
            "n_refused": tally.n_refused,
            "shut_by": cast(JsonValue, tally.shut_by),
        },
        "added": list(tally.shares),
        "scores": [_as_json(asdict(score)) for score in held.scores],
        "effects": [_as_json(_flatten(effect, tally)) for effect in held.effects],
        "sentences": cast(JsonValue, build_sentences(held, tally)),
    }


def _flatten(effect: Effect, tally: Tally) -> dict[str, object]:
    """Return an effect as one row; where no synthetic image was added there is no verdict."""
    values = asdict(effect)
    found = values.pop("found")
    verdict = effect.verdict if tally.has_images(effect) else "none-added"
    return {**values, **found, "verdict": verdict}


def _as_json(values: Mapping[str, object]) -> JsonValue:
    """Return tuples as lists."""
    plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return cast(JsonValue, plain)


def _write_tables(step: Step, held: Ablation, *, effects: JsonValue) -> None:
    """Write scores and differences."""
    counts: dict[str, object] = {
        "n_seeds": len(held.seeds),
        "n_test_subjects": held.n_test_subjects,
        "n_test_images": held.n_images,
    }
    tables = {
        "scores": ([asdict(score) for score in held.scores], SCORE_COLUMNS),
        "differences": (cast(list[dict[str, object]], effects), EFFECT_COLUMNS),
    }
    for name, (rows, columns) in tables.items():
        chosen = [{column: {**row, **counts}[column] for column in columns} for row in rows]
        path = step.write(step.layout.table("ablation", name))
        write_table(path, cast(list[dict[str, Cell]], chosen), columns=columns)
