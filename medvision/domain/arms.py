"""The arms of a study, in the order in which everything is told: transfer, then scratch."""

from collections.abc import Sequence

ARMS = ("transfer", "scratch")
"""An arm is one way to start a network; the first that a study has is its main one."""

ALL_SEEDS = -1
"""The seed of a prediction that is the mean over the networks of all seeds."""

_ALL = "all"
_ENSEMBLE = "-ensemble"


def name_ensemble(arm: str) -> str:
    """Return the arm of the mean over the seeds' networks of an arm."""
    return f"{arm}{_ENSEMBLE}"


def is_ensemble(arm: str) -> bool:
    """Tell whether an arm is the mean over the seeds' networks of another."""
    return arm.endswith(_ENSEMBLE)


def base_arm(arm: str) -> str:
    """Return the arm that an ensemble is of, any other as it is."""
    return arm.removesuffix(_ENSEMBLE)


def rank_arm(arm: str) -> tuple[bool, int, str]:
    """Return a sort key: the known arms in their order, any other behind them, then ensembles."""
    base = base_arm(arm)
    return (is_ensemble(arm), ARMS.index(base) if base in ARMS else len(ARMS), arm)


def list_pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Return which arms are compared, each as (a, b) for a minus b.

    The first arm with each other one, each ensemble with its own single networks, and the first
    ensemble with each other one.

    Args:
        arms: Arms in the order of `rank_arm`.
    """
    singles = [arm for arm in arms if not is_ensemble(arm)]
    pools = [arm for arm in arms if is_ensemble(arm)]
    return [
        *((singles[0], other) for other in singles[1:]),
        *((pool, base) for pool in pools if (base := base_arm(pool)) in singles),
        *((pools[0], other) for other in pools[1:]),
    ]


def write_seed(seed: int) -> int | str:
    """Return a seed as tables hold it: its number, or `all`."""
    return _ALL if seed == ALL_SEEDS else seed


def parse_seed(text: str) -> int:
    """Return the seed of a cell, `ALL_SEEDS` for `all`.

    Raises:
        ValueError: It is no whole number.
    """
    return ALL_SEEDS if text == _ALL else int(text)
