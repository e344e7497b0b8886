"""By how much a map's sum may miss the change of the logit, method by method."""

ERROR_FLOOR_LOGIT = 0.01
"""A completeness error below this is no error, however small the output difference."""

DEEPLIFT_GATE, DEEPLIFT_FLOOR_LOGIT = 1e-3, 1e-4
"""What DeepLift's sum may miss, as a share of the change and in logits. Where it applies it adds up
but for rounding: a wider gate would only let through what it does not apply to."""


def compute_gate(method: str, difference: float, *, completeness: float) -> float:
    """Return the largest completeness error that is none, in logits.

    Args:
        method: Name of the method.
        difference: Change of the logit that the map explains, of either sign.
        completeness: Share of it that a map may miss, DeepLift's apart.
    """
    if method == "deeplift":
        return max(DEEPLIFT_GATE * abs(difference), DEEPLIFT_FLOOR_LOGIT)
    return max(completeness * abs(difference), ERROR_FLOOR_LOGIT)
