"""Which images are looked at again, and by the networks of which trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from medvision.domain.arms import is_ensemble
from medvision.explain.case import Case
from medvision.explain.outcomes import Prediction

NOISE_DRAWS = 2
"""Of the image of each case before its own network."""

Kind = Literal["own", "other_seed", "other_fold"]


@dataclass(frozen=True)
class Bounds:
    """How much is looked at again; the fields of the configuration by the same names."""

    stability_images: int
    stability_networks: int
    stability_noise: float
    cascade_images: int


@dataclass(frozen=True)
class Visit:
    """One image before one network.

    Args:
        place: The case's place in the selection.
        case: The case, with fold and seed of the network that is visited.
        kind: The network that tested the case, or what it differs in from that one.
        split: Part in which that network had the subject: train, validation or test.
    """

    place: int
    case: Case
    kind: Kind
    split: str


def plan_visits(
    cases: Sequence[Case], predictions: Sequence[Prediction], *, bounds: Bounds
) -> list[Visit]:
    """Return who is shown to whom, sorted by network and then by the order of the selection.

    The first images of the selection are taken, whose order was drawn by seed. Each is shown to
    its own network, and to at most `stability_networks` trained with another seed on the same
    fold, and as many trained on another fold with the same seed: first those that never saw the
    subject, which repeats of the folds have, then those that follow its own fold.

    Args:
        cases: The selection.
        predictions: Rows with arm, fold, seed, split and image_id.
        bounds: How many images and networks.
    """
    n_own = max(bounds.stability_images, bounds.cascade_images)
    visits = [Visit(n, case, "own", "test") for n, case in enumerate(cases[:n_own])]
    # An ensemble is a mean of probabilities and no network: it has no seed, and no row counts here.
    rows = [row for row in predictions if not is_ensemble(row["arm"])]
    splits = {
        (row["arm"], int(row["fold"]), int(row["seed"]), row["image_id"]): row["split"]
        for row in rows
    }
    trained = {(int(row["fold"]), int(row["seed"])) for row in rows if _is_of(row, cases)}
    for place, case in enumerate(cases[: bounds.stability_images]):
        visits += _visit_others(place, case, trained=trained, splits=splits, bounds=bounds)
    return sorted(visits, key=lambda v: (v.case.arm, v.case.fold, v.case.seed, v.place))


def pair_neighbours(ring: Sequence[str]) -> list[tuple[str, str]]:
    """Return each image with the next one, the last with the first; of two there is one pair.

    Args:
        ring: Images.
    """
    n_pairs = len(ring) if len(ring) > 2 else max(0, len(ring) - 1)
    return list(zip(ring, [*ring[1:], *ring[:1]], strict=True))[:n_pairs]


def _is_of(row: Prediction, cases: Sequence[Case]) -> bool:
    """Say whether a row is of the arm that is explained."""
    return row["arm"] == cases[0].arm


def _visit_others(
    place: int,
    case: Case,
    *,
    trained: set[tuple[int, int]],
    splits: Mapping[tuple[str, int, int, str], str],
    bounds: Bounds,
) -> list[Visit]:
    """Return the visits of one case to networks that are not its own."""
    n, n_folds = bounds.stability_networks, 1 + max(fold for fold, _ in trained)
    seeds = sorted(s for fold, s in trained if fold == case.fold and s != case.seed)
    folds = [fold for fold, s in trained if fold != case.fold and s == case.seed]

    def name_split(fold: int, seed: int) -> str:
        # What a network was trained on is not predicted by it.
        return splits.get((case.arm, fold, seed, case.image_id), "train")

    folds.sort(
        key=lambda fold: (name_split(fold, case.seed) != "test", (fold - case.fold) % n_folds)
    )
    others: list[tuple[Kind, int, int]] = [("other_seed", case.fold, s) for s in seeds[:n]]
    others += [("other_fold", fold, case.seed) for fold in folds[:n]]
    return [
        Visit(place, replace(case, fold=fold, seed=seed), kind, name_split(fold, seed))
        for kind, fold, seed in others
    ]
