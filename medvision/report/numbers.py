"""Numbers as documents of a study hold them."""

from medvision.domain.record import JsonValue


def as_number(value: JsonValue) -> float | None:
    """Return a number; None for anything else, as where there is none.

    Args:
        value: Of a document.
    """
    return float(value) if isinstance(value, int | float) else None
