"""The ablation of synthetic images: AUC without and with them, paired, share by share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from medvision.domain.labels.rows import Classes
from medvision.domain.prediction import check_same_folds, check_same_images
from medvision.domain.scorecard.cells import (
    Areas,
    Cell,
    find_key,
    list_seeds,
    name_clusters,
    resample_cells,
)
from medvision.domain.scorecard.differences import (
    PairedDifference,
    compare_cells,
    deviate,
    find_interval,
)
from medvision.errors import DataError

PLAIN, CLASSICAL, SYNTHETIC, BOTH = "plain", "classical", "gan", "both"
VARIANTS: Final = (PLAIN, CLASSICAL, SYNTHETIC, BOTH)
"""Nothing added; random changes of the real images; synthetic images; both."""

PAIRS: Final = ((CLASSICAL, PLAIN), (SYNTHETIC, PLAIN), (BOTH, CLASSICAL))
"""What is asked, each a minus b; the last is what synthetic images add to the usual remedy."""

EFFECTS: Final = {"ahead": "helped", "behind": "harmed", "not-shown": "not-shown"}
"""Verdict on a difference to what it says of what was added."""


@dataclass(frozen=True)
class VariantScore:
    """AUC of one variant on one share, the mean over seeds; an end is None where none differs."""

    variant: str
    fraction: float
    n_subjects: float
    auc: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Effect:
    """What was added, to what, on which share, and what came of it."""

    added: str
    to: str
    fraction: float
    n_subjects: float
    found: PairedDifference

    @property
    def verdict(self) -> str:
        """helped, harmed or not-shown."""
        return EFFECTS[self.found.verdict]


@dataclass(frozen=True)
class Ablation:
    """All that the ablation says, with the counts it rests on."""

    metric: str
    seeds: tuple[int, ...]
    n_images: int
    n_test_subjects: int
    n_clusters: int
    n_resamples: int
    confidence: float
    scores: tuple[VariantScore, ...]
    effects: tuple[Effect, ...]


def check_variants(cells: Sequence[Cell]) -> None:
    """Refuse cells of which one is missing, there twice, or of other test images or seeds.

    Args:
        cells: One per variant and share.

    Raises:
        DataError: With what is missing or differs.
    """
    keys = [find_key(cell) for cell in cells]
    wanted = {(name, fraction) for name in VARIANTS for _, fraction in keys}
    if set(keys) != wanted or len(keys) != len(wanted):
        lost = sorted(wanted - set(keys))
        found = f"no {lost[0][0]} at {lost[0][1]:g}" if lost else "others, or one twice"
        raise DataError(
            f"ablation: every variant must be trained once on every share, got {found}.",
            "run `medvision ablate` for every share and fold.",
        )
    if len({tuple(sorted(cell.rounds)) for cell in cells}) > 1:
        raise DataError("ablation: every cell must have the same seeds, got others in some.")
    every = [(place, held) for cell in cells for place, held in cell.rounds.items()]
    check_same_images([held for _, held in every])
    for repeat in {place.repeat for place, _ in every}:
        check_same_folds([held for place, held in every if place.repeat == repeat])


def compute_ablation(
    cells: Sequence[Cell],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Ablation:
    """Compare training without and with what is added, on the same test subjects and seeds.

    Each resample draws test subjects within fold and class, and seeds, both with replacement and
    the same for all cells: so an interval covers who is tested and all that comes with a seed (who
    is trained on, the generator, how the training goes), and a difference is paired in both.

    Args:
        cells: Every variant at every share.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names, and the positive one of two.
        n_resamples: Number R of resamples.
        confidence: Level of the intervals, and of the corrected comparisons.
        seed: Seed of the resamples.

    Returns:
        Scores in the order of the cells, and effects by share in the order of `PAIRS`.

    Raises:
        DataError: A cell is missing, cells differ in images or seeds, or a class is never tested.

    Source:
        Owen 2007, doi:10.1214/07-AOAS122 (pigeonhole bootstrap).
    """
    check_variants(cells)
    areas = resample_cells(cells, groups, classes=classes, n_resamples=n_resamples, seed=seed)
    if any(np.isnan(held.by_seed).any() for held in areas.values()):
        raise DataError(
            "ablation: test images must be of every class in some fold, got a class missing.",
            "use fewer folds, or more subjects of the rare class.",
        )
    sizes = {cell.fraction: cell.n_subjects for cell in cells}
    asked = [(a, b, fraction) for fraction in sorted(sizes) for a, b in PAIRS]
    pairs = [((a, fraction), (b, fraction)) for a, b, fraction in asked]
    found = compare_cells(pairs, areas, confidence=confidence)
    first = next(iter(cells[0].rounds.values()))
    return Ablation(
        metric="auc" if classes.positive is not None else "auc_macro",
        seeds=list_seeds(cells[0]),
        n_images=len(first.image_ids),
        n_test_subjects=len(set(first.subjects)),
        n_clusters=len(set(name_clusters(first, groups))),
        n_resamples=n_resamples,
        confidence=confidence,
        scores=tuple(_build_score(cell, areas[find_key(cell)], confidence) for cell in cells),
        effects=tuple(
            Effect(a, b, fraction, sizes[fraction], held)
            for (a, b, fraction), held in zip(asked, found, strict=True)
        ),
    )


def _build_score(cell: Cell, held: Areas, confidence: float) -> VariantScore:
    """Put one cell's AUC together."""
    low, high = find_interval(held.replicates, confidence)
    return VariantScore(
        variant=cell.arm,
        fraction=cell.fraction,
        n_subjects=cell.n_subjects,
        auc=held.mean,
        low=low,
        high=high,
        sd_over_seeds=deviate(held.by_seed),
        by_seed=tuple(held.by_seed.tolist()),
    )
