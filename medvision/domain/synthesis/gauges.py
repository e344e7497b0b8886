"""What the checks of explanations measured before several networks, put together to be compared."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLAIN, MIXED = "real", "mixed"
"""Networks: trained on real images alone, or on real and synthetic ones."""

SIGNS = {
    "deletion": 1,
    "insertion": 1,
    "weight_randomisation": -1,
    "class_sensitivity": -1,
    "relevance_mass": 1,
    "rank_accuracy": 1,
}
"""Checks that are asked: 1 where more is better, -1 where less is."""

CHANCE = {"deletion": 0.5, "insertion": 0.5, "weight_randomisation": 1.0, "class_sensitivity": 1.0}
"""What a map that knows nothing comes to, where no network's row says it."""

LEAST_SUBJECTS = 6
"""Of whom a check is asked at least."""

LEAST_NETWORKS = 2
"""Networks of real images alone: with one, nobody knows what another seed does."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Gauge:
    """One check of one map.

    Args:
        image_id: The image; each subject has one.
        subject: Whose.
        label: Its class.
        network: `real` or `mixed`.
        seed: Of the network.
        method: Of the map.
        check: A name of `SIGNS`.
        value: The check's statistic; None where the map marks nothing, which counts as chance.
        chance: What the check expects of a map that knows nothing; None where it does not say.
    """

    image_id: str
    subject: str
    label: str
    network: str
    seed: int
    method: str
    check: str
    value: float | None
    chance: float | None


@dataclass(frozen=True)
class Asked:
    """One check of one method, above 0 where the network is better than another.

    Args:
        method: Of the maps.
        check: Its name.
        rows: (n,) positions of its subjects among all.
        plain: (K, n) of each network of real images.
        mixed: (n,) of the network that was shown synthetic ones.
        chance: (n,) of a map that knows nothing.
    """

    method: str
    check: str
    rows: NDArray[np.intp]
    plain: Values
    mixed: Values
    chance: Values

    @property
    def losses(self) -> Values:
        """(1 + K, n) by how much a network is worse than plain ones are, the mixed one first.

        Then each plain one in turn, held against the other plain ones.
        """
        total, n = self.plain.sum(axis=0), len(self.plain)
        others = (total - self.plain) / (n - 1)
        return np.concatenate([[total / n - self.mixed], others - self.plain])

    @property
    def gain(self) -> float:
        """By how much plain networks are above chance: what there is to lose."""
        return float((self.plain.mean(axis=0) - self.chance).mean())


def gather_gauges(gauges: Sequence[Gauge], subjects: Sequence[str]) -> list[Asked]:
    """Put the values of each method and check together, of subjects that all networks have.

    Args:
        gauges: All rows, in any order.
        subjects: All of them, sorted.

    Returns:
        By method and check; none of fewer than `LEAST_SUBJECTS` subjects, and none at all without
        one mixed network and `LEAST_NETWORKS` plain ones.
    """
    places = {name: row for row, name in enumerate(subjects)}
    networks = sorted({(own.network != MIXED, own.seed) for own in gauges})
    found: dict[tuple[str, str], dict[tuple[str, bool, int], Gauge]] = defaultdict(dict)
    for own in gauges:
        found[own.method, own.check][own.subject, own.network != MIXED, own.seed] = own
    n_mixed = sum(not is_plain for is_plain, _ in networks)
    if n_mixed != 1 or len(networks) - n_mixed < LEAST_NETWORKS:
        return []
    asked = []
    order = list(SIGNS)
    for method, check in sorted(found, key=lambda pair: (pair[0], order.index(pair[1]))):
        held = found[method, check]
        columns = [
            (places[subject], *read)
            for subject in subjects
            if (read := _read(held, subject, networks)) is not None
        ]
        if len(columns) >= LEAST_SUBJECTS:
            rows, values, chances = zip(*columns, strict=True)
            table = SIGNS[check] * np.array(values, dtype=np.float64).T
            chance = SIGNS[check] * np.array(chances, dtype=np.float64)
            places_of = np.array(rows, dtype=np.intp)
            asked.append(Asked(method, check, places_of, table[1:], table[0], chance))
    return asked


def _read(
    held: dict[tuple[str, bool, int], Gauge], subject: str, networks: Sequence[tuple[bool, int]]
) -> tuple[list[float], float] | None:
    """Return one subject's values and what chance is; None where a network has none."""
    rows = [held.get((subject, *network)) for network in networks]
    known = [row for row in rows if row is not None]
    if len(known) < len(rows):
        return None
    chances = [row.chance for row in known if row.chance is not None and row.network == PLAIN]
    chance = float(np.mean(chances)) if chances else CHANCE.get(known[0].check)
    if chance is None:
        return None
    return [chance if row.value is None else row.value for row in known], chance
