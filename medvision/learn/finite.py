"""Numbers that are none stop a training before any weight has moved by them."""

import math
from collections.abc import Sequence

from medvision.errors import TrainingError


def check_finite(thing: str, value: float, *, subjects: Sequence[str], section: str) -> None:
    """Refuse to go on with a number that is none.

    Args:
        thing: What it is: loss or gradient.
        value: The number.
        subjects: Whose images were in the batch; named by pseudonym.
        section: Section of the configuration that holds the learning rate.

    Raises:
        TrainingError: The value is infinite or not a number.
    """
    if math.isfinite(value):
        return
    where = "training" if section == "train" else "pretraining"
    raise TrainingError(
        f"{where}: {thing} must be finite, got {value} in a batch with the subjects "
        f"{', '.join(sorted(set(subjects)))}.",
        f"look at these subjects' images, or lower {section}.learning_rate; the last complete "
        "epoch is kept.",
    )
