"""Consistency as facts: what becomes of the maps when something changes, described, not judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.report.numbers import as_number
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import METHODS, is_control, join_words, say, say_number

COMPARISONS = {
    "input_noise": "the image with a little noise",
    "reseed": "another draw of the method's own noise",
    "other_seed": "a network trained with another seed",
    "other_fold": "a network of another fold",
    "other_image": "another image (the mark)",
}
"""Comparison to what a map is held against, in the order of the table."""

AGREEMENTS = {"rank_correlation": "Rank correlation (with sign)", "ssim": "SSIM (without sign)"}
"""Figure of the agreement to its words, in the order of the page."""

SPLITS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True)
class Figure:
    """A mean over subjects, with its interval where there is one."""

    mean: float | None
    low: float | None
    high: float | None
    n_subjects: int


@dataclass(frozen=True)
class CascadeStage:
    """One stage of a curve: how many layers are random, and what that did to the map."""

    stage: int
    layer: str
    n_layers: int
    ssim: Figure
    rank_correlation: Figure
    entropy: Figure


@dataclass(frozen=True)
class Curve:
    """One method's cascade; `mark` is the SSIM of maps of other images."""

    method: str
    words: str
    n_images: int
    n_rises: int
    n_compared: int
    stages: tuple[CascadeStage, ...]
    mark: float | None


@dataclass(frozen=True)
class StabilityRow:
    """One method's maps held against those of the same image after one thing changed."""

    against: str
    n_maps: int
    ssim: Figure
    rank_correlation: Figure
    note: str


@dataclass(frozen=True)
class StabilityGroup:
    """One method's lines of the table."""

    method: str
    words: str
    rows: tuple[StabilityRow, ...]


@dataclass(frozen=True)
class AgreementRow:
    """One method's agreement with each method and control, in the order of the columns."""

    words: str
    cells: tuple[Figure | None, ...]


@dataclass(frozen=True)
class AgreementTable:
    """How far each two maps of one image agree, by one figure."""

    words: str
    columns: tuple[str, ...]
    rows: tuple[AgreementRow, ...]


@dataclass(frozen=True)
class ConsistencyFacts:
    """Everything under the heading of consistency; empty where nothing was looked at again."""

    curves: tuple[Curve, ...]
    stability: tuple[StabilityGroup, ...]
    agreement: tuple[AgreementTable, ...]
    sentence: str
    notes: tuple[str, ...]
    n_to_follow: int


def build_consistency(sources: Sources) -> ConsistencyFacts:
    """Gather what the explanation stage wrote of the maps' consistency.

    Args:
        sources: Its summary, `explain_summary`.
    """
    held = _open(sources.document("explain_summary").get("consistency"))
    stability = {name: _open(value) for name, value in _open(held.get("stability")).items()}
    curves = tuple(
        _build_curve(name, _open(value), _open(stability.get(name)))
        for name, value in _open(held.get("cascade")).items()
    )
    groups = tuple(
        StabilityGroup(name, _name(name), _build_rows(found))
        for name, found in sorted(stability.items(), key=lambda held: is_control(held[0]))
        if found
    )
    pairs = held.get("agreement")
    tables = [
        _build_agreement(pairs if isinstance(pairs, list) else [], figure, words)
        for figure, words in AGREEMENTS.items()
    ]
    notes = held.get("notes")
    return ConsistencyFacts(
        curves=curves,
        stability=groups,
        agreement=tuple(table for table in tables if table.rows),
        sentence=_say_ends(curves),
        notes=tuple(map(str, notes)) if isinstance(notes, list) and (groups or curves) else (),
        n_to_follow=_count(sources.setting("explain", "cascade_images")),
    )


def describe_consistency(sources: Sources, cite: Callable[[str], str]) -> str:
    """Return the methods text's sentences, with a leading space; "" where nothing was done.

    Args:
        sources: Settings of the section `explain`.
        cite: Gives a citation's number.
    """
    followed = _count(sources.setting("explain", "cascade_images"))
    steady = _count(sources.setting("explain", "stability_images"))
    noise = as_number(sources.setting("explain", "stability_noise")) or 0.0
    text = ""
    if followed:
        text += (
            f" The maps of the first {followed} images were followed through cascading "
            f"randomisation {cite('sanity')}, the head first and every layer last."
        )
    if steady:
        text += (
            f" Those of the first {steady} were compared with maps of the image under Gaussian "
            f"noise of {100 * noise:g} % of its range, of other draws, and of the networks of "
            "other folds and seeds, and the methods with one another; by structural similarity "
            "without sign and Spearman's correlation with sign, described and not judged."
        )
    return text


def _open(value: JsonValue | Mapping[str, JsonValue]) -> JsonObject:
    """Return a JSON object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def _count(value: JsonValue) -> int:
    """Return a whole number; 0 for anything else."""
    return value if isinstance(value, int) else 0


def _build_figure(value: JsonValue) -> Figure:
    """Return a mean with its interval."""
    held = _open(value)
    mean, low, high = (as_number(held.get(name)) for name in ("mean", "low", "high"))
    return Figure(mean, low, high, _count(held.get("n_subjects")))


def _build_curve(name: str, held: JsonObject, stability: JsonObject) -> Curve:
    """Return one method's cascade."""
    points, rises = held.get("curve"), _open(held.get("entropy_rises"))
    return Curve(
        method=name,
        words=say(name, METHODS),
        n_images=_count(held.get("n_images")),
        n_rises=_count(rises.get("n_rises")),
        n_compared=_count(rises.get("n")),
        stages=tuple(
            _build_stage(_open(point)) for point in (points if isinstance(points, list) else [])
        ),
        mark=_build_figure(_open(stability.get("other_image")).get("ssim")).mean,
    )


def _build_stage(held: JsonObject) -> CascadeStage:
    """Return one point of a curve."""
    return CascadeStage(
        stage=_count(held.get("stage")),
        layer=str(held.get("layer", "")),
        n_layers=_count(held.get("n_layers")),
        ssim=_build_figure(held.get("ssim")),
        rank_correlation=_build_figure(held.get("rank_correlation")),
        entropy=_build_figure(held.get("entropy")),
    )


def _build_rows(found: JsonObject) -> tuple[StabilityRow, ...]:
    """Return the lines of one method, in the order of the comparisons."""
    return tuple(
        _build_row(comparison, _open(found[comparison]))
        for comparison in COMPARISONS
        if comparison in found
    )


def _build_row(comparison: str, held: JsonObject) -> StabilityRow:
    """Return one line of the table of stability."""
    splits, missing = _open(held.get("n_by_split")), _open(held.get("missing"))
    notes = [f"{reason}: {n}" for reason, n in missing.items()]
    if comparison == "other_fold":
        parts = [f"{say(split, SPLITS)} ({n})" for split, n in splits.items()]
        notes.insert(0, f"which had the subject in {join_words(parts)}")
    return StabilityRow(
        against=COMPARISONS[comparison],
        n_maps=_count(held.get("n_maps")),
        ssim=_build_figure(held.get("ssim")),
        rank_correlation=_build_figure(held.get("rank_correlation")),
        note="; ".join(notes),
    )


def _build_agreement(pairs: list[JsonValue], figure: str, words: str) -> AgreementTable:
    """Return one figure of each two maps; controls are columns alone, and come last."""
    figures: dict[tuple[str, str], Figure] = {}
    for held in map(_open, pairs):
        names = held.get("methods")
        if isinstance(names, list):
            a, b = map(str, names)
            figures[a, b] = figures[b, a] = _build_figure(held.get(figure))
    methods = sorted(dict.fromkeys(name for pair in figures for name in pair), key=is_control)
    rows = tuple(
        AgreementRow(say(a, METHODS), tuple(figures.get((a, b)) for b in methods))
        for a in methods
        if not is_control(a)
    )
    return AgreementTable(words, tuple(map(_name, methods)), rows)


def _name(method: str) -> str:
    """Return a method's words, a control marked as one."""
    return say(method, METHODS) + (" (control)" if is_control(method) else "")


def _say_ends(curves: tuple[Curve, ...]) -> str:
    """Say what is left of the maps when every weight is random."""
    ends = [
        f"{curve.words} {say_number(curve.stages[-1].ssim.mean)}"
        + (f" (other images {say_number(curve.mark)})" if curve.mark is not None else "")
        for curve in curves
        if curve.stages and curve.stages[-1].ssim.mean is not None
    ]
    if not ends:
        return ""
    return f"With every weight random, the maps keep an SSIM of: {join_words(ends)}."
