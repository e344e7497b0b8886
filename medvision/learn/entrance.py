"""From what a study's arrays hold to what starting weights expect, told without torch."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from medvision.domain.network_form import PLAIN, NetworkForm
from medvision.errors import ConfigError
from medvision.learn.registry import Input, Source

UNIT = ("window", "percentile", "voi")
"""Scalings of `preprocess.intensity` whose arrays lie in 0 to 1."""

_ZSCORE = "zscore"


def build_form(source: Source, *, intensity: str, channels: int) -> NetworkForm:
    """Tell how a study's images must enter the network, so that the weights see what they know.

    Arrays in 0 to 1 are brought to the source's range, then its mean and deviation apply. Arrays of
    mean 0 and deviation 1 are what mean and deviation make of a source's images, and enter as they
    are; so they do for sources of that scaling, the only ones that they need.

    Args:
        source: Where the weights are from.
        intensity: The study's `preprocess.intensity`.
        channels: C, channels of the study's images.

    Returns:
        The form; plain where the source does not say what it expects.

    Raises:
        ConfigError: The study's scaling cannot be brought to the source's.
    """
    expected = source.input
    norm = replace(PLAIN, norm=source.norm)
    if expected.scaling is None:
        return norm
    _check_scaling(source, intensity)
    mean, sd = _in_units(expected, is_unit=intensity in UNIT)
    if channels not in (1, len(mean)):
        mean, sd = _even(mean, channels), _even(sd, channels)
    if set(mean) == {0.0} and set(sd) == {1.0} and len(mean) == channels:
        return norm
    return replace(norm, mean=mean, sd=sd)


def _check_scaling(source: Source, intensity: str) -> None:
    """Refuse arrays that no fixed entrance can bring to what the source expects."""
    expected = source.input
    allowed: tuple[str, ...] = UNIT
    if expected.scaling == _ZSCORE:
        allowed = (_ZSCORE,)
    elif expected.mean is not None:
        allowed = (*UNIT, _ZSCORE)
    if intensity not in allowed:
        rule = " or ".join(allowed)
        raise ConfigError(
            f"preprocess.intensity: scaling must be {rule} for the weights {source.name}, got "
            f"{intensity}.",
            f"set preprocess.intensity to {rule}, or choose other weights.",
        )


def _in_units(expected: Input, *, is_unit: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation in the units of the study's arrays, per channel."""
    if expected.range is None or not is_unit:
        return (0.0,) * expected.channels, (1.0,) * expected.channels
    low, high = expected.range
    means = expected.mean or (0.0,) * expected.channels
    sds = expected.sd or (1.0,) * expected.channels
    span = high - low
    return tuple((mean - low) / span for mean in means), tuple(sd / span for sd in sds)


def _even(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return the mean of the values for each channel, where channels do not correspond."""
    return (fmean(values),) * channels
