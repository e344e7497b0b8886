"""Quality and diversity: synthetic images against real ones, as far as two real halves are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.prediction import Indices
from medvision.domain.synthesis.criterion import (
    DESCRIBED,
    PASSED,
    REFUSED,
    UNDECIDED,
    Criterion,
    find_ends,
)
from medvision.domain.synthesis.frechet import compute_fid, is_enough
from medvision.domain.synthesis.halves import draw_halves
from medvision.domain.synthesis.kernel import compute_kernel, compute_kid
from medvision.domain.synthesis.manifold import compute_coverage, compute_reach, compute_width
from medvision.domain.synthesis.sample import Rows, Rules, Space, compute_distances

_KID, _FID, _PRECISION, _RECALL = "KID", "FID", "precision", "recall"
_KINDS = {_KID: "quality", _FID: "quality", _PRECISION: "quality", _RECALL: "diversity"}
_IS_MORE_WORSE = {_KID: True, _FID: True}
_WIDTH = "width of class"

Values = dict[str, float]
"""Statistic to its value, of one pair of samples."""


@dataclass(frozen=True)
class _Matrix:
    """All images of a space in one order, with their kernels and distances."""

    features: Rows
    kernel: NDArray[np.float64]
    distances: NDArray[np.float64]
    labels: Indices
    clusters: Indices


def judge_quality(space: Space, *, classes: tuple[str, ...], rules: Rules) -> list[Criterion]:
    """Hold synthetic images against one half of the real ones, as the other half is held.

    Kernel distance, Frechet distance and precision ask whether they look real; recall, and how far
    two images of a class lie apart, ask whether they are as varied. Each is computed of many
    halves; the generator is refused where the middle value is worse than all but the last
    percent (`rules.level`) of what two real samples show between them.

    Args:
        space: Standardised features.
        classes: Class names in order.
        rules: How to judge.

    Returns:
        One row for each statistic; each class of which images were drawn has its own width.
    """
    order = _join(space)
    n_train, n_made = len(space.train), len(space.synthetic)
    real_from = n_train + n_made if space.is_trained else 0
    made: list[Values] = []
    real: list[Values] = []
    size = 0
    for draw in draw_halves(space, rules):
        for found, other in (
            (real, draw.real + real_from),
            (made, draw.synthetic + n_train),
        ):
            found.append(_compare(order, draw.half, other, classes=classes, rules=rules))
        size = max(size, len(draw.real))
    drawn = [name for n, name in enumerate(classes) if (space.synthetic.labels == n).any()]
    names = [*_KINDS, *(f"{_WIDTH} {name}" for name in drawn)]
    is_fid_sound = is_enough(size, space.train.features.shape[1])
    return [
        _judge(
            space,
            name,
            made=np.array([own.get(name, np.nan) for own in made]),
            real=np.array([own.get(name, np.nan) for own in real]),
            rules=rules,
            is_described=name == _FID and not is_fid_sound,
        )
        for name in names
    ]


def _join(space: Space) -> _Matrix:
    """Put train, synthetic and, where they are needed, validation images in one order."""
    parts = [space.train, space.synthetic, *([space.validation] if space.is_trained else [])]
    features = np.concatenate([own.features for own in parts])
    start, clusters = 0, []
    for own in parts:
        _, index = np.unique(own.clusters, return_inverse=True)
        clusters.append(index.reshape(-1) + start)
        start += len(own)
    return _Matrix(
        features,
        compute_kernel(features, features),
        compute_distances(features, features),
        np.concatenate([own.labels for own in parts]),
        np.concatenate(clusters),
    )


def _compare(
    order: _Matrix, half: Indices, other: Indices, *, classes: tuple[str, ...], rules: Rules
) -> Values:
    """Compute all statistics of another sample held against a half."""
    if not len(half) or not len(other):
        return {}
    whose, others = order.clusters[half], order.clusters[other]
    cross = order.distances[np.ix_(other, half)]
    own, within = order.distances[np.ix_(half, half)], order.distances[np.ix_(other, other)]
    k = rules.n_neighbours
    values = {
        _KID: compute_kid(
            order.kernel[np.ix_(half, half)],
            order.kernel[np.ix_(other, other)],
            order.kernel[np.ix_(half, other)],
            first_clusters=whose,
            second_clusters=others,
        ),
        _FID: compute_fid(order.features[half], order.features[other]),
        _PRECISION: compute_coverage(cross, compute_reach(own, whose, n_neighbours=k)),
        _RECALL: compute_coverage(cross.T, compute_reach(within, others, n_neighbours=k)),
    }
    for index, name in enumerate(classes):
        here, there = order.labels[half] == index, order.labels[other] == index
        base = compute_width(own[np.ix_(here, here)], whose[here])
        width = compute_width(within[np.ix_(there, there)], others[there])
        values[f"{_WIDTH} {name}"] = width / base if base > 0 else float("nan")
    return values


def _judge(
    space: Space,
    name: str,
    *,
    made: NDArray[np.float64],
    real: NDArray[np.float64],
    rules: Rules,
    is_described: bool,
) -> Criterion:
    """Hold the middle value of the synthetic images against the real ones' own."""
    is_more_worse = _IS_MORE_WORSE.get(name, False)
    held, known = real[np.isfinite(real)], made[np.isfinite(made)]
    is_known = 2 * len(held) > len(real) and 2 * len(known) > len(made)
    value = threshold = comparator = float("nan")
    if is_known:
        value, comparator = float(np.median(known)), float(np.median(held))
        threshold = float(np.quantile(held, rules.level if is_more_worse else 1 - rules.level))
    is_worse = value > threshold if is_more_worse else value < threshold
    low, high = find_ends(made, rules.confidence)
    verdict = REFUSED if is_worse else PASSED
    reason = _say(name, value, threshold, is_worse=is_worse)
    if is_described:
        verdict, reason = DESCRIBED, "not more images than features: the kernel distance decides"
    if not is_known:
        verdict, reason = UNDECIDED, "too few images or subjects to compute it"
    pool = "validation images" if space.is_trained else "the other half of the train subjects"
    return Criterion(
        criterion=_KINDS.get(name, "diversity"),
        space=space.name,
        statistic=name,
        value=value,
        low=low,
        high=high,
        n=len(space.synthetic),
        comparator=comparator,
        threshold=threshold,
        source=f"{pool} against one half of the train subjects, {rules.n_repeats} times; "
        f"{rules.level:g} quantile on the worse side",
        verdict=verdict,
        reason=reason,
    )


def _say(name: str, value: float, threshold: float, *, is_worse: bool) -> str:
    """Say in words what a value means."""
    figures = f"{value:.3g}, limit {threshold:.3g}"
    said = {
        _KID: ("lie farther from real images than real images from each other", "lie as near"),
        _FID: ("lie farther from real images than real images from each other", "lie as near"),
        _PRECISION: ("lie where no real image is near more often than real ones do", "look real"),
        _RECALL: ("leave out more of what real images show than real ones do", "are as varied"),
    }
    worse, fine = said.get(name, ("of this class are more alike than real ones", "are as varied"))
    return f"synthetic images {worse if is_worse else fine} ({figures})"
