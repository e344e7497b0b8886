"""The searches for hyper-parameters: how many trials, on what, and what each chose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import ARMS, join_words, say, say_count

SEARCHED = "(searched)"
"""What the methods say in the place of a setting that a search chose."""

_SAMPLERS = {
    "tpe": "tree-structured Parzen estimators",
    "random": "random draws",
}


@dataclass(frozen=True)
class SearchRow:
    """One search: of one arm, on the inner folds of one tested part."""

    arm: str
    arm_words: str
    part: int
    n_trials: int
    n_pruned: int
    n_failed: int
    n_inner_folds: int
    n_workers: int
    value: float | None
    values: tuple[str, ...]


@dataclass(frozen=True)
class SearchFacts:
    """All searches.

    Args:
        fields: The settings that were searched.
        objective: The validation figure that was improved.
        rows: One per arm and tested part.
    """

    fields: tuple[str, ...]
    objective: str
    rows: tuple[SearchRow, ...]

    @property
    def n_trials(self) -> int:
        """Return the trials of all searches."""
        return sum(row.n_trials for row in self.rows)


def build_searches(sources: Sources) -> SearchFacts:
    """Gather what each search wrote.

    Args:
        sources: Its searches; without any the facts are empty.

    Returns:
        Counts of trials that were run, and the values chosen.
    """
    fields = _list_fields(sources)
    objective = str(sources.searches[0]["objective"]) if sources.searches else ""
    return SearchFacts(
        fields, objective, tuple(_build_row(held, fields) for held in sources.searches)
    )


def is_searched(sources: Sources, key: str) -> bool:
    """Tell whether a setting `section.field` was chosen by searches."""
    return key in _list_fields(sources)


def describe_searches(sources: Sources, cite: Callable[[str], str]) -> str:
    """Write the methods' paragraph on the searches; empty where there were none.

    Args:
        sources: The searches.
        cite: Gives a citation's number.
    """
    facts = build_searches(sources)
    if not facts.rows:
        return ""
    first = sources.searches[0]
    sampler = str(first["sampler"])
    how = f"{_SAMPLERS[sampler]}{' ' + cite('tpe') if sampler == 'tpe' else ''}"
    ended = (sum(row.n_pruned for row in facts.rows), sum(row.n_failed for row in facts.rows))
    return (
        f"{join_words(list(facts.fields))} were chosen by Optuna {cite('optuna')} with {how} "
        f"(seed {first['seed']}): {say_count(facts.n_trials, 'trial')} in all, "
        f"{_say_range([row.n_trials for row in facts.rows])} in each of "
        f"{len(facts.rows)} {'searches' if len(facts.rows) > 1 else 'search'}, one per arm and "
        f"tested part "
        f"({ended[0]} ended early by the median rule, {ended[1]} failed). Each trial was judged by "
        f"the {facts.objective}, averaged over the part's "
        f"{_say_range([row.n_inner_folds for row in facts.rows])} inner folds; the part's test "
        f"subjects took no part. Its networks were then trained with what its own search chose. "
        f"{_say_order(facts.rows)}"
    ).strip()


def _list_fields(sources: Sources) -> tuple[str, ...]:
    """Return the settings that were searched."""
    first: JsonObject = sources.searches[0] if sources.searches else {}
    values = first.get("values")
    return tuple(values) if isinstance(values, dict) else ()


def _build_row(held: JsonObject, fields: Sequence[str]) -> SearchRow:
    """Return one search's row."""
    values, value = held["values"], held["value"]
    chosen = values if isinstance(values, dict) else {}
    return SearchRow(
        arm=str(held["arm"]),
        arm_words=say(str(held["arm"]), ARMS),
        part=_count(held, "part"),
        n_trials=_count(held, "n_trials"),
        n_pruned=_count(held, "n_pruned"),
        n_failed=_count(held, "n_failed"),
        n_inner_folds=_count(held, "n_inner_folds"),
        n_workers=_count(held, "n_workers"),
        value=value if isinstance(value, float) else None,
        values=tuple(_say_value(chosen.get(name)) for name in fields),
    )


def _count(held: JsonObject, name: str) -> int:
    """Return a whole number of a search."""
    value = held[name]
    return value if isinstance(value, int) else 0


def _say_value(value: JsonValue) -> str:
    """Return a chosen value, to three digits where it was drawn from a range."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)


def _say_range(counts: Sequence[int]) -> str:
    """Return a count, or the least and the largest where they differ."""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _say_order(rows: Sequence[SearchRow]) -> str:
    """Say so where the order of parallel workers had a part in what was drawn."""
    if max(row.n_workers for row in rows) < 2:
        return ""
    return "Several processes shared a search, so that its trials depend on their order."
