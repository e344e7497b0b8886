"""What follows from distances, computed again: likeness to the train images, and its limit."""

from collections.abc import Mapping, Sequence

import numpy as np

from medvision.audit.findings import Finding
from medvision.audit.verify import Locate
from medvision.cli._recompute.sealed import read_parameters
from medvision.config.predict import PredictSection
from medvision.domain.novelty.distance import (
    Novelty,
    judge_distances,
    parse_novelty,
)
from medvision.io.tables import read_table

PREDICTIONS = "predict/predictions.tsv"
TOLERANCE = 1e-6

_Row = Mapping[str, str]


def find_novelty_faults(locate: Locate) -> list[Finding]:
    """Judge the distances of every network again, and return what differs.

    The distances themselves are of images, which are not in a bundle.

    Args:
        locate: Returns where a file of the study lies in the bundle.

    Returns:
        One finding per set of rows whose likeness or limit is not that of its distances.

    Raises:
        MedvisionError: A file is missing or cannot be read.
        LookupError, ValueError: A table or a record is incomplete.
    """
    parameters = read_parameters(locate, "predict")
    section = PredictSection.model_validate(parameters.get("predict", {}))
    held: dict[tuple[str, str, str], dict[str, list[_Row]]] = {}
    for row in read_table(locate(PREDICTIONS)):
        place = row["arm"], row["fold"], row["seed"]
        held.setdefault(place, {}).setdefault(row["split"], []).append(row)
    findings = []
    for place, splits in sorted(held.items()):
        findings += _judge(place, splits, alarm=section.novelty_alarm)
    return findings


def _judge(
    place: tuple[str, str, str], splits: Mapping[str, Sequence[_Row]], *, alarm: float
) -> list[Finding]:
    """Name the splits of one network that do not follow from their distances."""
    parsed = {split: parse_novelty(rows) for split, rows in splits.items()}
    told = {split: own for split, own in parsed.items() if own is not None}
    wanted = judge_distances({split: own.distances for split, own in told.items()}, alarm=alarm)
    name = f"{place[0]}, fold {place[1]}, seed {place[2]}"
    return [
        Finding(PREDICTIONS, f"likeness of {name}, {split}", "that of the distances", "another")
        for split, own in told.items()
        if split not in wanted or not _is_same(wanted[split], own)
    ]


def _is_same(wanted: Novelty, held: Novelty) -> bool:
    """Compare likeness and limits."""
    pairs = ((wanted.likeness, held.likeness), (wanted.limits, held.limits))
    return all(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE) for one, other in pairs)
