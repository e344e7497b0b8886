"""The way from files to folds in real counts: the flow diagram, the refusals, the leakage."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from medvision.domain.labels.rows import EXTERNAL
from medvision.report.folds import FoldsFacts, build_folds, count_labels
from medvision.report.sources import Row, Sources, list_unique, parse_number
from medvision.report.words import (
    HARMLESS_ACTIONS,
    LEAKAGE_ACTIONS,
    LEAKAGE_KINDS,
    LEFT,
    join_words,
    say,
    say_count,
    say_within,
)

_MAX_PAIRS = 50
_IMAGES_LEFT = ("image-without-label", "other-role", "four-dimensional")


@dataclass(frozen=True)
class Tally:
    """A code, its words, and how many."""

    code: str
    words: str
    n: int


@dataclass(frozen=True)
class FlowStep:
    """One box of the diagram, what left the study after it, and what went another way."""

    label: str
    n: int
    unit: str
    detail: str
    left: tuple[Tally, ...]
    branch: "FlowStep | None" = None

    @property
    def n_left(self) -> int:
        """Return how many left after this box."""
        return sum(tally.n for tally in self.left)


@dataclass(frozen=True)
class LeakagePair:
    """Two images that must not be on both sides of a split."""

    kind: str
    image_a: str
    image_b: str
    subject_a: str
    subject_b: str
    labels: str
    action: str
    similarity: float | None
    alteration: str


@dataclass(frozen=True)
class CohortFacts:
    """What was found, refused, labelled and split."""

    steps: tuple[FlowStep, ...]
    refused: tuple[Tally, ...]
    unmatched: tuple[Tally, ...]
    leakage: tuple[LeakagePair, ...]
    n_leakage: int
    n_pairs: int
    n_unequal_labels: int
    leakage_left: tuple[Tally, ...]
    classes: tuple[str, ...]
    positive: str
    task: str
    target: str
    value: str
    folds: FoldsFacts
    modalities: tuple[Tally, ...]
    n_files: int
    n_refused: int
    n_images: int
    n_subjects: int

    @property
    def is_binary(self) -> bool:
        """Whether one of two classes is predicted."""
        return self.task == "classification" and len(self.classes) == 2

    @property
    def leakage_is_overridden(self) -> bool:
        """Whether leakage was found and the user let the run go on."""
        return bool(self.leakage_left)

    @property
    def leakage_left_words(self) -> str:
        """Return the kinds of the pairs left in different splits, with the count of each."""
        return join_words(
            [
                f"{say_count(kind.n, 'pair')} ({say_within(kind.words)})"
                for kind in self.leakage_left
            ]
        )


def build_cohort(sources: Sources) -> CohortFacts:
    """Count files, images, subjects and folds.

    Args:
        sources: Tables `sources`, `rejects`, `manifest`, `cohort`, `folds`, `balance`, `leakage`,
            `unmatched`, `quality`, `preprocess_rejects`; document `cohort_summary`.

    Returns:
        The facts of the data section; every count is of rows that exist.
    """
    every, leakage = sources.table("cohort"), sources.table("leakage")
    cohort = [row for row in every if not _is_external(row)]
    task = str(sources.document("cohort_summary").get("task", "classification"))
    classes = _list_classes(sources) if task != "regression" else []
    positive = _choose_positive(sources, classes) if task == "classification" else ""
    refused = _tally_refused(sources)
    return CohortFacts(
        steps=_build_steps(sources, classes),
        refused=refused,
        unmatched=_tally((row["kind"] for row in sources.table("unmatched")), LEFT),
        leakage=tuple(_build_pair(row) for row in _put_worst_first(leakage)[:_MAX_PAIRS]),
        n_leakage=sum(row["action"] not in HARMLESS_ACTIONS for row in leakage),
        n_pairs=len(leakage),
        n_unequal_labels=_count_unequal_labels(leakage),
        leakage_left=_tally(
            (row["kind"] for row in leakage if row["action"] == "reported"), LEAKAGE_KINDS
        ),
        classes=tuple(classes),
        positive=positive,
        task=task,
        target=_name_target(sources, classes),
        value=_name_value(sources),
        folds=build_folds(sources, classes=classes, positive=positive),
        modalities=_tally((row["modality"] for row in cohort), {}),
        n_files=len(sources.table("sources")),
        n_refused=sum(tally.n for tally in refused),
        n_images=len(cohort),
        n_subjects=_count_subjects(cohort),
    )


def _list_classes(sources: Sources) -> list[str]:
    """Return class names in the cohort's own order, or sorted."""
    held = sources.document("cohort_summary").get("classes")
    if isinstance(held, list):
        return [str(name) for name in held]
    return sorted({row["label"] for row in sources.table("cohort")})


def _name_target(sources: Sources, classes: Sequence[str]) -> str:
    """Say what is predicted, as it stands after "images of n subjects"."""
    values = sources.document("cohort_summary").get("values")
    if isinstance(values, dict):
        return f"with a value of {values['name']}, from {values['low']} to {values['high']},"
    words = join_words([f"“{name}”" for name in classes])
    is_many = sources.document("cohort_summary").get("task") == "multilabel"
    return f"with or without the findings {words}" if is_many else f"in the classes {words}"


def _name_value(sources: Sources) -> str:
    """Return what the predicted value is called; nothing of other tasks."""
    values = sources.document("cohort_summary").get("values")
    return str(values["name"]) if isinstance(values, dict) else ""


def _choose_positive(sources: Sources, classes: Sequence[str]) -> str:
    """Return the positive class: the cohort's own choice, or the last."""
    held = sources.document("cohort_summary").get("positive")
    if isinstance(held, str):
        return held
    return classes[-1] if classes else ""


def _count_unequal_labels(leakage: Sequence[Row]) -> int:
    """Count the pairs of images equal or altered whose labels differ: one may be wrong."""
    return sum(
        row["kind"] in ("near-pixels", "conflicting-label") and row["label_a"] != row["label_b"]
        for row in leakage
    )


def _words(sources: Sources) -> dict[str, str]:
    """Return the words of every reason for leaving."""
    return {**LEFT, **{code: text[:1].upper() + text[1:] for code, text in sources.reasons.items()}}


def _tally(codes: Iterable[str], words: dict[str, str]) -> tuple[Tally, ...]:
    """Count codes, the most frequent first, then by name."""
    counts = sorted(Counter(codes).items(), key=lambda item: (-item[1], item[0]))
    return tuple(Tally(code, say(code, words), n) for code, n in counts)


def _tally_refused(sources: Sources) -> tuple[Tally, ...]:
    """Count refused files by reason."""
    return _tally((row["reason"] for row in sources.table("rejects")), _words(sources))


def _tally_left(sources: Sources) -> tuple[Tally, ...]:
    """Count the input files that became no image, by reason or verdict."""
    left = [row for row in sources.table("sources") if row["verdict"] != "converted"]
    return _tally((row.get("reason") or row["verdict"] for row in left), _words(sources))


def _tally_excluded(sources: Sources) -> tuple[Tally, ...]:
    """Count the images left out for their quality, each by its first rule."""
    first: dict[str, str] = {}
    for row in sources.table("quality"):
        if row["action"] == "excluded":
            first.setdefault(row["image_id"], f"quality-{row['rule']}")
    return _tally(first.values(), LEFT)


def _count_subjects(rows: Sequence[Row]) -> int:
    """Return the number of different subjects."""
    return len({row["subject"] for row in rows})


def _build_steps(sources: Sources, classes: Sequence[str]) -> tuple[FlowStep, ...]:
    """Return the boxes of the diagram from top to bottom."""
    cohort, manifest = sources.table("cohort"), sources.table("manifest")
    dropped = [r for r in sources.table("unmatched") if r["kind"] in _IMAGES_LEFT]
    rejected = sources.table("preprocess_rejects")
    gone = {row["image_id"] for row in rejected}
    kept = [row for row in cohort if row["image_id"] not in gone]
    analysed = [row for row in kept if not _is_external(row)]
    external = [row for row in kept if _is_external(row)]
    files = [row for row in sources.table("sources") if row["verdict"] == "converted"]
    return (
        FlowStep("Input", len(sources.table("sources")), "files", "", _tally_left(sources)),
        FlowStep(
            "Converted",
            len(manifest),
            "images",
            f"{say_count(_count_subjects(manifest), 'subject')}, from {len(files)} files",
            (*_tally((row["kind"] for row in dropped), LEFT), *_tally_excluded(sources)),
        ),
        FlowStep(
            "Labelled",
            len(cohort),
            "images",
            say_count(_count_subjects(cohort), "subject"),
            _tally((row["reason"] for row in rejected), _words(sources)),
            _build_branch(sources, external, classes=classes),
        ),
        FlowStep("Analysed", len(analysed), "images", _count(sources, analysed, classes), ()),
    )


def _is_external(row: Row) -> bool:
    """Say whether a row of the cohort is of its external part."""
    return row.get("given_split") == EXTERNAL


def _count(sources: Sources, rows: Sequence[Row], classes: Sequence[str]) -> str:
    """Count the images of each class, or with each finding, in words."""
    several = "with " if sources.document("cohort_summary").get("task") == "multilabel" else ""
    return ", ".join(f"{n} {several}{name}" for name, n in count_labels(rows, classes))


def _build_branch(
    sources: Sources, rows: Sequence[Row], *, classes: Sequence[str]
) -> FlowStep | None:
    """Return the box of the external cohort; none where there is none."""
    if not rows:
        return None
    counts = [say_count(_count_subjects(rows), "subject"), _count(sources, rows, classes)]
    detail = ", ".join(text for text in counts if text)
    return FlowStep("External cohort", len(rows), "images", detail, ())


def _put_worst_first(leakage: Sequence[Row]) -> list[Row]:
    """Order pairs: those that still leak, those that were dealt with, the harmless."""
    ranks = {"stopped": 0, "reported": 0, "grouped": 1}
    return sorted(leakage, key=lambda row: ranks.get(row["action"], 2))


def _build_pair(row: Row) -> LeakagePair:
    """Return a leakage row for display."""
    labels = list_unique(name for name in (row["label_a"], row["label_b"]) if name)
    return LeakagePair(
        kind=say(row["kind"], LEAKAGE_KINDS),
        image_a=row["image_a"],
        image_b=row["image_b"],
        subject_a=row["subject_a"],
        subject_b=row["subject_b"],
        labels=" / ".join(labels),
        action=say(row["action"], LEAKAGE_ACTIONS),
        similarity=parse_number(row.get("similarity")),
        alteration=row.get("alteration", ""),
    )
