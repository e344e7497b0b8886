"""The transfer scorecard: AUC of every start by train subjects, and what a start saves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medvision.domain.labels.rows import Classes
from medvision.domain.scorecard.cells import (
    SCRATCH,
    Areas,
    Cell,
    Key,
    check_cells,
    find_key,
    list_seeds,
    name_clusters,
    resample_cells,
)
from medvision.domain.scorecard.curve import compute_ends, invert_curve
from medvision.domain.scorecard.differences import compare_cells, deviate, find_interval
from medvision.errors import DataError


@dataclass(frozen=True)
class Score:
    """AUC of one cell, the mean over its rounds; an end is None where no resample differs."""

    arm: str
    fraction: float
    n_subjects: float
    auc: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Advantage:
    """AUC of one cell minus that of scratch on the same share, paired by subject and seed.

    Args:
        n_seeds_ahead: Seeds in which the arm's AUC is above that of scratch.
        p: Two-sided bootstrap p-value; None where no resample differs.
        p_holm: The same, corrected for all comparisons of the scorecard.
        verdict: ahead, behind or not-shown, by the corrected value at the intervals' level.
    """

    arm: str
    fraction: float
    n_subjects: float
    difference: float
    low: float | None
    high: float | None
    sd_over_seeds: float | None
    n_seeds_ahead: int
    p: float | None
    p_holm: float | None
    verdict: str


@dataclass(frozen=True)
class Saving:
    """Train subjects that scratch needs for the AUC of one cell.

    `needed`, `low` and `high` are None where scratch does not reach that AUC with all subjects;
    `is_at_most` says that it has it with the smallest share already.
    """

    arm: str
    fraction: float
    n_subjects: float
    needed: float | None
    low: float | None
    high: float | None
    is_at_most: bool
    share_not_reached: float


@dataclass(frozen=True)
class Scorecard:
    """All that the scorecard says, with the counts it rests on."""

    metric: str
    seeds: tuple[int, ...]
    n_images: int
    n_test_subjects: int
    n_clusters: int
    n_rounds: int
    n_resamples: int
    confidence: float
    sizes: Mapping[float, float]
    scores: tuple[Score, ...]
    advantages: tuple[Advantage, ...]
    savings: tuple[Saving, ...]


def compute_scorecard(
    cells: Sequence[Cell],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Scorecard:
    """Compare all arms with scratch on the same test subjects, share by share.

    Each resample draws test subjects within fold and class, and seeds, both with replacement and
    the same for all cells: so an interval covers who is tested and what comes with a seed (who is
    trained on, how the training goes), and a difference is paired in both.

    Args:
        cells: Every arm at every share, scratch included.
        groups: image_id to the group of subjects that is resampled as one.
        classes: Class names, and the positive one of two.
        n_resamples: Number R of resamples.
        confidence: Level of the intervals, and of the corrected comparisons.
        seed: Seed of the resamples.

    Returns:
        Scores in the order of the cells, differences to scratch, and subjects saved.

    Raises:
        DataError: A cell is missing, or cells are not of the same test images and rounds.

    Source:
        Both ways at once: Owen 2007, doi:10.1214/07-AOAS122 (pigeonhole bootstrap).
    """
    check_cells(cells)
    areas = resample_cells(cells, groups, classes=classes, n_resamples=n_resamples, seed=seed)
    first = next(iter(cells[0].rounds.values()))
    scratch = [cell for cell in cells if cell.arm == SCRATCH]
    others = [cell for cell in cells if cell.arm != SCRATCH]
    return Scorecard(
        metric="auc" if classes.positive is not None else "auc_macro",
        seeds=list_seeds(cells[0]),
        n_images=len(first.image_ids),
        n_test_subjects=len(set(first.subjects)),
        n_clusters=len(set(name_clusters(first, groups))),
        n_rounds=len(cells[0].rounds),
        n_resamples=n_resamples,
        confidence=confidence,
        sizes={cell.fraction: cell.n_subjects for cell in scratch},
        scores=tuple(_build_score(cell, areas[find_key(cell)], confidence) for cell in cells),
        advantages=tuple(_build_advantages(others, areas, confidence=confidence)),
        savings=tuple(_build_savings(others, scratch, areas=areas, confidence=confidence)),
    )


def _build_score(cell: Cell, areas: Areas, confidence: float) -> Score:
    """Put one cell's AUC together."""
    if np.isnan(areas.by_seed).any():
        raise DataError(
            "scorecard: test images must be of every class in some fold, got a class missing.",
            "use fewer folds, or more subjects of the rare class.",
        )
    low, high = find_interval(areas.replicates, confidence)
    return Score(
        arm=cell.arm,
        fraction=cell.fraction,
        n_subjects=cell.n_subjects,
        auc=areas.mean,
        low=low,
        high=high,
        sd_over_seeds=deviate(areas.by_seed),
        by_seed=tuple(areas.by_seed.tolist()),
    )


def _build_advantages(
    others: Sequence[Cell], areas: Mapping[Key, Areas], *, confidence: float
) -> list[Advantage]:
    """Hold every arm against scratch on the same share, and correct for all comparisons."""
    pairs = [(find_key(cell), (SCRATCH, cell.fraction)) for cell in others]
    found = compare_cells(pairs, areas, confidence=confidence)
    return [
        Advantage(
            arm=cell.arm,
            fraction=cell.fraction,
            n_subjects=cell.n_subjects,
            difference=held.difference,
            low=held.low,
            high=held.high,
            sd_over_seeds=held.sd_over_seeds,
            n_seeds_ahead=held.n_seeds_ahead,
            p=held.p,
            p_holm=held.p_holm,
            verdict=held.verdict,
        )
        for cell, held in zip(others, found, strict=True)
    ]


def _build_savings(
    others: Sequence[Cell],
    scratch: Sequence[Cell],
    *,
    areas: Mapping[Key, Areas],
    confidence: float,
) -> list[Saving]:
    """Read the curve of scratch backwards at the AUC of every other cell."""
    ordered = sorted(scratch, key=lambda cell: cell.n_subjects)
    sizes = [cell.n_subjects for cell in ordered]
    values = np.array([areas[find_key(cell)].mean for cell in ordered])
    curves = np.array([areas[find_key(cell)].replicates for cell in ordered]).T
    result = []
    for cell in others:
        held = areas[find_key(cell)]
        needed = invert_curve(sizes, values, wanted=held.mean)
        drawn = np.array(
            [
                invert_curve(sizes, curve, wanted=float(wanted))
                for curve, wanted in zip(curves, held.replicates, strict=True)
            ]
        )
        low, high = compute_ends(drawn, confidence)
        result.append(
            Saving(
                arm=cell.arm,
                fraction=cell.fraction,
                n_subjects=cell.n_subjects,
                needed=_as_number(needed),
                low=_as_number(low),
                high=_as_number(high),
                is_at_most=needed <= sizes[0],
                share_not_reached=float(np.isinf(drawn).mean()),
            )
        )
    return result


def _as_number(value: float) -> float | None:
    """Return a number of subjects; none where it is never reached."""
    return value if np.isfinite(value) else None
