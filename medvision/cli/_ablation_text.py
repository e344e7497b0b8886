"""The ablation in words: whether what was added helped, did harm, or was not shown to do either."""

from collections.abc import Sequence

from medvision.config.ablation import FEWEST_SEEDS
from medvision.domain.ablation import BOTH, CLASSICAL, PLAIN, SYNTHETIC, Ablation, Effect

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


def build_sentences(held: Ablation, *, n_empty: int, n_drawn: int) -> list[str]:
    """Say what the ablation shows, each figure with its interval and counts.

    Args:
        held: The ablation.
        n_empty: Trainings with synthetic images to which none were added.
        n_drawn: All trainings with synthetic images.

    Returns:
        The finding on synthetic images, one sentence per question and share, and reservations.
    """
    return [
        _say_finding(held),
        *(_say_effect(effect, held) for effect in held.effects),
        *_list_reservations(held, n_empty=n_empty, n_drawn=n_drawn),
        SELECTION,
    ]


def _say_finding(held: Ablation) -> str:
    """Say in one sentence what synthetic images did, of how many comparisons."""
    asked = [effect for effect in held.effects if effect.added in (SYNTHETIC, BOTH)]
    said = []
    for verdict in ("helped", "harmed"):
        found = [effect for effect in asked if effect.verdict == verdict]
        if found:
            places = ", ".join(f"{_say_share(e.fraction)} ({_name(e)})" for e in found)
            said.append(f"{_VERBS[verdict]} at {places}")
    rest = (
        f"of {len(asked)} comparisons, after Holm's correction, on {held.n_test_subjects} test "
        f"subjects with {_count(len(held.seeds), 'seed')}"
    )
    if not said:
        return f"Synthetic images were not shown to help or to harm in any {rest}."
    return f"Synthetic images {' and '.join(said)}, {rest}."


def _say_effect(effect: Effect, held: Ablation) -> str:
    """Say what one addition did on one share."""
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


def _list_reservations(held: Ablation, *, n_empty: int, n_drawn: int) -> Sequence[str]:
    """Say what weakens the figures."""
    said = []
    if len(held.seeds) < FEWEST_SEEDS:
        said.append(
            f"{_count(len(held.seeds), 'seed')}: fewer than the {FEWEST_SEEDS} that a claim needs, "
            "so these figures show no more than a tendency."
        )
    if n_empty:
        said.append(
            f"To {n_empty} of {n_drawn} trainings with synthetic images none were added: a class "
            "had too few subjects for a generator; there the network is the one without them, and "
            "a difference of nothing says nothing of such images."
        )
    if n_empty < n_drawn:
        said.append(
            "All images that were drawn were added: nothing was asked of their quality, nor "
            "whether they copy a subject."
        )
    if 2 / (held.n_resamples + 1) * len(held.effects) > 1 - held.confidence:
        said.append(
            f"{held.n_resamples} resamples are too few to show any of {len(held.effects)} "
            "comparisons after correction: raise evaluate.n_resamples."
        )
    return said


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
