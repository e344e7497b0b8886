"""Answers of probes as test predictions, so that they are judged as a network's are."""

from collections.abc import Mapping, Sequence

import numpy as np

from medvision.domain.evaluation.regression import ValuePredictions
from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.labels.values import parse_values
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.prediction import Indices, Predictions, Round, Scores, number_clusters
from medvision.domain.shortcut.answers import Answer

ONLY_SEED = 0
"""Seed under which a probe is listed, which has no chance in it."""


def name_finding(name: str) -> Classes:
    """Return a finding as the second of two classes."""
    return Classes((f"no {name}", name), name)


def build_class_arm(
    answers: Sequence[Answer], groups: Mapping[str, str], *, classes: Classes
) -> ArmTest:
    """Gather a probe's answers about classes.

    Args:
        answers: Of one probe.
        groups: image_id to the group of subjects that is resampled as one.
        classes: The classes in their order.
    """
    labels = [classes.names.index(answer.place.label) for answer in answers]
    scores = np.array([answer.scores for answer in answers]).reshape(-1, len(classes.names))
    return _build(answers, np.array(labels, dtype=np.intp), scores, groups=groups, classes=classes)


def build_finding_arm(
    answers: Sequence[Answer], groups: Mapping[str, str], *, classes: Classes, name: str
) -> ArmTest:
    """Gather a probe's answers about one finding, on the images of which it is known.

    Args:
        answers: Of one probe.
        groups: image_id to the group of subjects that is resampled as one.
        classes: All findings in their order.
        name: The finding.
    """
    index = classes.names.index(name)
    truth = parse_findings([answer.place.label for answer in answers], classes.names)[:, index]
    known = ~np.isnan(truth)
    kept = [answer for answer, own in zip(answers, known, strict=True) if own]
    one = np.array([answer.scores[index] for answer in kept])
    return _build(
        kept,
        truth[known].astype(np.intp),
        np.column_stack([-one, one]),
        groups=groups,
        classes=name_finding(name),
    )


def build_value_rounds(answers: Sequence[Answer]) -> list[ValuePredictions]:
    """Gather a probe's answers about a value, round by round.

    Args:
        answers: Of one probe.
    """
    rounds = []
    for rows in _list_rounds(answers).values():
        own = [answers[row] for row in rows]
        rounds.append(
            ValuePredictions(
                image_ids=tuple(answer.place.image_id for answer in own),
                subjects=tuple(answer.place.subject for answer in own),
                folds=np.array([answer.place.part for answer in own], dtype=np.intp),
                true=parse_values([answer.place.label for answer in own]),
                predicted=np.array([answer.scores[0] for answer in own]),
            )
        )
    return rounds


def _build(
    answers: Sequence[Answer],
    labels: Indices,
    scores: Scores,
    *,
    groups: Mapping[str, str],
    classes: Classes,
) -> ArmTest:
    """Put rounds together."""
    rounds = [
        _gather([answers[row] for row in rows], labels[rows], scores[rows])
        for rows in _list_rounds(answers).values()
    ]
    first = rounds[0]
    positive = None if classes.positive is None else classes.names.index(classes.positive)
    return ArmTest(
        rounds=tuple(rounds),
        predicted=tuple(each.scores.argmax(axis=1) for each in rounds),
        classes=classes.names,
        positive=positive,
        clusters=number_clusters(first.image_ids, first.subjects, groups=groups),
        operating="the class with the highest score",
        counted=f"{len(rounds)} rounds of the folds",
        seeds=(ONLY_SEED,) * len(rounds),
    )


def _list_rounds(answers: Sequence[Answer]) -> dict[Round, Indices]:
    """Return the rows of each round, by image and training."""
    held: dict[Round, list[int]] = {}
    order = sorted(
        range(len(answers)), key=lambda n: (answers[n].place.image_id, answers[n].place.fold)
    )
    for row in order:
        place = answers[row].place
        held.setdefault(Round(place.repeat, place.inner, ONLY_SEED), []).append(row)
    return {place: np.array(held[place], dtype=np.intp) for place in sorted(held)}


def _gather(answers: Sequence[Answer], labels: Indices, scores: Scores) -> Predictions:
    """Return one round's answers as predictions; nothing reads their probabilities."""
    return Predictions(
        image_ids=tuple(answer.place.image_id for answer in answers),
        subjects=tuple(answer.place.subject for answer in answers),
        trainings=np.array([answer.place.fold for answer in answers], dtype=np.intp),
        folds=np.array([answer.place.part for answer in answers], dtype=np.intp),
        labels=labels,
        probabilities=scores,
        scores=scores,
    )
