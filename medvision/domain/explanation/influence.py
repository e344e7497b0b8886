"""Which train subjects stand beside an explained image: the nearest, and the influential."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["nearest", "raised", "lowered"]

Scores = NDArray[np.float64]
"""(M,) float64: of each train image its distance, or its influence on one image's loss."""


@dataclass(frozen=True)
class Ranked:
    """One train image beside an explained one.

    Args:
        kind: nearest by the network's features; raised or lowered the loss.
        rank: 1 for the first of its kind.
        position: Of the train image among all.
        score: Its distance in standard deviations; or its influence in nats, below 0 where it
            raised the loss.
    """

    kind: Kind
    rank: int
    position: int
    score: float


def choose_epochs(n_epochs: int, n_kept: int) -> tuple[int, ...]:
    """Choose after which epochs a checkpoint is kept: the middles of equal parts of the training.

    Middles and not ends, so that each stands for its part, and the last is not where a falling
    learning rate is next to nothing.

    Args:
        n_epochs: Most epochs of the training, at least 1.
        n_kept: Checkpoints wanted; 0 gives none, and more than there are epochs gives all.

    Returns:
        Epochs from 1, rising, none twice.
    """
    n_parts = min(n_kept, n_epochs)
    return tuple(-(-(2 * part + 1) * n_epochs // (2 * n_parts)) for part in range(n_parts))


def rank_train(
    distances: Scores, influence: Scores | None, *, subjects: Sequence[str], n_most: int
) -> list[Ranked]:
    """Name the train images that stand beside an explained one, one of each subject and kind.

    An image that did not move the loss stands under neither kind. Of equal ones the first counts.

    Args:
        distances: (M,) from the explained image.
        influence: (M,) sums of TracIn, above 0 where the image lowered the loss; None where it is
            not known.
        subjects: Subject of each train image, M names.
        n_most: Images of each kind, at most.

    Returns:
        By kind and rank.
    """
    held: dict[Kind, tuple[Scores, int]] = {"nearest": (distances, 1)}
    if influence is not None:
        held |= {"raised": (influence, 1), "lowered": (influence, -1)}
    return [
        Ranked(kind, rank, position, float(scores[position]))
        for kind, (scores, sign) in held.items()
        for rank, position in enumerate(
            _choose_first(sign * scores, kind=kind, subjects=subjects, n_most=n_most), 1
        )
    ]


def _choose_first(scores: Scores, *, kind: Kind, subjects: Sequence[str], n_most: int) -> list[int]:
    """Return the positions with the smallest scores, the smallest first, one of each subject."""
    chosen: dict[str, int] = {}
    for position in map(int, np.argsort(scores, kind="stable")):
        if len(chosen) == n_most or (kind != "nearest" and scores[position] >= 0):
            break
        chosen.setdefault(subjects[position], position)
    return list(chosen.values())
