"""The arms of a study, in the order in which everything is told: transfer, then scratch."""

ARMS = ("transfer", "scratch")
"""An arm is one way to start a network; the first that a study has is its main one."""


def rank_arm(arm: str) -> tuple[int, str]:
    """Return a sort key: the known arms in their order, any other behind them by name."""
    return (ARMS.index(arm) if arm in ARMS else len(ARMS), arm)
