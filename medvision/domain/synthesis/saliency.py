"""Saliency: whether a network that was shown synthetic images explains itself worse for it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from medvision.domain.bootstrap import draw_weights
from medvision.domain.synthesis.criterion import (
    DESCRIBED,
    PASSED,
    REFUSED,
    UNDECIDED,
    Criterion,
)
from medvision.domain.synthesis.sample import Rules

NAME = "saliency"

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

FIDELITY = ("deletion", "insertion", "relevance_mass", "rank_accuracy")
"""Those that ask whether a map shows what decides; one of them at least must be able to tell."""

CHANCE = {"deletion": 0.5, "insertion": 0.5, "weight_randomisation": 1.0, "class_sensitivity": 1.0}
"""What a map that knows nothing comes to, where no network's row says it."""

MARGIN = 0.1
"""Share of what plain networks are above chance that may be lost unasked."""

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
class _Asked:
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


def judge_saliency(gauges: Sequence[Gauge], rules: Rules) -> list[Criterion]:
    """Ask of each check whether the network is worse than another seed would be.

    The loss of a check is the mean over subjects of what plain networks reach less what the network
    with synthetic images does. Each plain network in turn is held against the other plain ones:
    that is what comes of nothing but another seed. The generator is refused where the loss is
    larger than the subjects, the seeds and the number of checks explain, and a tenth of what plain
    networks are above chance besides. A check that would not even refuse maps of chance can
    tell nothing and does not count; where none of those can tell that ask what decides,
    saliency is undecided.

    Args:
        gauges: All networks, subjects, methods and checks.
        rules: Level, number of draws and seed.

    Returns:
        A row for each method and check, and one that says how many could tell.

    Source:
        none: own definition. Non-inferiority, and what a comparison can tell: ICH E10 2000;
        variance of networks beside that of subjects: as in DerSimonian and Laird 1986,
        doi:10.1016/0197-2456(86)90046-2; largest of all checks over resamples: Westfall and Young
        1993, Resampling-Based Multiple Testing; subjects: `bootstrap`.
    """
    subjects = sorted({gauge.subject for gauge in gauges})
    asked = _gather(gauges, subjects)
    if not asked:
        return [_conclude([], n=len(subjects))]
    labels = {gauge.subject: gauge.label for gauge in gauges}
    drawn = _draw(subjects, [labels[name] for name in subjects], rules=rules)
    found = [_resample(own, drawn) for own in asked]
    shared = _find_shared(asked, found)
    reach = _find_reach(asked, found, level=rules.level)
    criteria = []
    for own, (_, errors) in zip(asked, found, strict=True):
        # Three networks say little of one check alone, and of all checks more.
        seeds = (max(0.0, _find_variance(own, errors)) + shared * own.gain**2) / 2
        half = reach * float(errors[0] ** 2 + seeds) ** 0.5
        criteria.append(_judge(own, half=half, rules=rules))
    return [*criteria, _conclude(criteria, n=len(subjects))]


def _gather(gauges: Sequence[Gauge], subjects: Sequence[str]) -> list[_Asked]:
    """Put the values of each method and check together, of subjects that all networks have."""
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
            asked.append(_Asked(method, check, places_of, table[1:], table[0], chance))
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


def _draw(subjects: Sequence[str], labels: Sequence[str], *, rules: Rules) -> Values:
    """Return how much each subject weighs in each resample, classes apart."""
    _, index = np.unique(labels, return_inverse=True)
    drawn = draw_weights(
        subjects,
        np.zeros(len(subjects), dtype=np.intp),
        labels=index.reshape(-1).astype(np.intp),
        n_resamples=rules.n_repeats * 20,
        seed=rules.seed,
    )
    return np.concatenate(list(drawn))


def _resample(own: _Asked, drawn: Values) -> tuple[Values, Values]:
    """Return the mixed network's mean loss in each resample, and each network's standard error."""
    weights = drawn[:, own.rows]
    means = weights @ own.losses.T / weights.sum(axis=1, keepdims=True)
    return means[:, 0], means.std(axis=0)


def _find_variance(own: _Asked, errors: Values) -> float:
    """Return how much plain networks vary beyond their subjects, as a variance; may be below 0."""
    means = own.losses.mean(axis=1)[1:]
    return float(np.mean(means**2 - errors[1:] ** 2))


def _find_shared(asked: Sequence[_Asked], found: Sequence[tuple[Values, Values]]) -> float:
    """Return the same of all checks together, each in shares of what there is to lose."""
    parts = [
        _find_variance(own, errors) / own.gain**2
        for own, (_, errors) in zip(asked, found, strict=True)
        if own.gain > 0
    ]
    return max(0.0, float(np.mean(parts))) if parts else 0.0


def _find_reach(
    asked: Sequence[_Asked], found: Sequence[tuple[Values, Values]], *, level: float
) -> float:
    """Return how many standard errors the largest of all checks reaches by chance.

    Of few subjects standard errors are themselves uncertain: the quantile is widened as
    Student's is over the normal one (Abramowitz and Stegun 1964, 26.7.5).
    """
    highest = np.zeros(len(found[0][0]))
    for own, (means, errors) in zip(asked, found, strict=True):
        if errors[0] > 0:
            highest = np.maximum(highest, (means - own.losses[0].mean()) / errors[0])
    reach = max(float(np.quantile(highest, level)), NormalDist().inv_cdf(level))
    n_least = min(len(own.rows) for own in asked)
    return reach + (reach**3 + reach) / (4 * (n_least - 1))


def _judge(own: _Asked, *, half: float, rules: Rules) -> Criterion:
    """Hold the loss against what comes about without synthetic images."""
    losses = own.losses.mean(axis=1)
    value, gain = float(losses[0]), own.gain
    threshold = half + MARGIN * max(gain, 0.0)
    sign = SIGNS[own.check]
    mixed, plain = sign * float(own.mixed.mean()), sign * float(own.plain.mean())
    said = f"{mixed:.3g} with synthetic images, {plain:.3g} without, {plain - sign * gain:.3g} is "
    said += "chance"
    verdict = REFUSED if value > threshold else PASSED
    if verdict == PASSED and gain <= threshold:
        # A network whose maps knew nothing would have passed just as well.
        verdict, said = DESCRIBED, f"{said}: cannot tell the two apart"
    return Criterion(
        criterion=NAME,
        space=own.method,
        statistic=f"loss of {own.check}",
        value=value,
        low=value - half,
        high=value + half,
        n=len(own.rows),
        comparator=float(losses[1:].max()),
        threshold=threshold,
        source=f"{len(own.plain)} networks of real images alone, each in turn against the others, "
        f"subjects resampled, {rules.level:g} of the largest of all checks, and "
        f"{MARGIN:.0%} of what they are above chance",
        verdict=verdict,
        reason=said,
    )


def _conclude(criteria: Sequence[Criterion], *, n: int) -> Criterion:
    """Say how many checks could tell, and leave saliency undecided where none could."""
    telling = [own for own in criteria if own.verdict != DESCRIBED]
    n_telling = len(telling)
    is_told = any(own.statistic.removeprefix("loss of ") in FIDELITY for own in telling)
    reason = f"{n_telling} of {len(criteria)} checks can tell maps from chance"
    if not criteria:
        reason = f"no check has {LEAST_SUBJECTS} subjects before {LEAST_NETWORKS} plain networks"
    elif not is_told:
        reason += f", and none of {', '.join(FIDELITY)}"
    nan = float("nan")
    return Criterion(
        criterion=NAME,
        space="all methods",
        statistic="checks that can tell",
        value=float(n_telling),
        low=nan,
        high=nan,
        n=n,
        comparator=float(len(criteria)),
        threshold=1.0,
        source="a check that would not refuse maps of chance can tell nothing",
        verdict=PASSED if is_told else UNDECIDED,
        reason=reason,
    )
