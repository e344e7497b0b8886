"""Settings of an evaluation: how intervals are made, and where an operating point lies."""

from dataclasses import dataclass
from typing import Literal

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.prevalence import Prevalence, check_prevalence
from medvision.errors import ConfigError

Interval = Literal["bca", "percentile"]
"""How resamples become an interval."""

Rule = Literal["youden", "sensitivity", "specificity", "cost"]
"""What a threshold is fitted for."""


@dataclass(frozen=True)
class Settings:
    """What the statistics of a study are made with.

    Args:
        n_resamples: Bootstrap resamples.
        interval: How resamples become an interval.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.
        calibration_bins: Bins of the calibration curve.
        operating_point: What thresholds are fitted for on validation.
        operating_target: Sensitivity or specificity that they must reach there.
        miss_cost: Cost of a missed positive, where a false alarm costs 1.
        subgroups: Columns of the cohort whose values part the test images.
        smallest_subgroup: Subjects below which a subgroup has a warning.
        prevalence: Share of positives, or of each class or finding, where the model is to be used;
            None takes the test images'.
    """

    n_resamples: int
    interval: Interval
    confidence: float
    seed: int
    calibration_bins: int
    operating_point: Rule
    operating_target: float
    miss_cost: float
    prevalence: Prevalence
    subgroups: tuple[str, ...]
    smallest_subgroup: int


def check_settings(settings: Settings, *, classes: Classes) -> None:
    """Refuse settings that are about one positive class where there is none, or are several.

    Args:
        settings: Settings of the statistics.
        classes: Class names and the positive one of two; findings; or a value's name.

    Raises:
        ConfigError: A prevalence is not one of these classes or findings; or thresholds are wanted
            by a rule and there are none.
    """
    has_thresholds = classes.positive is not None or classes.task == "multilabel"
    what = {"multilabel": "several findings", "regression": "a value"}.get(
        classes.task, f"{len(classes.names)} classes"
    )
    check_prevalence(settings.prevalence, classes)
    if settings.subgroups and classes.task == "regression":
        raise ConfigError(
            f"evaluate.subgroups: must be empty for a value, got {', '.join(settings.subgroups)}.",
            "evaluate/errors.tsv has each test image's error, to be joined with cohort/cohort.tsv.",
        )
    if settings.operating_point != "youden" and not has_thresholds:
        raise ConfigError(
            f"evaluate.operating_point: must be youden for {what}, got {settings.operating_point}.",
            "a threshold parts two classes; of more the most probable one is predicted.",
        )
