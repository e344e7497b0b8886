"""The ablation of synthetic images as facts: what was added to what, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from medvision.domain.record import JsonValue
from medvision.report.numbers import as_number
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import say_count

WORDS = {
    "plain": "Nothing added",
    "classical": "Random changes",
    "gan": "Synthetic images",
    "both": "Both",
}
_VERDICTS = {
    "helped": "Helped",
    "harmed": "Did harm",
    "not-shown": "Not shown",
    "none-added": "None added",
}
_COUNTS = (
    *("n_trainings", "n_folds", "n_test_subjects", "n_test_images", "n_resamples", "confidence"),
    *("seeds", "metric"),
)


@dataclass(frozen=True)
class VariantRow:
    """AUC of one variant on one share; an end is None where no resample differs."""

    variant: str
    words: str
    fraction: float
    n_subjects: float
    auc: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None


@dataclass(frozen=True)
class EffectRow:
    """What was added to what on one share, and the difference that it made."""

    added: str
    to: str
    fraction: float
    difference: float
    low: float | None
    high: float | None
    p_holm: float | None
    n_seeds_ahead: int
    verdict: str


@dataclass(frozen=True)
class DrawnRow:
    """How many synthetic images were drawn, accepted and added on one share, over seeds and folds.

    Args:
        n_judged: Generators whose images the gate judged.
        n_open: Those it opened for.
        n_refused: Images that it refused one by one.
        n_without: Generators of which no image was added.
        reasons: Why none were.
        shut_by: Criterion, and the generators it kept out.
    """

    fraction: float
    n_generators: int
    n_drawn: int
    n_judged: int
    n_open: int
    n_refused: int
    n_added: int
    n_without: int
    reasons: tuple[str, ...]
    shut_by: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class AblationFacts:
    """The whole ablation; empty where none was made.

    Args:
        sentences: The finding, one sentence per question and share, and the reservations.
        rows: One per share and variant, the smallest share first.
        effects: One per share and question.
        added: One per share.
        counts: Numbers behind the figures, by name.
        is_gated: Whether only images that the gate accepted were added.
    """

    sentences: tuple[str, ...]
    rows: tuple[VariantRow, ...]
    effects: tuple[EffectRow, ...]
    added: tuple[DrawnRow, ...]
    counts: Mapping[str, JsonValue]
    is_gated: bool = False

    @property
    def headline(self) -> tuple[str, ...]:
        """The finding as a line of the summary; none without an ablation."""
        return self.sentences[:1]


def build_ablation(sources: Sources) -> AblationFacts:
    """Gather the ablation.

    Args:
        sources: Its document `ablation`; without it the facts are empty.
    """
    held = sources.document("ablation")
    if not held:
        return AblationFacts((), (), (), (), {})
    return AblationFacts(
        sentences=tuple(str(text) for text in cast(Sequence[JsonValue], held["sentences"])),
        rows=tuple(_build_row(row) for row in _list(held, "scores")),
        effects=tuple(_build_effect(row) for row in _list(held, "effects")),
        added=tuple(_build_drawn(row) for row in _list(held, "added")),
        counts={name: held[name] for name in _COUNTS},
        is_gated=bool(cast(JsonObject, held["gate"])["is_obeyed"]),
    )


def describe_ablation(sources: Sources, cite: Callable[[str], str]) -> str:
    """Write the methods' paragraph on the ablation; empty where there is none.

    Args:
        sources: Its document and settings.
        cite: Gives a citation's number.
    """
    facts = build_ablation(sources)
    if not facts.rows:
        return ""
    seeds = cast(Sequence[JsonValue], facts.counts["seeds"])
    shares = ", ".join(f"{100 * f:g} %" for f in dict.fromkeys(row.fraction for row in facts.rows))
    return (
        "Training without additions, with random changes of the images, with synthetic images and "
        f"with both was compared on nested shares of the train subjects ({shares}), drawn anew for "
        f"each of {say_count(len(seeds), 'seed')}; a generator was trained on each share alone. "
        f"{_say_gate(facts)} All variants had the same starting weights and the same number "
        "of steps an epoch, and of epochs at most; early stopping may have ended some earlier. "
        f"Intervals resample test subjects and seeds at once {cite('pigeonhole')}; comparisons "
        f"were corrected by Holm's method {cite('holm')}."
    )


def _say_gate(facts: AblationFacts) -> str:
    """Say what decided which images were added."""
    n_open, n_judged = (
        sum(getattr(row, name) for row in facts.added) for name in ("n_open", "n_judged")
    )
    asked = (
        "were judged by quality, variety, memorisation, membership and class fidelity, the network "
        f"without additions as classifier; the gate opened for {n_open} of "
        f"{say_count(n_judged, 'generator')}"
    )
    if facts.is_gated:
        return f"Images drawn {asked}, and only those it accepted were added."
    return f"Images drawn {asked}; all were added nevertheless."


def _list(held: JsonObject, name: str) -> Sequence[JsonObject]:
    """Return a list of objects of the document."""
    return cast(Sequence[JsonObject], held[name])


def _float(row: JsonObject, name: str) -> float:
    """Return a number that is always there."""
    return float(cast(float, row[name]))


def _int(row: JsonObject, name: str) -> int:
    """Return a count."""
    return int(cast(int, row[name]))


def _build_row(row: JsonObject) -> VariantRow:
    """Return one variant on one share."""
    return VariantRow(
        variant=str(row["variant"]),
        words=WORDS[str(row["variant"])],
        fraction=_float(row, "fraction"),
        n_subjects=_float(row, "n_subjects"),
        auc=_float(row, "auc"),
        low=as_number(row.get("low")),
        high=as_number(row.get("high")),
        sd_over_seeds=as_number(row.get("sd_over_seeds")),
    )


def _build_effect(row: JsonObject) -> EffectRow:
    """Return one question on one share."""
    return EffectRow(
        added=_name_added(str(row["added"]), str(row["to"])),
        to=WORDS[str(row["to"])],
        fraction=_float(row, "fraction"),
        difference=_float(row, "difference"),
        low=as_number(row.get("low")),
        high=as_number(row.get("high")),
        p_holm=as_number(row.get("p_holm")),
        n_seeds_ahead=_int(row, "n_seeds_ahead"),
        verdict=_VERDICTS[str(row["verdict"])],
    )


def _name_added(added: str, to: str) -> str:
    """Return what was added: of both, what the other has not."""
    return WORDS["gan"] if added == "both" and to == "classical" else WORDS[added]


def _build_drawn(row: JsonObject) -> DrawnRow:
    """Return the counts of one share."""
    return DrawnRow(
        fraction=_float(row, "fraction"),
        n_generators=_int(row, "n_generators"),
        n_drawn=_int(row, "n_drawn"),
        n_judged=_int(row, "n_judged"),
        n_open=_int(row, "n_open"),
        n_refused=_int(row, "n_refused"),
        n_added=_int(row, "n_added"),
        n_without=_int(row, "n_without"),
        reasons=tuple(str(text) for text in cast(Sequence[JsonValue], row["reasons"])),
        shut_by=tuple(
            (str(shut["criterion"]), _int(shut, "n_generators")) for shut in _list(row, "shut_by")
        ),
    )
