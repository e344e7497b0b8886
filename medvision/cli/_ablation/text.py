"""The ablation in words: whether what was added helped, did harm, or was not shown to do either."""

from collections.abc import Sequence
from typing import cast

from medvision.cli._ablation.tally import Tally
from medvision.config.ablation import FEWEST_SEEDS
from medvision.domain.synthesis.ablation import BOTH, CLASSICAL, PLAIN, SYNTHETIC, Ablation, Effect

ADDED = {
    (SYNTHETIC, PLAIN): "synthetic images alone",
    (BOTH, CLASSICAL): "synthetic images beside random changes",
    (CLASSICAL, PLAIN): "random changes alone",
}
SELECTION = (
    "These are figures on the test subjects: to choose an augmentation by this table and then to "
    "quote its AUC from it is selection on the test set."
)
_VERBS = {"helped": "helped", "harmed": "did harm", "not-shown": "did nothing that could be shown"}


def build_sentences(held: Ablation, tally: Tally) -> list[str]:
    """Say what the ablation shows, each figure with its interval and counts.

    Args:
        held: The ablation.
        tally: What the generators came to.

    Returns:
        The finding on synthetic images, one sentence per question and share, and reservations.
    """
    return [
        _say_finding(held, tally),
        *(_say_effect(effect, held, tally) for effect in held.effects),
        *_say_gate(tally),
        *_list_reservations(held, tally),
        SELECTION,
    ]


def _say_finding(held: Ablation, tally: Tally) -> str:
    """Say in one sentence what synthetic images did, of how many comparisons."""
    drawn = [effect for effect in held.effects if effect.added in (SYNTHETIC, BOTH)]
    asked = [effect for effect in drawn if tally.has_images(effect)]
    if not asked:
        return (
            f"No synthetic image was added in any of {_count(tally.n_trainings, 'training')} "
            f"({_say_reasons(tally)}): whether they help cannot be told."
        )
    said = []
    for verdict in ("helped", "harmed"):
        found = [effect for effect in asked if effect.verdict == verdict]
        if found:
            places = ", ".join(f"{_say_share(e.fraction)} ({_name(e)})" for e in found)
            said.append(f"{_VERBS[verdict]} at {places}")
    where = "" if len(asked) == len(drawn) else " at shares where any were added"
    rest = (
        f"of {len(asked)} comparisons{where}, after Holm's correction, on {held.n_test_subjects} "
        f"test subjects with {_count(len(held.seeds), 'seed')}"
    )
    if not said:
        return f"Synthetic images were not shown to help or to harm in any {rest}."
    return f"Synthetic images {' and '.join(said)}, {rest}."


def _say_effect(effect: Effect, held: Ablation, tally: Tally) -> str:
    """Say what one addition did on one share."""
    if not tally.has_images(effect):
        return (
            f"{_say_share(effect.fraction)} of the train subjects ({effect.n_subjects:.4g}): "
            f"{_name(effect)}: none were added, so that there is nothing to compare."
        )
    found = effect.found
    scores = {(score.variant, score.fraction): score.auc for score in held.scores}
    after, before = (scores[name, effect.fraction] for name in (effect.added, effect.to))
    if found.low is None or found.high is None or found.p_holm is None:
        interval = "no interval: every resample gives the same"
    else:
        interval = (
            f"{held.confidence:.0%} interval {_sign(found.low)} to {_sign(found.high)}, p "
            f"{found.p_holm:.2g} after Holm's correction"
        )
    return (
        f"{_say_share(effect.fraction)} of the train subjects ({effect.n_subjects:.4g}): "
        f"{_name(effect)} {_VERBS[effect.verdict]}: AUC {after:.3f} against {before:.3f}, "
        f"difference {_sign(found.difference)} ({interval}; ahead in {found.n_seeds_ahead} of "
        f"{_count(len(held.seeds), 'seed')})."
    )


def _say_gate(tally: Tally) -> Sequence[str]:
    """Say for how many generators the gate opened, what kept it shut, and what was made of it."""
    if not tally.n_judged:
        return []
    found = f"Of {_count(tally.n_judged, 'generator')} the gate opened for {tally.n_open}"
    by_share = [
        f"{held['n_open']} of {held['n_judged']} at {_say_share(cast(float, held['fraction']))}"
        for held in tally.shares
        if held["n_judged"]
    ]
    if len(by_share) > 1:
        found += f" ({', '.join(by_share)})"
    if tally.shut_by:
        shut = ", ".join(f"{name} ({n})" for name, n in tally.shut_by.items())
        found += f"; kept shut by {shut}"
    made = (
        "Only images that it accepted were added"
        if tally.is_obeyed
        else "It was not obeyed: all images that were drawn were added, whatever it said"
    )
    return [f"{found}. {made}. Its criterion of the explanations was not asked."]


def _list_reservations(held: Ablation, tally: Tally) -> Sequence[str]:
    """Say what weakens the figures."""
    said = []
    if len(held.seeds) < FEWEST_SEEDS:
        said.append(
            f"{_count(len(held.seeds), 'seed')}: fewer than the {FEWEST_SEEDS} that a claim needs, "
            "so these figures show no more than a tendency."
        )
    if tally.n_empty:
        said.append(
            f"To {tally.n_empty} of {tally.n_trainings} trainings with synthetic images none were "
            f"added ({_say_reasons(tally)}); there the network is the one without them, and a "
            "difference of nothing says nothing of such images."
        )
    if 2 / (held.n_resamples + 1) * len(held.effects) > 1 - held.confidence:
        said.append(
            f"{held.n_resamples} resamples are too few to show any of {len(held.effects)} "
            "comparisons after correction: raise evaluate.n_resamples."
        )
    return said


def _say_reasons(tally: Tally) -> str:
    """Say why none were added, with how many trainings."""
    return "; ".join(f"{reason}: {n}" for reason, n in tally.reasons.items())


def _name(effect: Effect) -> str:
    """Return what was added, in words."""
    return ADDED[effect.added, effect.to]


def _say_share(fraction: float) -> str:
    """Return a share in percent."""
    return f"{100 * fraction:g} %"


def _sign(value: float) -> str:
    """Return a number with its sign, a true minus."""
    return f"{value:+.3f}".replace("-", "−")


def _count(n: int, thing: str) -> str:
    """Return a count with its noun."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
