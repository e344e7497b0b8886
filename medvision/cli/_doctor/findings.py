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
