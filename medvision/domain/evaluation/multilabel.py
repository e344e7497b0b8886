"""Evaluation of several findings: each as a study of its own, and their means over all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from medvision.domain.evaluation.classes import Evaluation, HeldOut, build_test, evaluate_test
from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.evaluation.macro import (
    MACRO,
    METHODS,
    average_spreads,
    rename_differences,
    rename_estimates,
    rename_spreads,
)
from medvision.domain.evaluation.pair_tests import correct_tests
from medvision.domain.evaluation.rescaling import NO_FINDINGS, NO_TEMPERATURES, Temperatures
from medvision.domain.evaluation.subgroups import Variables
from medvision.domain.labels.findings import parse_findings
from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.figures import compute_statistics
from medvision.domain.metrics.numbers import read_numbers
from medvision.domain.metrics.operating import choose_rule
from medvision.domain.metrics.statistic import ArmTest
from medvision.domain.metrics.threshold import OperatingRule
from medvision.domain.metrics.weighted import Replicates
from medvision.domain.novelty.distance import COLUMNS
from medvision.domain.prediction import (
    Indices,
    group_rows,
    number_clusters,
    read_cell,
    sort_rows,
)
from medvision.domain.resampling.bootstrap import Weights
from medvision.domain.resampling.draws import Drawn, Statistics, draw_statistics
from medvision.domain.resampling.resampled import (
    Counts,
    Joined,
    list_differences,
    list_estimates,
)
from medvision.domain.resampling.settings import Settings, check_settings
from medvision.domain.resampling.spread import SeedSpread
from medvision.errors import DataError


@dataclass(frozen=True)
class FindingsEvaluation:
    """All that is known of the arms on held-out subjects, of several findings.

    Args:
        classes: The findings.
        findings: Finding to its evaluation on the images of which it is known.
        estimates: Means over the findings, then those of each finding.
        differences: Between arms, in the same order.
        spreads: From seed to seed, in the same order.
        counts: Of all images.
        n_unknown: Finding to the test images of which it is not known.
        drawn: The means over the findings on the data and on resamples.
    """

    classes: Classes
    findings: Mapping[str, Evaluation]
    estimates: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    spreads: tuple[SeedSpread, ...]
    counts: Counts
    n_unknown: Mapping[str, int]
    drawn: Drawn


@dataclass(frozen=True)
class Everyone:
    """The test images of one round: all of them, whatever is known of each."""

    position: Mapping[str, int]
    subjects: tuple[str, ...]
    folds: Indices
    clusters: Indices


def evaluate_findings(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    settings: Settings,
    variables: Variables,
    temperatures: Mapping[str, Temperatures] = NO_FINDINGS,
) -> FindingsEvaluation:
    """Evaluate every arm on its test images, finding by finding and over all findings.

    A finding is evaluated exactly as a study of this finding alone would be, on the images of which
    it is known, its threshold fixed on validation. The means over findings are of the same subjects
    in each resample, drawn within fold, so that findings that go together count as such.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: The findings.
        settings: Settings of the statistics.
        variables: image_id to the cohort's columns, for subgroups.
        temperatures: Finding to what its logits were divided by; none where nothing was.

    Returns:
        Estimates with intervals and differences; each finding's curves and counts.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
        ConfigError: A prevalence is one number, or names what is no finding.

    Source:
        Macro averages as in Sokolova and Lapalme 2009, doi:10.1016/j.ipm.2009.03.002.
    """
    check_settings(settings, classes=classes)
    tests = build_finding_tests(rows, groups, classes=classes, rule=choose_rule(settings))
    findings = {
        name: evaluate_test(
            test,
            settings,
            variables=variables,
            temperatures=temperatures.get(name, NO_TEMPERATURES),
        )
        for name, test in tests.items()
    }
    findings = _correct(findings)
    held = {name: test.arms for name, test in tests.items()}
    joined = join_findings(held, gather_images(rows, groups), settings=settings)
    n_images = joined.counts.n_images
    return FindingsEvaluation(
        classes=classes,
        findings=findings,
        estimates=(*list_estimates(joined), *rename_estimates(findings)),
        differences=(*list_differences(joined), *rename_differences(findings)),
        spreads=(*average_spreads(findings), *rename_spreads(findings)),
        counts=joined.counts,
        n_unknown={name: n_images - held.n_images for name, held in findings.items()},
        drawn=joined.drawn,
    )


def _correct(findings: Mapping[str, Evaluation]) -> dict[str, Evaluation]:
    """Correct the tests of all findings together for their number."""
    corrected = iter(correct_tests([test for held in findings.values() for test in held.tests]))
    return {
        name: replace(held, tests=tuple(islice(corrected, len(held.tests))))
        for name, held in findings.items()
    }


def build_finding_tests(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    classes: Classes,
    rule: OperatingRule,
) -> dict[str, HeldOut]:
    """Build the test of each finding, as one of two classes, on the images that know it.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.
        classes: The findings.
        rule: What thresholds are fitted for.

    Raises:
        DataError: Predictions are missing, not numbers, or not of the same images.
    """
    truth = parse_findings([read_cell(row, "label") for row in rows], classes.names)
    return {
        name: _build_test(rows, groups, name=name, truth=truth[:, index], rule=rule)
        for index, name in enumerate(classes.names)
    }


def _build_test(
    rows: Sequence[Mapping[str, str]],
    groups: Mapping[str, str],
    *,
    name: str,
    truth: NDArray[np.float64],
    rule: OperatingRule,
) -> HeldOut:
    """Return the test of one finding, as one of two classes, on the images that know it."""
    absent = f"no {name}"
    column = f"probability_{name}"
    probabilities = read_numbers([read_cell(row, column) for row in rows], column).tolist()
    own: list[Mapping[str, str]] = []
    for row, there, probability in zip(rows, truth.tolist(), probabilities, strict=True):
        if np.isnan(there):
            continue
        own.append(
            {
                **{key: row[key] for key in _PLACES},
                **{key: row.get(key, "") for key in COLUMNS},
                "label": name if there else absent,
                column: repr(probability),
                f"probability_{absent}": repr(1 - probability),
                f"logit_{name}": read_cell(row, f"logit_{name}"),
                f"logit_{absent}": "0",
            }
        )
    return build_test(own, groups, classes=Classes((absent, name), name), rule=rule)


_PLACES = ("arm", "fold", "repeat", "part", "inner", "seed", "split", "image_id", "subject")


def gather_images(rows: Sequence[Mapping[str, str]], groups: Mapping[str, str]) -> Everyone:
    """Return the test images of the first arm's first round.

    Args:
        rows: Rows of `predict/predictions.tsv`.
        groups: image_id to the group of subjects that is resampled as one.

    Raises:
        DataError: No test image is predicted.
    """
    held = {key: own for key, own in group_rows(rows).items() if key[2] == "test"}
    if not held:
        raise DataError("predictions: test images must be predicted, got none.")
    ordered = sort_rows(held[min(held)], where="predictions")
    image_ids = [row["image_id"] for row in ordered]
    subjects = tuple(row["subject"] for row in ordered)
    return Everyone(
        position={name: n for n, name in enumerate(image_ids)},
        subjects=subjects,
        folds=np.array([int(read_cell(row, "part")) for row in ordered], dtype=np.intp),
        clusters=number_clusters(image_ids, subjects, groups=groups),
    )


def join_findings(
    tests: Mapping[str, Mapping[str, ArmTest]],
    everyone: Everyone,
    *,
    settings: Settings,
) -> Joined:
    """Compute the means over the findings on the data and on common resamples.

    Args:
        tests: Finding to its arms, the same of each.
        everyone: All test images.
        settings: Settings of the statistics.
    """
    first = next(iter(tests.values()))
    counts = Counts(
        len(everyone.position), len(set(everyone.subjects)), len(np.unique(everyone.clusters))
    )
    drawn = draw_statistics(
        {
            arm: _average({name: arms[arm] for name, arms in tests.items()}, everyone)
            for arm in first
        },
        everyone.clusters,
        folds=everyone.folds,
        # Within fold alone: the findings together would part the subjects into strata of one.
        labels=np.zeros(counts.n_images, dtype=np.intp),
        settings=settings,
    )
    arm = next(iter(first.values()))
    over = f"; each the mean over {arm.counted}" if len(arm.rounds) > 1 else ""
    reason = "a finding is there, or absent, in no test image of a fold"
    return Joined(
        drawn=drawn,
        counts=counts,
        methods={name: f"{text}{over}" for name, text in METHODS.items()},
        undefined=dict.fromkeys(METHODS, reason),
    )


def _average(arms: Mapping[str, ArmTest], everyone: Everyone) -> Statistics:
    """Return what computes the means over the findings of one arm."""
    places = {
        name: np.array([everyone.position[each] for each in arm.rounds[0].image_ids])
        for name, arm in arms.items()
    }

    def compute(weights: Weights) -> dict[str, Replicates]:
        each = [compute_statistics(arm, weights[:, places[name]]) for name, arm in arms.items()]
        return {
            macro: np.mean([found[of] for found in each], axis=0) for macro, of in MACRO.items()
        }

    return compute
