"""Memorisation: synthetic images nearer to a train image than real subjects are to each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.likeness.search import find_look_alikes
from medvision.domain.metrics.calibration import compute_wilson
from medvision.domain.prediction import Indices
from medvision.domain.synthesis.criterion import (
    DESCRIBED,
    PASSED,
    REFUSED,
    UNDECIDED,
    Criterion,
    Refusal,
    find_ends,
)
from medvision.domain.synthesis.sample import Distances, Rules

COPIES = "share of copies"
"""Statistic of the criterion that counts them."""

LOOK_ALIKES = "look-alikes"
"""Space in which the detail of thumbnails is compared."""

_NAME = "memorisation"


@dataclass(frozen=True)
class Nearness:
    """How near synthetic images lie to train images, and these to each other.

    Args:
        space: Features, or `pixels`.
        cross: (M, N) distance of each synthetic image from each train image.
        own: (N, N) distances between train images.
        clusters: (N,) whom each train image is of.
    """

    space: str
    cross: Distances
    own: Distances
    clusters: Indices


def judge_copies(near: Nearness, rules: Rules) -> tuple[list[Criterion], list[Refusal]]:
    """Find synthetic images that lie nearer to a train image than any two real subjects do.

    Each such image is refused. Of images of new subjects a few lie so too: among n subjects and a
    new one the nearest pair holds the new one with chance 2 / (n + 1). Where more are near copies
    than chance explains (`find_most`), the generator as a whole is refused.

    Args:
        near: Distances.
        rules: How to judge.

    Returns:
        (criteria, refused images).

    Source:
        none: own definition; nearest neighbours as a check of memorisation as in many works, held
        against real ones as in Meehan et al. 2020, arXiv:2004.05675.
    """
    is_other = near.clusters[:, None] != near.clusters[None]
    if not is_other.any():
        why = "train images of one subject alone"
        return [_give_up(near.space, len(near.cross), why)], []
    between = np.where(is_other, near.own, np.inf)
    limit = float(between.min())
    nearest = near.cross.min(axis=1)
    described = _describe(near, nearest, between.min(axis=1), rules=rules)
    if limit <= 0:
        why = "train images of two subjects are equal, so that no distance is too small"
        return [_give_up(near.space, len(near.cross), why), described], []
    found = np.flatnonzero(nearest < limit)
    refused = [
        Refusal(
            image,
            f"{_name_refusal(near.space)}: {nearest[image]:.3g} from train image "
            f"{int(near.cross[image].argmin())}, real subjects are at least {limit:.3g} apart",
        )
        for image in found.tolist()
    ]
    n_subjects = len(np.unique(near.clusters))
    source = f"smallest distance between train images of {n_subjects} subjects, {limit:.3g}"
    criterion = _count(
        len(found),
        len(nearest),
        n_subjects=n_subjects,
        space=near.space,
        source=source,
        rules=rules,
    )
    return [criterion, described], refused


def judge_look_alikes(
    train: NDArray[np.uint8],
    synthetic: NDArray[np.uint8],
    *,
    clusters: Indices,
    rules: Rules,
) -> tuple[list[Criterion], list[Refusal]]:
    """Find synthetic images that show a train image, turned, flipped, cropped or brighter.

    What counts as one image agrees more in its detail than `rules.similarity`, and more than any
    two train images of different subjects do. Where two of these agree in full nothing agrees
    more, and the criterion is undecided. What is equal to a refused image is refused with it.

    Args:
        train: (N, 64, 64) or (N, 32, 32, 32) thumbnails of `build_thumbnail`.
        synthetic: (M, ...) of the synthetic images.
        clusters: (N,) whom each train image is of.
        rules: How to judge.

    Returns:
        (criteria, refused images).

    Source:
        none: own method, of `likeness`.
    """
    n_train = len(train)
    limit, pairs = rules.similarity, []
    for pair in find_look_alikes(np.concatenate([train, synthetic]), similarity=rules.similarity):
        if pair.first < n_train <= pair.second:
            pairs.append(pair)
        elif pair.second < n_train and clusters[pair.first] != clusters[pair.second]:
            limit = max(limit, pair.similarity)
    if limit >= 1:
        why = "train images of two subjects show the same, so that no agreement is too much"
        return [_give_up(LOOK_ALIKES, len(synthetic), why)], []
    best: dict[int, Refusal] = {}
    for pair in sorted(pairs, key=lambda own: -own.similarity):
        if pair.similarity > limit or limit == rules.similarity:
            image = pair.second - n_train
            said = f"{_name_refusal(LOOK_ALIKES)}: shows train image {pair.first}"
            found = f"{pair.alteration} (agreement {pair.similarity:.2f})"
            best.setdefault(image, Refusal(image, f"{said}, {found}"))
    refused = _pass_on(best, synthetic)
    n_subjects = len(np.unique(clusters))
    criterion = _count(
        len(refused),
        len(synthetic),
        n_subjects=n_subjects,
        space=LOOK_ALIKES,
        source=f"agreement of detail above {limit:.2f}, the most that {n_subjects} train subjects "
        "have with each other or what counts as one image",
        rules=rules,
    )
    return [criterion], refused


def _pass_on(best: dict[int, Refusal], synthetic: NDArray[np.uint8]) -> list[Refusal]:
    """Refuse what is equal to a refused image: of equal thumbnails the first alone is searched."""
    equal = {synthetic[image].tobytes(): own.reason for image, own in best.items()}
    refused = []
    for image, thumbnail in enumerate(synthetic):
        if image in best:
            refused.append(best[image])
        elif thumbnail.tobytes() in equal:
            refused.append(Refusal(image, equal[thumbnail.tobytes()]))
    return refused


def count_copies(reasons: Sequence[str], *, space: str) -> int:
    """Return how many images are refused as copies in one space.

    Args:
        reasons: Of each image, as a gate's table has them; "" where it is accepted.
        space: As a criterion names it.
    """
    start = f"{_name_refusal(space)}: "
    return sum(any(own.startswith(start) for own in text.split("; ")) for text in reasons)


def _name_refusal(space: str) -> str:
    """Return what the reason of an image that is a copy begins with."""
    return "look-alike" if space == LOOK_ALIKES else f"near copy in {space}"


def find_most(n_images: int, n_subjects: int, *, level: float) -> int:
    """Return how many of so many new images may lie nearer to the train subjects than those do.

    How small the smallest of all distances is, is itself chance: the number of pairs expected
    below it has an exponential law of mean 1. A new image so lies below it with chance 2 / (n - 1)
    times such a number, which all new images share, and their count has a geometric law.

    Args:
        n_images: Synthetic images.
        n_subjects: Train subjects, at least 2.
        level: Chance with which images of new subjects are within the count.

    Returns:
        The smallest count k with P(more than k) at most 1 - `level`; at most `n_images`.

    Source:
        none: own definition; the closest of many pairs as in Silverman and Brown 1978,
        doi:10.2307/3213434.
    """
    mean = 2 * n_images / (n_subjects - 1)
    most = math.ceil(math.log(1 - level) / math.log(mean / (1 + mean)) - 1 - 1e-9)
    return min(n_images, max(0, most))


def _count(
    n_found: int, n_images: int, *, n_subjects: int, space: str, source: str, rules: Rules
) -> Criterion:
    """Judge how many images are copies."""
    most = find_most(n_images, n_subjects, level=rules.level)
    low, high = compute_wilson(n_found / n_images, n_images, confidence=rules.confidence)
    said = f"{n_found} of {n_images} images are copies of train images, chance allows {most}"
    verdict = REFUSED if n_found > most else PASSED
    if most >= n_images:
        verdict, said = UNDECIDED, f"{said}: too few train subjects to tell"
    return Criterion(
        criterion=_NAME,
        space=space,
        statistic=COPIES,
        value=n_found / n_images,
        low=low,
        high=high,
        n=n_images,
        comparator=min(1.0, 2 / (n_subjects + 1)),
        threshold=most / n_images,
        source=source,
        verdict=verdict,
        reason=said,
    )


def _describe(
    near: Nearness, nearest: NDArray[np.float64], real: NDArray[np.float64], *, rules: Rules
) -> Criterion:
    """Tell how near the images lie as a whole, without a verdict."""
    low, high = find_ends(nearest, rules.confidence)
    return Criterion(
        criterion=_NAME,
        space=near.space,
        statistic="median distance from the nearest train image",
        value=float(np.median(nearest)),
        low=low,
        high=high,
        n=len(nearest),
        comparator=float(np.median(real)),
        threshold=float("nan"),
        source="the same of train images, from the nearest of another subject; the interval is the "
        "middle of all images",
        verdict=DESCRIBED,
        reason="membership and the share of copies decide",
    )


def _give_up(space: str, n_images: int, why: str) -> Criterion:
    """Say why copies cannot be told."""
    nan = float("nan")
    return Criterion(
        *(_NAME, space, COPIES, nan, nan, nan),
        *(n_images, nan, nan, "train images", UNDECIDED, why),
    )
