"""What a search may choose from, and how Optuna is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from medvision.domain.record import JsonValue


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included, even in their logarithm where log is true."""

    low: float
    high: float
    log: bool
    is_whole: bool


@dataclass(frozen=True)
class Choices:
    """Values of which one is taken; they have no order."""

    values: tuple[JsonValue, ...]


Space = Mapping[str, Range | Choices]
"""Field to what it may be."""


def distribute(space: Space) -> dict[str, BaseDistribution]:
    """Return a space as Optuna knows it; choices by their place, whatever they are.

    Args:
        space: Field to what it may be.
    """
    return {key: _distribute(held) for key, held in space.items()}


def _distribute(held: Range | Choices) -> BaseDistribution:
    """Return one field's distribution."""
    if isinstance(held, Choices):
        return CategoricalDistribution(list(range(len(held.values))))
    if held.is_whole:
        return IntDistribution(int(held.low), int(held.high), log=held.log)
    return FloatDistribution(held.low, held.high, log=held.log)


def read_values(space: Space, parameters: Mapping[str, float]) -> dict[str, JsonValue]:
    """Return what a trial's parameters stand for.

    Args:
        space: Field to what it may be.
        parameters: Field to number; that of a choice is its place.
    """
    return {
        key: held.values[int(parameters[key])] if isinstance(held, Choices) else parameters[key]
        for key, held in space.items()
    }
