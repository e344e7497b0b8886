"""What `medvision doctor` finds: one line per check, with a hint where something is amiss."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One check's result.

    Args:
        name: What was checked.
        status: warn leaves the run possible, fail does not.
        found: What was found.
        hint: What to do; empty where all is well.
    """

    name: str
    status: Status
    found: str
    hint: str = ""


def say_count(number: int, unit: str) -> str:
    """Say how many there are of something.

    Args:
        number: How many.
        unit: Of what, in the plural; one that ends in another letter than s has none.

    Returns:
        Such as 1 node, 3 nodes, 1 MB.
    """
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
