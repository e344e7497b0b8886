"""The synthetic images that the study's networks were trained with, fold by fold, in words."""

from dataclasses import dataclass

from medvision.report.sources import JsonObject, Sources
from medvision.report.words import join_words, say_count

_STAGE = "train/"


@dataclass(frozen=True)
class AddedRow:
    """What one fold's networks were trained with beside the real images, all arms alike.

    Args:
        fold: Number of the training.
        n_images: Synthetic images.
        by_class: Class and images, in words.
        is_open: Whether the gate is open.
        reason: Why, in the gate's own words.
    """

    fold: int
    n_images: int
    by_class: str
    is_open: bool
    reason: str


@dataclass(frozen=True)
class AddedFacts:
    """All folds, and what is to be said of them; nothing where no images are drawn."""

    rows: tuple[AddedRow, ...] = ()
    words: str = ""

    @property
    def n_images(self) -> int:
        """Return the synthetic images of all folds together."""
        return sum(row.n_images for row in self.rows)


def build_added(sources: Sources) -> AddedFacts:
    """Gather what the records of the trainings say of synthetic images.

    Args:
        sources: Records of the steps `train/<arm>/fold-<f>`, and the settings.
    """
    rows: dict[int, AddedRow] = {}
    for record in sources.records:
        facts = record.get("facts")
        if str(record.get("step", "")).startswith(_STAGE) and isinstance(facts, dict):
            row = _build_row(str(record["step"]), facts)
            rows |= {} if row is None else {row.fold: row}
    kept = tuple(rows[fold] for fold in sorted(rows))
    generator = sources.setting("synthesise", "generator")
    if not kept and generator in (None, "none"):
        return AddedFacts()
    return AddedFacts(kept, _say(kept))


def describe_added(sources: Sources) -> str:
    """Return the sentences on synthetic images that a paragraph on training ends with, or nothing.

    Args:
        sources: As `build_added`.
    """
    words = build_added(sources).words
    return f" {words}" if words else ""


def list_added_limits(added: AddedFacts, *, has_controls: bool, is_explained: bool) -> list[str]:
    """Say what else is to be read otherwise where networks were trained with synthetic images.

    Args:
        added: What they were trained with.
        has_controls: Whether controls of the shortcut audit were trained.
        is_explained: Whether images were explained.
    """
    if not added.n_images:
        return []
    limits = [
        "Networks were also trained on synthetic images, which hold nothing that the generator has "
        "not seen in the train subjects, and may hold what no patient has."
    ]
    if is_explained:
        limits.append(
            "Train images that are shown as nearest or influential, and likeness to the train "
            "images, are of the real ones alone."
        )
    if has_controls:
        limits.append(
            "Controls of the shortcut audit were trained on real images alone: where one differs "
            "from the study's network, the synthetic images may be why."
        )
    return limits


def _build_row(step: str, facts: JsonObject) -> AddedRow | None:
    """Return a training's row; none where it takes no synthetic images."""
    counts, gate = facts.get("n_synthetic"), facts.get("gate")
    if not isinstance(counts, dict) or not isinstance(gate, dict):
        return None
    return AddedRow(
        fold=int(step.rpartition("-")[2]),
        n_images=sum(int(str(count)) for count in counts.values()),
        by_class=", ".join(f"{name} {count}" for name, count in counts.items()),
        is_open=gate.get("is_open") is True,
        reason=str(gate.get("reason", "")),
    )


def _say(rows: tuple[AddedRow, ...]) -> str:
    """Say what the networks of each fold were trained on."""
    if not rows:
        return (
            "Synthetic images were drawn, but no network of the study was trained with any "
            "(synthesise.use: none)."
        )
    told = [
        f"In fold {row.fold} networks were trained with "
        f"{say_count(row.n_images, 'synthetic image')} ({row.by_class}) beside the real ones."
        for row in rows
        if row.n_images
    ]
    told += _list_shut(rows)
    empty = [str(row.fold) for row in rows if row.is_open and not row.n_images]
    if empty:
        told.append(
            f"In {_name_folds(empty)} the gate was open but refused every image, and networks were "
            "trained on real images alone."
        )
    return f"{' '.join(told)} Validation and test hold the study's own images alone."


def _list_shut(rows: tuple[AddedRow, ...]) -> list[str]:
    """Say of which folds the gate was shut, and why."""
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        if not row.is_open:
            by_reason.setdefault(row.reason, []).append(str(row.fold))
    return [
        f"In {_name_folds(folds)} the gate was shut ({reason}), and networks were trained on real "
        "images alone."
        for reason, folds in by_reason.items()
    ]


def _name_folds(folds: list[str]) -> str:
    """Name folds in words."""
    return f"fold{'s' if len(folds) > 1 else ''} {join_words(folds)}"
