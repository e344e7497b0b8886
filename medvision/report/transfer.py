"""The transfer scorecard as facts: which starts help, on how many subjects, and what they moved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from medvision.domain.record import JsonValue
from medvision.report.numbers import as_number
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import ARMS, say, say_count

CITATIONS = {
    "pigeonhole": "Owen AB. The pigeonhole bootstrap. Ann Appl Stat 2007;1:386-411. "
    "doi:10.1214/07-AOAS122.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat "
    "1979;6:65-70.",
    "cka": "Kornblith S et al. Similarity of neural network representations revisited. ICML 2019. "
    "arXiv:1905.00414.",
    "hsic": "Song L et al. Feature selection via dependence maximization. J Mach Learn Res "
    "2012;13:1393-1434.",
}

_POLICIES = {
    "full": "all trained",
    "linear": "head alone",
    "partial": "upper blocks",
    "gradual": "released block by block",
}
_VERDICTS = {"ahead": "Ahead", "behind": "Behind", "not-shown": "Not shown"}


@dataclass(frozen=True)
class StartFacts:
    """One arm of the scorecard: its code, its words, its source's name and its policy."""

    arm: str
    words: str
    source: str
    policy: str


@dataclass(frozen=True)
class TransferRow:
    """One arm on one share; what compares with scratch is None for scratch itself."""

    arm: str
    words: str
    fraction: float
    n_subjects: float
    auc: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p_holm: float | None
    verdict: str
    needed: str


@dataclass(frozen=True)
class SimilarityRow:
    """How alike one block's view of the validation images is before and after training."""

    arm: str
    words: str
    block: int
    layer: str
    cka: float | None
    least: float | None
    most: float | None
    debiased: float | None
    n_networks: int
    n_images: str


@dataclass(frozen=True)
class TransferFacts:
    """The whole scorecard; empty where none was made.

    Args:
        sentences: The finding, one sentence per arm, and the reservations.
        starts: The arms, scratch first.
        rows: One per share and arm, the smallest share first.
        similarity: One per arm and block.
        exceeded: Shares that one subject of each class exceeded.
        counts: Numbers behind the figures, by name.
    """

    sentences: tuple[str, ...]
    starts: tuple[StartFacts, ...]
    rows: tuple[TransferRow, ...]
    similarity: tuple[SimilarityRow, ...]
    exceeded: tuple[float, ...]
    counts: Mapping[str, JsonValue]

    @property
    def headline(self) -> tuple[str, ...]:
        """The finding as a line of the summary; none without a scorecard."""
        return (f"Transfer scorecard: {self.sentences[0]}",) if self.sentences else ()


_COUNTS = (
    *("n_trainings", "n_folds", "n_test_subjects", "n_test_images", "n_resamples", "confidence"),
    *("seeds", "metric"),
)


def build_transfer(sources: Sources) -> TransferFacts:
    """Gather the scorecard.

    Args:
        sources: Its document `scorecard`; without it the facts are empty.
    """
    held = sources.document("scorecard")
    if not held:
        return TransferFacts((), (), (), (), (), {})
    starts = tuple(
        _build_start(name, values) for name, values in cast(JsonObject, held["arms"]).items()
    )
    words = {start.arm: start.words for start in starts}
    return TransferFacts(
        sentences=tuple(_say(str(text), starts) for text in _list(held, "sentences")),
        starts=starts,
        rows=tuple(_build_rows(held, words)),
        similarity=tuple(_build_similarity(row, words) for row in _list(held, "similarity")),
        exceeded=tuple(float(cast(float, value)) for value in _list(held, "exceeded")),
        counts={name: held[name] for name in _COUNTS},
    )


def describe_transfer(sources: Sources, cite: Callable[[str], str]) -> str:
    """Write the methods' paragraph on the scorecard; empty where there is none.

    Args:
        sources: Its document and settings.
        cite: Gives a citation's number.
    """
    facts = build_transfer(sources)
    if not facts.rows:
        return ""
    seeds = facts.counts["seeds"]
    n_seeds = len(seeds) if isinstance(seeds, list) else 0
    shares = ", ".join(f"{100 * f:g} %" for f in dict.fromkeys(row.fraction for row in facts.rows))
    budget = str(sources.setting("scorecard", "budget"))
    equal = {
        "steps": "The number of steps was that of all subjects, whatever the share.",
        "epochs": "The number of epochs was the same at each share, so that small shares had fewer "
        "steps.",
    }.get(budget, "")
    return (
        f"Starts were compared with none at all on nested shares of the train subjects ({shares}), "
        f"the same for every start and drawn anew for each of {say_count(n_seeds, 'seed')}: "
        f"{facts.counts['n_trainings']} trainings. {equal} Intervals resample test subjects and "
        f"seeds at once {cite('pigeonhole')}; comparisons were corrected by Holm's method "
        f"{cite('holm')}. Subjects saved are read off the curve from scratch, made to rise, "
        f"linearly in the logarithm of the number. What training moved is linear CKA {cite('cka')} "
        f"of each block's output, at places evenly spread over its grid, on validation images; "
        f"debiased {cite('hsic')} where so said."
    )


def _list(held: JsonObject, name: str) -> Sequence[JsonValue]:
    """Return a list of the document."""
    value = held[name]
    return value if isinstance(value, list) else []


def _say(text: str, starts: Sequence[StartFacts]) -> str:
    """Return a sentence with the words of each start in the place of its code."""
    for start in sorted(starts, key=lambda start: -len(start.arm)):
        text = text.replace(start.arm, start.words) if start.source else text
    return text


def _build_start(name: str, values: JsonValue) -> StartFacts:
    """Return an arm with its words."""
    policy = str(cast(JsonObject, values)["policy"])
    if name in ARMS:
        return StartFacts(name, say(name, ARMS), "", policy)
    source = name.removesuffix(f"-{policy}")
    shown = "file " + source.removeprefix("path-")[:6] if source.startswith("path-") else source
    return StartFacts(name, f"{shown}, {_POLICIES[policy]}", shown, policy)


def _build_rows(held: JsonObject, words: Mapping[str, str]) -> list[TransferRow]:
    """Put score, difference and saving of each cell side by side."""
    tables = {
        name: {_key(row): row for row in cast(Sequence[JsonObject], _list(held, name))}
        for name in ("scores", "advantages", "savings")
    }
    keys = sorted(tables["scores"], key=lambda key: key[1])
    return [
        _build_row(
            tables["scores"][key],
            tables["advantages"].get(key, {}),
            saving=tables["savings"].get(key, {}),
            words=words[key[0]],
        )
        for key in keys
    ]


def _key(row: JsonObject) -> tuple[str, float]:
    """Return what a row is of."""
    return str(row["arm"]), float(cast(float, row["fraction"]))


def _build_row(
    score: JsonObject, advantage: JsonObject, *, saving: JsonObject, words: str
) -> TransferRow:
    """Return one cell."""
    return TransferRow(
        arm=str(score["arm"]),
        words=words,
        fraction=float(cast(float, score["fraction"])),
        n_subjects=float(cast(float, score["n_subjects"])),
        auc=float(cast(float, score["auc"])),
        low=as_number(score.get("low")),
        high=as_number(score.get("high")),
        sd_over_seeds=as_number(score.get("sd_over_seeds")),
        difference=as_number(advantage.get("difference")),
        difference_low=as_number(advantage.get("low")),
        difference_high=as_number(advantage.get("high")),
        p_holm=as_number(advantage.get("p_holm")),
        verdict=_VERDICTS.get(str(advantage.get("verdict")), ""),
        needed=str(saving.get("brief", "")),
    )


def _build_similarity(value: JsonValue, words: Mapping[str, str]) -> SimilarityRow:
    """Return one block of one arm."""
    row = cast(JsonObject, value)
    least, most = row["n_images_least"], row["n_images_most"]
    return SimilarityRow(
        arm=str(row["arm"]),
        words=words[str(row["arm"])],
        block=int(cast(int, row["block"])),
        layer=str(row["layer"]),
        cka=as_number(row.get("cka")),
        least=as_number(row.get("cka_least")),
        most=as_number(row.get("cka_most")),
        debiased=as_number(row.get("cka_debiased")),
        n_networks=int(cast(int, row["n_networks"])),
        n_images=str(least) if least == most else f"{least} to {most}",
    )
