"""From seed to seed as facts: each figure's values, their mean and standard deviation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medvision.domain.arms import rank_arm
from medvision.report.metric import has_unit
from medvision.report.sources import Row, Sources, parse_count, parse_number
from medvision.report.targets import is_of_all
from medvision.report.words import join_words, say_metric, say_number

_SEED = "seed_"
_PLUS_MINUS = "\u00a0±\u00a0"
"""With spaces at which no line ends."""


@dataclass(frozen=True)
class Spread:
    """One figure of one arm, seed by seed; `sd` is None of one seed."""

    arm: str
    metric: str
    words: str
    n_seeds: int
    mean: float | None
    sd: float | None
    values: tuple[float | None, ...]

    @property
    def has_unit(self) -> bool:
        """Whether the figure is in the unit of a predicted value."""
        return has_unit(self.metric)


@dataclass(frozen=True)
class SpreadFacts:
    """How the figures move from seed to seed.

    Args:
        seeds: Numbers of the seeds, as `values` of the rows has them.
        rows: In order of figure, then of arm.
    """

    seeds: tuple[str, ...]
    rows: tuple[Spread, ...]

    @property
    def n_seeds(self) -> int:
        """Return the number of seeds, 0 where it is not known."""
        return len(self.seeds)

    @property
    def by_metric(self) -> tuple[tuple[str, tuple[Spread, ...]], ...]:
        """Return the words of each figure with its rows."""
        words = dict.fromkeys(row.words for row in self.rows)
        return tuple((w, tuple(row for row in self.rows if row.words == w)) for w in words)


def build_spread(sources: Sources, task: str = "classification") -> SpreadFacts:
    """Gather what each seed gave; of several findings the means over them.

    Args:
        sources: Table `seeds`.
        task: classification, multilabel or regression.
    """
    rows = sorted(sources.table("seeds"), key=lambda row: rank_arm(row["arm"]))
    columns = [name for name in (rows[0] if rows else ()) if name.startswith(_SEED)]
    built = [_build_row(row, columns, task) for row in rows if is_of_all(row["metric"], task)]
    metrics = list(dict.fromkeys(row.metric for row in built))
    return SpreadFacts(
        tuple(name.removeprefix(_SEED) for name in columns),
        tuple(sorted(built, key=lambda row: metrics.index(row.metric))),
    )


def say_spread(
    facts: SpreadFacts, metric: str, *, words: str, arms: Mapping[str, str], digits: int = 2
) -> str:
    """Say how one figure moves from seed to seed, or that one seed cannot tell.

    Args:
        facts: Every figure.
        metric: The figure.
        words: What it is called before a verb.
        arms: Arm to how it stands within a sentence.
        digits: Decimals.
    """
    if facts.n_seeds == 1:
        return (
            "One seed was trained, so how far the figures move from one training to the next is "
            "not known."
        )
    held = [row for row in facts.rows if row.metric == metric and row.sd is not None]
    if not held:
        return ""
    said = [
        f"{say_number(row.mean, digits=digits)}{_PLUS_MINUS}{say_number(row.sd, digits=digits)} "
        f"{arms.get(row.arm, row.arm)}"
        for row in held
    ]
    return (
        f"Over {facts.n_seeds} seeds, none of them chosen, the {words} was {join_words(said)} "
        "(mean ± standard deviation)."
    )


def _build_row(row: Row, columns: Sequence[str], task: str) -> Spread:
    """Return a row of seeds.tsv as a fact."""
    return Spread(
        arm=row["arm"],
        metric=row["metric"],
        words=say_metric(row["metric"], task),
        n_seeds=parse_count(row["n_seeds"]) or 0,
        mean=parse_number(row["mean"]),
        sd=parse_number(row["sd"]),
        values=tuple(parse_number(row[name]) for name in columns),
    )
