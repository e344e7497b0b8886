"""What trainings on shares of a fold's subjects have alike, of the scorecard and the ablation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from medvision.cli._run import Step
from medvision.cli._scorecard.fit import Table
from medvision.cli._scorecard.tables import SUBSET_COLUMNS
from medvision.cli._training.learning import LearningData
from medvision.domain.scorecard.subsets import (
    Subset,
    check_nested,
    check_train_only,
    choose_subsets,
)
from medvision.domain.split import Assignment
from medvision.errors import ConfigError
from medvision.io.tables import Cell, write_table

Subsets = dict[int, tuple[Subset, ...]]
"""Seed to the subjects of each share."""


def check_fold(fold: int, chosen: Sequence[int], *, section: str) -> None:
    """Refuse a fold on which nothing is to be trained.

    Args:
        fold: The one that was asked for.
        chosen: Those of the study's folds that the section takes.
        section: Of the configuration, for the message.

    Raises:
        ConfigError: It is another one.
    """
    if fold not in chosen:
        raise ConfigError(
            f"--fold: fold must be one of the {section}'s, got {fold}.",
            f"folds count from 0; with {section}.folds first there is fold 0 alone.",
        )


def choose_shares(
    data: LearningData,
    groups: Mapping[str, str],
    *,
    fold: int,
    fractions: Sequence[float],
    seeds: Iterable[int],
    purpose: str,
) -> Subsets:
    """Choose shares of a fold's train subjects for each seed, each within every larger one.

    Args:
        data: Of the study.
        groups: image_id to the group of subjects that is chosen as one.
        fold: The fold; none of its other subjects is ever chosen.
        fractions: Shares, each above 0 and at most 1.
        seeds: Of the trainings.
        purpose: What is drawn for: others draw otherwise.
    """
    own = [item for item in data.assignments if item.fold == fold]
    result = {}
    for seed in seeds:
        result[seed] = choose_subsets(
            data.select(fold, "train"),
            groups,
            fractions=fractions,
            purpose=f"{purpose}/{fold}/{seed}",
        )
        for subset in result[seed]:
            check_train_only(subset.subjects, own)
    return result


def check_shares(
    shares: Mapping[float, Sequence[str]], assignments: Sequence[Assignment], *, fold: int
) -> None:
    """Check once more, from files, that shares are nested and hold train subjects alone.

    Args:
        shares: Share to its subjects, of one seed.
        assignments: Of all folds.
        fold: The one that was trained on.

    Raises:
        CohortError: A share is not within a larger one, or holds a subject of another split.
    """
    check_nested(shares, fold=fold)
    own = [item for item in assignments if item.fold == fold]
    for subjects in shares.values():
        check_train_only(subjects, own)


def write_trainings(
    step: Step, tables: Mapping[str, tuple[Table, Sequence[str]]], *, subsets: Subsets, fold: int
) -> None:
    """Write what came of a job's trainings, and which subjects each was on.

    Args:
        step: The running step.
        tables: Rows and columns by name.
        subsets: Who was trained on.
        fold: The job's.

    Raises:
        StorageError: The output folder cannot be written.
    """
    members: Table = [
        {"fold": fold, "seed": seed, "fraction": subset.fraction, "subject": name}
        for seed, shares in subsets.items()
        for subset in shares
        for name in subset.subjects
    ]
    for name, (rows, columns) in {**tables, "subsets": (members, SUBSET_COLUMNS)}.items():
        path = step.write(step.layout.table(step.name, name))
        write_table(path, cast(list[dict[str, Cell]], rows), columns=columns)
