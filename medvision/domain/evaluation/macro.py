"""The figures of several findings told as one study's: renamed by finding, and averaged."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from medvision.domain.evaluation.classes import Evaluation
from medvision.domain.evaluation.estimate import Difference, Estimate
from medvision.domain.resampling.spread import SeedSpread, describe_spread

MACRO = {
    "auc_macro": "auc",
    "balanced_accuracy": "balanced_accuracy",
    "sensitivity_macro": "sensitivity",
    "specificity_macro": "specificity",
    "brier": "brier",
    "average_precision_macro": "average_precision",
    "f1_macro": "f1",
    "log_loss": "log_loss",
}
"""Mean over the findings, and what it is the mean of."""

METHODS = {
    "auc_macro": "mean over findings of the AUC",
    "balanced_accuracy": "mean over findings of the mean of sensitivity and specificity",
    "sensitivity_macro": "mean over findings of the share found of those that have it",
    "specificity_macro": "mean over findings of the share of those without it that are called so",
    "brier": "mean over findings of the mean squared error of the probability",
    "average_precision_macro": "mean over findings of the average precision",
    "f1_macro": "mean over findings of F1",
    "log_loss": "mean over findings of the log loss, in nats",
}
"""Mean over the findings to how it is computed."""


def rename_estimates(findings: Mapping[str, Evaluation]) -> list[Estimate]:
    """Return the estimates of each finding under its name, arm by arm.

    Args:
        findings: Finding to its evaluation.
    """
    return [
        replace(item, metric=f"{item.metric}_{name}", method=f"{name}: {item.method}")
        for name, held in findings.items()
        for item in held.estimates
    ]


def rename_differences(findings: Mapping[str, Evaluation]) -> list[Difference]:
    """Return the differences of each finding under its name.

    Args:
        findings: Finding to its evaluation.
    """
    return [
        replace(item, metric=f"{item.metric}_{name}")
        for name, held in findings.items()
        for item in held.differences
    ]


def average_spreads(findings: Mapping[str, Evaluation]) -> list[SeedSpread]:
    """Return the means over the findings seed by seed.

    Args:
        findings: Finding to its evaluation.
    """
    held = {
        (item.arm, item.metric, name): item
        for name, evaluation in findings.items()
        for item in evaluation.spreads
    }
    arms = dict.fromkeys(arm for arm, _, _ in held)
    return [
        describe_spread(
            arm,
            macro,
            values={
                seed: float(np.mean([held[arm, of, name].values[seed] for name in findings]))
                for seed in held[arm, of, next(iter(findings))].values
            },
        )
        for arm in arms
        for macro, of in MACRO.items()
    ]


def rename_spreads(findings: Mapping[str, Evaluation]) -> list[SeedSpread]:
    """Return the spreads of each finding under its name.

    Args:
        findings: Finding to its evaluation.
    """
    return [
        replace(item, metric=f"{item.metric}_{name}")
        for name, held in findings.items()
        for item in held.spreads
    ]
