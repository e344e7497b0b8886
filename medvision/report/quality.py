"""The quality of the images: what was flagged or left out, as tiles to look at and a table."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from medvision.domain.splits.mixed import count_mixed, say_mixed
from medvision.report.sources import Row, Sources, parse_number
from medvision.report.words import QUALITY_RULES, say

MAX_TILES = 60
MAX_ROWS = 500

_SEED = 0
_EXCLUDED, _FLAGGED, _SOUND = "left out", "flagged", "no finding"

_COLUMNS = {
    "plane_pixels": "Pixels a side",
    "n_planes": "Planes",
    "pixel_mm": "Pixel mm",
    "plane_mm": "Plane mm",
    "foreground_mean": "Mean of body",
    "noise_share": "Noise",
    "sharpness": "Sharpness",
    "clipped_high_share": "Clipped",
    "border_share": "Border",
    "ghosting": "Ghosting",
}
"""Measures of the table to their headings."""


@dataclass(frozen=True)
class RuleCount:
    """How many images a rule found, and what it means."""

    rule: str
    words: str
    n_excluded: int
    n_flagged: int


@dataclass(frozen=True)
class QualityRow:
    """One image: what was found of it, and its measures as text."""

    image_id: str
    label: str
    state: str
    rules: tuple[str, ...]
    detail: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class QualityFacts:
    """What the rules found.

    Args:
        n_images: Labelled images that were judged.
        n_excluded: Left out before folds were built.
        n_flagged: Flagged and kept.
        rules: One per rule that found something.
        columns: Headings of the measures.
        rows: The images of the table, those with findings first.
        tiles: The images of the contact sheet, by image_id, in the order of the rows.
        mixed: How many subjects have images of different labels; empty where none has.
    """

    n_images: int
    n_excluded: int
    n_flagged: int
    rules: tuple[RuleCount, ...]
    columns: tuple[str, ...]
    rows: tuple[QualityRow, ...]
    tiles: tuple[str, ...]
    mixed: str


def build_quality(sources: Sources) -> QualityFacts:
    """Join findings with measures.

    Args:
        sources: Tables `measures`, `quality` and `cohort`; none where the steps were not run.

    Returns:
        The facts; at most `MAX_ROWS` rows and `MAX_TILES` tiles, however large the cohort is: all
        images with findings first, those left out before those flagged, then a sample of the
        others drawn with a fixed seed.
    """
    findings: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sources.table("quality"):
        findings[row["image_id"]].append(row)
    labels = {row["image_id"]: row["label"] for row in sources.table("cohort")}
    labels |= {name: rows[0]["label"] for name, rows in findings.items()}
    measures = {row["image_id"]: row for row in sources.table("measures")}
    judged = sorted(name for name in labels if name in measures)
    states = {name: _choose_state(findings.get(name, ())) for name in judged}
    shown = _choose_shown(judged, states)
    counts = Counter(states.values())
    rows = [
        _build_row(name, measures[name], findings.get(name, ()), label=labels[name])
        for name in shown[:MAX_ROWS]
    ]
    return QualityFacts(
        n_images=len(judged),
        n_excluded=counts[_EXCLUDED],
        n_flagged=counts[_FLAGGED],
        rules=_count_rules(sources.table("quality")),
        columns=tuple(_COLUMNS.values()),
        rows=tuple(rows),
        tiles=tuple(name for name in shown if not measures[name].get("reason"))[:MAX_TILES],
        mixed=say_mixed(
            count_mixed((row["subject"], row["label"]) for row in sources.table("cohort"))
        ),
    )


def _choose_state(findings: Sequence[Row]) -> str:
    """Return what was done about an image."""
    if any(row["action"] == "excluded" for row in findings):
        return _EXCLUDED
    return _FLAGGED if findings else _SOUND


def _choose_shown(judged: Sequence[str], states: dict[str, str]) -> list[str]:
    """Return images with findings, the worst first, then a sample of the others."""
    order = (_EXCLUDED, _FLAGGED)
    found = [name for state in order for name in judged if states[name] == state]
    sound = [name for name in judged if states[name] == _SOUND]
    n_sampled = min(len(sound), max(0, MAX_ROWS - len(found)))
    return [*found, *random.Random(_SEED).sample(sound, n_sampled)]  # noqa: S311 - no secret


def _count_rules(rows: Sequence[Row]) -> tuple[RuleCount, ...]:
    """Count images by rule, in the order of the rules' words."""
    held = {(row["rule"], row["action"], row["image_id"]) for row in rows}
    counts = Counter((rule, action) for rule, action, _ in held)
    known = [*QUALITY_RULES, *sorted({rule for rule, _ in counts} - set(QUALITY_RULES))]
    return tuple(
        RuleCount(rule, say(rule, QUALITY_RULES), counts[rule, "excluded"], counts[rule, "flagged"])
        for rule in known
        if counts[rule, "excluded"] or counts[rule, "flagged"]
    )


def _build_row(image_id: str, measures: Row, findings: Sequence[Row], *, label: str) -> QualityRow:
    """Return one image for display."""
    details = [row.get("detail", "") for row in findings]
    return QualityRow(
        image_id=image_id,
        label=label,
        state=_choose_state(findings),
        rules=tuple(dict.fromkeys(row["rule"] for row in findings)),
        detail="; ".join(dict.fromkeys(text for text in details if text)),
        cells=tuple(_show(measures.get(name)) for name in _COLUMNS),
    )


def _show(text: str | None) -> str:
    """Return a measure with three digits, or more where they stand before the point."""
    value = parse_number(text)
    if value is None:
        return ""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")
