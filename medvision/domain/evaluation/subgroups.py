"""Figures of subgroups of the test subjects, and their gaps to all others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import (
    Flags,
    Replicates,
    compute_auc,
    compute_mean,
    compute_squared_errors,
)
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, Draws, draw_statistics, find_ends, join_drawn
from medvision.domain.resampling.settings import Settings
from medvision.errors import ConfigError

Variables = Mapping[str, Mapping[str, str]]
"""image_id to column and cell, as the cohort has them."""

UNKNOWN = "not known"
"""The subgroup of images whose cell is empty."""

MOST_VALUES = 12
"""A column with more values is no grouping."""

_MISSING = frozenset({"", "n/a"})


@dataclass(frozen=True)
class SubgroupFigure:
    """One figure of one arm on one subgroup, and its gap: subgroup minus all others.

    Values and ends are None where they are undefined; `method` says why, or how they were made.
    `warning` is empty where the subgroup has as many subjects as are asked for.
    """

    arm: str
    variable: str
    subgroup: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    gap: float | None
    gap_low: float | None
    gap_high: float | None
    n_images: int
    n_subjects: int
    n_positive: int | None
    warning: str
    method: str


@dataclass(frozen=True)
class _Group:
    """The images of one value of one column."""

    variable: str
    name: str
    inside: Flags


def compute_subgroups(
    arms: Mapping[str, ArmTest], variables: Variables, *, settings: Settings
) -> tuple[SubgroupFigure, ...]:
    """Compute the main figures on each subgroup, on common resamples of subjects.

    Two classes: auc, sensitivity, specificity, brier; more: auc_macro, balanced_accuracy, brier.

    Args:
        arms: Name to test predictions.
        variables: Of every test image.
        settings: Settings of the statistics; `subgroups` names the columns.

    Returns:
        Figures in order of arm, column, value and figure; none where no column is named.

    Raises:
        ConfigError: A column is missing, or has more values than a grouping can have.
    """
    groups = _list_groups(
        next(iter(arms.values())).rounds[0].image_ids, variables, settings=settings
    )
    if not groups:
        return ()
    drawn = _draw(arms, groups, settings=settings)
    figures = []
    for arm, held in arms.items():
        for n, group in enumerate(groups):
            own, rest = (drawn.arms[_name(arm, n, is_rest=side)] for side in (False, True))
            figures += [
                _build(
                    held,
                    group,
                    names=(arm, metric),
                    draws=(own[metric], rest[metric]),
                    of=drawn,
                    settings=settings,
                )
                for metric in own
            ]
    return tuple(figures)


def _list_groups(
    image_ids: Sequence[str], variables: Variables, *, settings: Settings
) -> list[_Group]:
    """Return the subgroups of every column."""
    groups = []
    for column in settings.subgroups:
        cells = [variables.get(name, {}).get(column) for name in image_ids]
        if any(cell is None for cell in cells):
            raise ConfigError(
                f"evaluate.subgroups: must name columns of the labels, got {column}.",
                "cohort/cohort.tsv has the columns that were kept, the user's last.",
            )
        values = np.array([UNKNOWN if cell in _MISSING else str(cell) for cell in cells])
        names = sorted(set(values.tolist()), key=lambda name: (name == UNKNOWN, name))
        if len(names) > MOST_VALUES:
            raise ConfigError(
                f"evaluate.subgroups: column must have at most {MOST_VALUES} values, got "
                f"{len(names)} in {column}.",
                "add a column of ranges, such as 40-59, to the labels.",
            )
        groups += [_Group(column, name, values == name) for name in names]
    return groups


def _name(arm: str, n: int, *, is_rest: bool) -> str:
    """Name the statistics of one group, or of all others."""
    return f"{arm}/{n}/{is_rest}"


def _draw(arms: Mapping[str, ArmTest], groups: Sequence[_Group], *, settings: Settings) -> Drawn:
    """Resample the figures of each group, and of all others.

    As with those of all images: what owes to the shares of the classes is drawn with other shares.
    """
    first = next(iter(arms.values()))
    parts = [
        draw_statistics(
            {
                _name(arm, n, is_rest=is_rest): partial(compute, held, group.inside ^ is_rest)
                for arm, held in arms.items()
                for n, group in enumerate(groups)
                for is_rest in (False, True)
            },
            first.clusters,
            folds=first.folds,
            labels=labels,
            settings=settings,
        )
        for compute, labels in (
            (_compute_main, first.labels),
            (_compute_brier, np.zeros_like(first.labels)),
        )
    ]
    return join_drawn(
        parts, order=[name for part in parts for name in next(iter(part.arms.values()))]
    )


def _compute_brier(arm: ArmTest, inside: Flags, weights: Weights) -> dict[str, Replicates]:
    """Compute the Brier score of the images flagged."""
    everyone = np.ones(len(inside), dtype=bool)
    errors = [compute_squared_errors(each.probabilities, arm.labels) for each in arm.rounds]
    return {"brier": compute_mean(np.mean(errors, axis=0), everyone, weights=weights * inside)}


def _compute_main(arm: ArmTest, inside: Flags, weights: Weights) -> dict[str, Replicates]:
    """Compute the other main figures of the images flagged."""
    own = weights * inside
    indices = range(len(arm.classes)) if arm.positive is None else [arm.positive]
    areas = [
        compute_auc(each.scores[:, index], arm.is_class(index), folds=each.folds, weights=own)
        for each in arm.rounds
        for index in indices
    ]
    recalls = [
        compute_mean(arm.hit_rates(index), arm.is_class(index), weights=own)
        for index in range(len(arm.classes))
    ]
    area = np.mean(areas, axis=0)
    if arm.positive is None:
        balanced = np.mean(recalls, axis=0)
        return {"auc_macro": area, "balanced_accuracy": balanced}
    found = {"sensitivity": recalls[arm.positive], "specificity": recalls[1 - arm.positive]}
    return {"auc": area, **found}


def _build(
    arm: ArmTest,
    group: _Group,
    *,
    names: tuple[str, str],
    draws: tuple[Draws, Draws],
    of: Drawn,
    settings: Settings,
) -> SubgroupFigure:
    """Put one figure of one subgroup together."""
    least = settings.smallest_subgroup
    value, low, high, how = _find(draws[0], of)
    gap, gap_low, gap_high, gap_how = _find(draws[0].minus_others(draws[1]), of)
    subjects = {
        name for name, held in zip(arm.rounds[0].subjects, group.inside, strict=True) if held
    }
    positive = None if arm.positive is None else int(arm.is_class(arm.positive)[group.inside].sum())
    return SubgroupFigure(
        arm=names[0],
        variable=group.variable,
        subgroup=group.name,
        metric=names[1],
        value=value,
        low=low,
        high=high,
        gap=gap,
        gap_low=gap_low,
        gap_high=gap_high,
        n_images=int(group.inside.sum()),
        n_subjects=len(subjects),
        n_positive=positive,
        warning=f"fewer than {least} subjects" if len(subjects) < least else "",
        method=f"{how}; gap to all others: {gap_how}",
    )


def _find(draws: Draws, of: Drawn) -> tuple[float | None, float | None, float | None, str]:
    """Return a value with its interval, as far as there are any, and how, or why not."""
    if np.isnan(draws.value):
        return None, None, None, "undefined, a class is absent here or there"
    if not draws.is_kept:
        return draws.value, None, None, draws.say_lost()
    if not draws.is_moving:
        how = "every resample agrees" if draws.are_sides_moving else "one side does not move"
        return draws.value, None, None, f"no interval, {how}"
    return draws.value, *find_ends(draws, of)
