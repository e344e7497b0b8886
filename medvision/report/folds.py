"""The folds in real counts: sizes, prevalence and subgroups of each split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.labels.findings import SEPARATOR
from medvision.domain.labels.rows import SPLITS
from medvision.report.sources import Row, Sources, list_unique, parse_count, parse_number

_OPEN_FOLDS = 5
_MAX_FOLDS = 30
_MAX_COLUMNS = 5
_MAX_SUBGROUPS = 60


@dataclass(frozen=True)
class FoldRow:
    """Counts of one split of one fold."""

    fold: str
    repeat: str
    part: str
    inner: str
    split: str
    n_images: int
    n_subjects: int
    n_by_class: tuple[int, ...]
    prevalence: float | None


@dataclass(frozen=True)
class SubgroupRow:
    """A subgroup's test images in the first folds, and its share in all of them."""

    variable: str
    value: str
    n_images: tuple[int, ...]
    shares: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True)
class FoldsFacts:
    """What each fold holds; of many folds the first, so that a page stays a page.

    Args:
        rows: A row per fold and split, of the first five folds.
        more_rows: Those of further folds, up to the thirtieth.
        n_folds: Trainings of each arm and seed.
        n_parts: Parts that are tested.
        n_repeats: Times that the cohort was dealt.
        n_inner: Trainings of each part.
        subgroups: Test images by subgroup, one column per fold named in `columns`.
        columns: Numbers of the first folds.
    """

    rows: tuple[FoldRow, ...]
    more_rows: tuple[FoldRow, ...]
    n_folds: int
    n_parts: int
    n_repeats: int
    n_inner: int
    subgroups: tuple[SubgroupRow, ...]
    columns: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Say whether fold and part are one: neither repeated, nor nested, nor held out."""
        return self.n_parts == self.n_folds


def build_folds(sources: Sources, *, classes: Sequence[str], positive: str) -> FoldsFacts:
    """Count each split of each fold.

    Args:
        sources: Tables `folds` and `balance`.
        classes: Class names in their order.
        positive: The class whose prevalence is shown.

    Returns:
        The facts of the report's part on folds; every count is of rows that exist.
    """
    rows = sources.table("folds")
    by_fold: dict[str, list[Row]] = {}
    for row in rows:
        by_fold.setdefault(row["fold"], []).append(row)
    folds = sorted(by_fold, key=lambda name: (parse_count(name) or 0, name))
    index = list(classes).index(positive) if positive in classes else None
    built = [
        [row for row in _build_fold(by_fold[fold], classes, positive=index) if row.n_images > 0]
        for fold in folds[:_MAX_FOLDS]
    ]
    return FoldsFacts(
        rows=tuple(row for each in built[:_OPEN_FOLDS] for row in each),
        more_rows=tuple(row for each in built[_OPEN_FOLDS:] for row in each),
        n_folds=len(folds),
        n_parts=len(list_unique(row["part"] for row in rows)),
        n_repeats=len(list_unique(row["repeat"] for row in rows)),
        n_inner=len(list_unique(row["inner"] for row in rows)),
        subgroups=_build_subgroups(sources, folds),
        columns=tuple(folds[:_MAX_COLUMNS]),
    )


def _build_fold(
    rows: Sequence[Row], classes: Sequence[str], *, positive: int | None
) -> list[FoldRow]:
    """Return the counts of each split of one fold."""
    return [
        _build_split([row for row in rows if row["split"] == split], classes, positive=positive)
        for split in SPLITS
        if any(row["split"] == split for row in rows)
    ]


def _build_split(rows: Sequence[Row], classes: Sequence[str], *, positive: int | None) -> FoldRow:
    """Return the counts of one split, which is not empty."""
    first = rows[0]
    by_class = tuple(n for _, n in count_labels(rows, classes))
    return FoldRow(
        fold=first["fold"],
        repeat=first["repeat"],
        part=first["part"],
        inner=first["inner"],
        split=first["split"],
        n_images=len(rows),
        n_subjects=len({row["subject"] for row in rows}),
        n_by_class=by_class,
        prevalence=by_class[positive] / len(rows) if positive is not None else None,
    )


def count_labels(rows: Sequence[Row], classes: Sequence[str]) -> list[tuple[str, int]]:
    """Count the images of each class, or with each finding.

    Args:
        rows: Images, each with its label.
        classes: Class names, or findings.
    """
    counts = Counter(
        name for row in rows for name in {row["label"], *row["label"].split(SEPARATOR)}
    )
    return [(name, counts[name]) for name in classes]


def _build_subgroups(sources: Sources, folds: Sequence[str]) -> tuple[SubgroupRow, ...]:
    """Return the test images of each value of each column but the label."""
    tested: dict[tuple[str, str], dict[str, Row]] = {}
    for row in sources.table("balance"):
        if row["split"] == "test" and row["variable"] != "label":
            tested.setdefault((row["variable"], row["value"]), {})[row["fold"]] = row
    return tuple(
        _build_subgroup(name, by_fold, shown=folds[:_MAX_COLUMNS])
        for name, by_fold in list(tested.items())[:_MAX_SUBGROUPS]
    )


def _build_subgroup(
    name: tuple[str, str], by_fold: dict[str, Row], *, shown: Sequence[str]
) -> SubgroupRow:
    """Return one value's counts in the folds shown, and its range over all of them."""
    shares = [parse_number(row["share"]) or 0.0 for row in by_fold.values()]
    variable, value = name
    return SubgroupRow(
        variable=variable,
        value=value or "not known",
        n_images=tuple(parse_count(by_fold[fold]["n_images"]) or 0 for fold in shown),
        shares=tuple(parse_number(by_fold[fold]["share"]) or 0.0 for fold in shown),
        low=min(shares),
        high=max(shares),
    )
