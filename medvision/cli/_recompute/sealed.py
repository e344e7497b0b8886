"""The settings that a step of a bundle obeyed, as its record has them."""

from collections.abc import Mapping
from typing import cast

from medvision.audit.verify import Locate
from medvision.domain.record import JsonValue
from medvision.runtime.files import read_json


def read_parameters(locate: Locate, step: str) -> Mapping[str, JsonValue]:
    """Read the sections that a step of a bundle obeyed.

    Args:
        locate: Returns where a file of the study lies in the bundle.
        step: Name of the step.

    Returns:
        Name of a section to its fields.

    Raises:
        MedvisionError: There is no record, or it cannot be read.
        LookupError: It is incomplete.
    """
    record = cast(Mapping[str, JsonValue], read_json(locate(f"{step}/record.json")))
    return cast(Mapping[str, JsonValue], record["parameters"])
