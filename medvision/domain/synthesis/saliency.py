"""Saliency: whether a network that was shown synthetic images explains itself worse for it."""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from medvision.domain.resampling.bootstrap import draw_weights
from medvision.domain.synthesis.criterion import (
    DESCRIBED,
    PASSED,
    REFUSED,
    UNDECIDED,
    Criterion,
)
from medvision.domain.synthesis.gauges import (
    LEAST_NETWORKS,
    LEAST_SUBJECTS,
    SIGNS,
    Asked,
    Gauge,
    Values,
    gather_gauges,
)
from medvision.domain.synthesis.sample import Rules

NAME = "saliency"

FIDELITY = ("deletion", "insertion", "relevance_mass", "rank_accuracy")
"""Those that ask whether a map shows what decides; one of them at least must be able to tell."""

MARGIN = 0.1
"""Share of what plain networks are above chance that may be lost unasked."""


_SURE = 4.0
"""Standard errors above chance from which plain networks surely are."""


def judge_saliency(gauges: Sequence[Gauge], rules: Rules) -> list[Criterion]:
    """Ask of each check whether the network is worse than another seed would be.

    The loss of a check is the mean over subjects of what plain networks reach less what the network
    with synthetic images does. Each plain network in turn is held against the other plain ones:
    that is what comes of nothing but another seed. The generator is refused where the loss is
    larger than the subjects, the seeds and the number of checks explain, and a tenth of what plain
    networks are above chance besides. A check that would not even refuse maps of chance, or that
    cannot be computed, can tell nothing and does not count; where none of those can tell that
    ask what decides, saliency is undecided.

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
    asked = gather_gauges(gauges, subjects)
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
        half = _widen(reach, len(own.rows)) * float(errors[0] ** 2 + seeds) ** 0.5
        criteria.append(_judge(own, half=half, rules=rules))
    return [*criteria, _conclude(criteria, n=len(subjects))]


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


def _resample(own: Asked, drawn: Values) -> tuple[Values, Values]:
    """Return the mixed network's mean loss in each resample, and each network's standard error.

    The loss is NaN in a resample without any of the check's own subjects.
    """
    weights = drawn[:, own.rows]
    total = weights.sum(axis=1)
    # Of a check on few subjects a resample may hold none: it says nothing of that check.
    is_held = total > 0
    means = np.full((len(drawn), len(own.losses)), np.nan)
    means[is_held] = weights[is_held] @ own.losses.T / total[is_held, None]
    return means[:, 0], means[is_held].std(axis=0)


def _find_variance(own: Asked, errors: Values) -> float:
    """Return how much plain networks vary beyond their subjects, as a variance; may be below 0."""
    means = own.losses.mean(axis=1)[1:]
    return float(np.mean(means**2 - errors[1:] ** 2))


def _find_shared(asked: Sequence[Asked], found: Sequence[tuple[Values, Values]]) -> float:
    """Return the same of all checks together, each in shares of what there is to lose.

    The middle one, of those that their subjects alone would let tell: a check that plain networks
    hardly pass varies without end in such shares.
    """
    parts = [
        _find_variance(own, errors) / own.gain**2
        for own, (_, errors) in zip(asked, found, strict=True)
        if own.gain > _SURE * float(errors[1:].max())
    ]
    return max(0.0, float(np.median(parts))) if parts else 0.0


def _find_reach(
    asked: Sequence[Asked], found: Sequence[tuple[Values, Values]], *, level: float
) -> float:
    """Return how many standard errors the largest of all checks reaches by chance."""
    highest = np.zeros(len(found[0][0]))
    for own, (means, errors) in zip(asked, found, strict=True):
        if errors[0] > 0:
            highest = np.fmax(highest, (means - own.losses[0].mean()) / errors[0])
    return max(float(np.quantile(highest, level)), NormalDist().inv_cdf(level))


def _widen(reach: float, n: int) -> float:
    """Widen a quantile as Student's is over the normal one: of few, errors are uncertain too.

    Abramowitz and Stegun 1964, 26.7.5, first order.
    """
    return reach + (reach**3 + reach) / (4 * (n - 1))


def _judge(own: Asked, *, half: float, rules: Rules) -> Criterion:
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
    if not np.isfinite([value, threshold, gain]).all():
        verdict, said = DESCRIBED, "cannot be computed of these values, and so tells nothing"
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
