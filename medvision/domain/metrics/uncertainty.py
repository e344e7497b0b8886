"""How uncertain a prediction is: entropy, distance from the threshold, disagreement of seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.domain.arms import base_arm, is_ensemble
from medvision.domain.metrics.operating import FoldThreshold
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.weighted import Flags, Scalars
from medvision.domain.prediction import Predictions

_EDGE = 1e-12
"""Thresholds at 0 or above 1 are taken this far inside, so that a distance from them is finite."""


@dataclass(frozen=True)
class ImageUncertainty:
    """How sure an arm's networks were of one test image.

    Args:
        arm: Arm.
        image_id: The image.
        subject: Its subject.
        label: Its class.
        predicted: The class that most of its networks predict, each at its own threshold; of
            equally many the more probable.
        most_probable: The class of the largest mean probability, whatever the thresholds.
        probability: That mean probability.
        entropy: Of the mean probability over seeds, as a share of that of an even split: 0 to 1.
        disagreement: That entropy minus the mean of the single networks'; None of one seed.
        sd: Standard deviation over seeds of the probability of the positive class, or of the most
            probable; None of one seed.
        margin: Mean distance of the log-odds from the threshold's; None of more than two classes.
        error_rate: Share of the networks that predict another class than the label.
        n_networks: Networks that tested the image.
    """

    arm: str
    image_id: str
    subject: str
    label: str
    predicted: str
    most_probable: str
    probability: float
    entropy: float
    disagreement: float | None
    sd: float | None
    margin: float | None
    error_rate: float
    n_networks: int


@dataclass(frozen=True)
class RoundUncertainty:
    """What one round of an arm says of N images.

    Args:
        each: Its predictions.
        wrong: (N,) whether the predicted class is not the label.
        entropy: (N,) of its own probabilities, 0 to 1.
        pooled: (N,) entropy of the mean probability over seeds; of an ensemble its own.
        disagreement: (N,) of the seeds; None of one seed.
        sd: (N,) over the seeds; None of one seed.
        margin: (N,) distance from the threshold in log-odds; None of more than two classes.
        n_networks: Networks that predicted together.
    """

    each: Predictions
    wrong: Flags
    entropy: Scalars
    pooled: Scalars
    disagreement: Scalars | None
    sd: Scalars | None
    margin: Scalars | None
    n_networks: int

    @property
    def certainties(self) -> dict[str, Scalars]:
        """By what images can be ordered, more being more certain; the first is the main one."""
        held = {
            "margin": self.margin,
            "entropy": -self.entropy,
            "disagreement": None if self.disagreement is None else -self.disagreement,
            "distance": None if self.each.novelty is None else -self.each.novelty.distances,
        }
        return {name: values for name, values in held.items() if values is not None}


def compute_entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the entropy of probabilities (..., C), as a share of that of an even split.

    Args:
        probabilities: Sum to 1 over the last axis, C at least 2.

    Returns:
        (...,) from 0, one class is certain, to 1, all are equally probable.

    Source:
        Shannon 1948, doi:10.1002/j.1538-7305.1948.tb01338.x, divided by ln C.
    """
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    entropy: NDArray[np.float64] = -(probabilities * logs).sum(axis=-1)
    shares: NDArray[np.float64] = np.clip(entropy / np.log(probabilities.shape[-1]), 0.0, 1.0)
    return shares


def compute_disagreement(members: NDArray[np.float64]) -> Scalars:
    """Compute how far networks contradict each other: a mutual information.

    Args:
        members: (S, N, C) probabilities of S networks.

    Returns:
        (N,) entropy of the mean minus mean of the entropies, in the unit of `compute_entropy`: 0
        where all agree, whether they are sure or not.

    Source:
        Depeweg et al. 2018, arXiv:1710.07283 (decomposition of uncertainty); of networks of
        several seeds, Lakshminarayanan et al. 2017, arXiv:1612.01474.
    """
    gap = compute_entropy(members.mean(axis=0)) - compute_entropy(members).mean(axis=0)
    disagreement: Scalars = np.maximum(gap, 0.0)
    return disagreement


def describe_certainty(
    name: str, arms: Mapping[str, ArmTest], *, thresholds: Sequence[FoldThreshold]
) -> tuple[RoundUncertainty, ...]:
    """Describe how sure each round of an arm is of each test image.

    Args:
        name: The arm. The disagreement of an ensemble is that of its members.
        arms: All arms, with its members.
        thresholds: Of all models.
    """
    arm = arms[name]
    limits = {
        (held.fold, held.seed): held.threshold.value for held in thresholds if held.arm == name
    }
    members = arms.get(base_arm(name), arm)
    found = []
    for n, each in enumerate(arm.rounds):
        probabilities = _list_members(members, each)
        told = _describe_networks(arm, probabilities)
        is_pool = is_ensemble(name)
        mean = each.probabilities if is_pool else probabilities.mean(axis=0)
        found.append(
            RoundUncertainty(
                each=each,
                wrong=arm.predicted[n] != each.labels,
                entropy=compute_entropy(each.probabilities),
                pooled=compute_entropy(mean),
                disagreement=told[0],
                sd=told[1],
                margin=_compute_margin(arm, n, limits=limits),
                n_networks=len(probabilities) if is_pool else 1,
            )
        )
    return tuple(found)


def _list_members(arm: ArmTest, each: Predictions) -> NDArray[np.float64]:
    """Return the probabilities (S, N, C) of all seeds that were trained on the same images."""
    same = [held for held in arm.rounds if np.array_equal(held.trainings, each.trainings)]
    return np.stack([held.probabilities for held in same])


def _describe_networks(
    arm: ArmTest, members: NDArray[np.float64]
) -> tuple[Scalars | None, Scalars | None]:
    """Return the disagreement of networks and their standard deviation; nothing of a single one."""
    if len(members) < 2:
        return None, None
    mean = members.mean(axis=0)
    column = mean.argmax(axis=1) if arm.positive is None else np.full(len(mean), arm.positive)
    told = members[:, np.arange(len(mean)), column]
    return compute_disagreement(members), told.std(axis=0, ddof=1)


def _compute_margin(
    arm: ArmTest, n: int, *, limits: Mapping[tuple[int, int], float]
) -> Scalars | None:
    """Return the distance of each image's log-odds from its network's threshold, of two classes."""
    if arm.positive is None:
        return None
    each = arm.rounds[n]
    held = np.array([limits[fold, arm.seeds[n]] for fold in each.trainings.tolist()])
    inside = np.clip(held, _EDGE, 1 - _EDGE)
    distance: Scalars = np.abs(each.scores[:, arm.positive] - np.log(inside / (1 - inside)))
    return distance


def list_images(
    name: str, arm: ArmTest, *, rounds: Sequence[RoundUncertainty]
) -> list[ImageUncertainty]:
    """Return each test image's uncertainty, the mean over the rounds.

    Args:
        name: The arm.
        arm: Its predictions.
        rounds: Of the arm.
    """
    first = arm.rounds[0]
    mean = np.mean([held.each.probabilities for held in rounds], axis=0)
    disagreement, sd, margin = (
        _average([getattr(held, column) for held in rounds])
        for column in ("disagreement", "sd", "margin")
    )
    entropy = np.mean([held.pooled for held in rounds], axis=0)
    wrong = np.mean([held.wrong for held in rounds], axis=0)
    # Votes are whole and probabilities at most 1, halved so that they only part equal votes.
    decided = (_count_votes(arm) + mean / 2).argmax(axis=1)
    return [
        ImageUncertainty(
            arm=name,
            image_id=image_id,
            subject=first.subjects[n],
            label=arm.classes[first.labels[n]],
            predicted=arm.classes[int(decided[n])],
            most_probable=arm.classes[int(mean[n].argmax())],
            probability=float(mean[n].max()),
            entropy=float(entropy[n]),
            disagreement=None if disagreement is None else float(disagreement[n]),
            sd=None if sd is None else float(sd[n]),
            margin=None if margin is None else float(margin[n]),
            error_rate=float(wrong[n]),
            n_networks=sum(held.n_networks for held in rounds),
        )
        for n, image_id in enumerate(first.image_ids)
    ]


def _count_votes(arm: ArmTest) -> NDArray[np.float64]:
    """Return (N, C) how many rounds predict each class, each at its own threshold."""
    names = np.arange(len(arm.classes))
    votes: NDArray[np.float64] = np.sum(
        [each[:, np.newaxis] == names for each in arm.predicted], axis=0, dtype=np.float64
    )
    return votes


def _average(held: Sequence[Scalars | None]) -> Scalars | None:
    """Return the mean over rounds of each image's value, None where rounds have none."""
    known = [values for values in held if values is not None]
    return np.asarray(np.mean(known, axis=0), dtype=np.float64) if known else None
