"""Prevalence where a model is to be used: of a positive class, of each class, or of findings."""

from collections.abc import Mapping

import numpy as np

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.weighted import divide
from medvision.domain.prediction import Indices
from medvision.domain.resampling.bootstrap import Weights
from medvision.errors import ConfigError

Prevalence = float | Mapping[str, float] | None
"""Share of positives; class or finding to its share; None takes the test images' own."""

Shares = float | tuple[float, ...] | None
"""Share of the positive class, of each class in order, or the test images' own."""

_TOLERANCE = 1e-6
_WHERE = "evaluate.prevalence"


def check_prevalence(prevalence: Prevalence, classes: Classes) -> None:
    """Refuse a prevalence that is not one of these classes or findings.

    Args:
        prevalence: As configured.
        classes: Class names and the positive one of two; findings; or a value's name.

    Raises:
        ConfigError: It is given for a value; it is one number for several classes or findings; it
            names others, or not every class; or those of classes do not sum to 1.
    """
    if prevalence is None:
        return
    if classes.task == "regression":
        raise ConfigError(
            f"{_WHERE}: must be null for a value, got {_say(prevalence)}.",
            "a prevalence is that of a class or of a finding.",
        )
    if not isinstance(prevalence, Mapping):
        _check_number(prevalence, classes)
        return
    kind = "findings" if classes.task == "multilabel" else "classes"
    unknown = [name for name in prevalence if name not in classes.names]
    missing = [name for name in classes.names if name not in prevalence]
    if unknown or (kind == "classes" and missing):
        which = "" if kind == "classes" else "some of "
        raise ConfigError(
            f"{_WHERE}: must name {which}the {kind} {', '.join(classes.names)}, got "
            f"{', '.join(prevalence) or 'none'}.",
            "findings that are not named keep the share of the test images."
            if kind == "findings"
            else f"give the share of each, such as {_suggest(classes)}.",
        )
    total = sum(prevalence.values())
    if kind == "classes" and abs(total - 1) > _TOLERANCE:
        raise ConfigError(
            f"{_WHERE}: shares of classes must sum to 1, got {total:g}.",
            "each subject is of one class: give shares of the same population.",
        )


def choose_shares(prevalence: Prevalence, classes: Classes) -> Shares:
    """Return the share of the positive class, or that of each class in order.

    Args:
        prevalence: As configured, checked.
        classes: Classes; of one finding `Classes((absent, finding), finding)`.

    Returns:
        None takes the test images' own: nothing was given, or nothing for this finding.
    """
    if prevalence is None or not isinstance(prevalence, Mapping):
        return prevalence
    if classes.positive is not None:
        return prevalence.get(classes.positive)
    return tuple(prevalence[name] for name in classes.names)


def reweigh(weights: Weights, labels: Indices, *, shares: tuple[float, ...]) -> Weights:
    """Return weights with which each class has its share, in each resample.

    Shares of images so weighed are those that Bayes' rule gives from what is predicted of each
    class.

    Args:
        weights: (R, N) weight of each image.
        labels: (N,) true class.
        shares: (C,) share of each class.

    Returns:
        (R, N); NaN in resamples that lack a class.
    """
    factors = np.stack(
        [
            share * divide(np.ones(len(weights)), weights @ (labels == n))
            for n, share in enumerate(shares)
        ]
    )
    found: Weights = weights * factors[labels].T
    is_lost = np.isnan(factors).any(axis=0)
    found[is_lost] = np.nan
    return found


def describe_shares(shares: Shares, names: tuple[str, ...]) -> str:
    """Say at which given prevalence a predictive value holds.

    Args:
        shares: Of the positive class, or of each class.
        names: Class names in order.
    """
    if not isinstance(shares, tuple):
        return f"by Bayes' rule at the given prevalence of {shares:g}"
    each = ", ".join(f"{name} {share:g}" for name, share in zip(names, shares, strict=True))
    return f"by Bayes' rule at the given prevalences of {each}"


def _check_number(prevalence: float, classes: Classes) -> None:
    """Refuse one number where there is no one class that it is of."""
    if classes.task == "multilabel":
        raise ConfigError(
            f"{_WHERE}: must name findings and the share of each, got {prevalence:g}.",
            f"such as {{{classes.names[0]}: {prevalence:g}}}; others keep that of the test images.",
        )
    if classes.positive is None:
        n = len(classes.names)
        raise ConfigError(
            f"{_WHERE}: must name the share of each of {n} classes, got {prevalence:g}.",
            f"such as {_suggest(classes)}.",
        )


def _suggest(classes: Classes) -> str:
    """Return an example of a mapping of classes, all alike."""
    share = 1 / len(classes.names)
    return "{" + ", ".join(f"{name}: {share:.3g}" for name in classes.names) + "}"


def _say(prevalence: float | Mapping[str, float]) -> str:
    """Return what was given, in short."""
    return ", ".join(prevalence) if isinstance(prevalence, Mapping) else f"{prevalence:g}"
