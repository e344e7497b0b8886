"""The scorecard in words: what was found, what was not, and what it may not be used for."""

from medvision.config.scorecard import FEWEST_SEEDS
from medvision.domain.scorecard.cells import SCRATCH
from medvision.domain.scorecard.compare import Advantage, Saving, Score, Scorecard

SELECTION = (
    "These are figures on the test subjects: to choose a start by this table and then to quote its "
    "AUC from it is selection on the test set; a chosen start needs subjects that the table has "
    "not seen."
)


def build_sentences(card: Scorecard, *, is_one_entrance: bool) -> list[str]:
    """Say what the scorecard shows, each figure with its interval and counts.

    Args:
        card: The scorecard.
        is_one_entrance: Whether every arm has the network form of scratch.

    Returns:
        The finding over all comparisons, one sentence per arm, and the reservations.
    """
    level = f"{card.confidence:.0%} interval"
    arms = dict.fromkeys(held.arm for held in card.advantages)
    return [
        _say_finding(card),
        *(_say_arm(card, arm, level=level) for arm in arms),
        *_list_reservations(card, is_one_entrance=is_one_entrance),
        SELECTION,
    ]


def _say_finding(card: Scorecard) -> str:
    """Say in one sentence how many comparisons were found, and of how many."""
    n = len(card.advantages)
    family = f"{n} {'comparison' if n == 1 else 'comparisons'} with scratch"
    rest = f"on {card.n_test_subjects} test subjects with {_count(len(card.seeds), 'seed')}"
    sides = {
        words: [held for held in card.advantages if held.verdict == verdict]
        for verdict, words in (("ahead", "ahead of scratch"), ("behind", "behind scratch"))
    }
    if not any(sides.values()):
        return (
            f"No start was shown to be better or worse than scratch: of {family} none holds after "
            f"Holm's correction, {rest}."
        )
    found = [
        f"{words}: " + ", ".join(f"{h.arm} at {_say_share(h.fraction)}" for h in held)
        for words, held in sides.items()
        if held
    ]
    n_shown = sum(len(held) for held in sides.values())
    verb = "holds" if n_shown == 1 else "hold"
    return f"Of {family}, {n_shown} {verb} after Holm's correction, {rest}; {'; '.join(found)}."


def _say_arm(card: Scorecard, arm: str, *, level: str) -> str:
    """Say what one start has at its smallest share, and what that saves."""
    held = min((a for a in card.advantages if a.arm == arm), key=lambda a: a.fraction)
    score = next(s for s in card.scores if (s.arm, s.fraction) == (arm, held.fraction))
    other = next(s for s in card.scores if (s.arm, s.fraction) == (SCRATCH, held.fraction))
    saved = next(s for s in card.savings if (s.arm, s.fraction) == (arm, held.fraction))
    return (
        f"{arm}, {_say_share(held.fraction)} of the train subjects ({_say_size(held.n_subjects)}): "
        f"AUC {_say_score(score)} against {_say_score(other)} from scratch, difference "
        f"{_say_difference(held, level=level)}. {say_saving(saved, card)}"
    )


def say_saving(saved: Saving, card: Scorecard) -> str:
    """Say how many train subjects scratch needs for the AUC of one cell.

    Args:
        saved: The figure.
        card: The scorecard, for the sizes and the level.
    """
    smallest, largest = min(card.sizes.values()), max(card.sizes.values())
    if saved.needed is None:
        needed = f"more than {_say_size(largest)} train subjects, not reached"
    elif saved.is_at_most:
        needed = f"no more than {_say_size(smallest)} train subjects, the smallest share"
    else:
        needed = f"{_say_size(saved.needed)} train subjects"
    low = f"more than {_say_size(largest)}" if saved.low is None else _say_size(saved.low)
    high = f"more than {_say_size(largest)}" if saved.high is None else _say_size(saved.high)
    between = f"{low}" if low == high else f"{low} to {high}"
    return f"For that AUC scratch needs {needed} ({card.confidence:.0%} interval {between})."


def brief_saving(saved: Saving, card: Scorecard) -> str:
    """Return the same in a cell's width: number and interval, with signs for what is beyond."""
    smallest, largest = min(card.sizes.values()), max(card.sizes.values())

    def show(value: float | None) -> str:
        if value is None:
            return f">{_say_size(largest)}"
        return f"≤{_say_size(smallest)}" if value <= smallest else _say_size(value)

    needed, low, high = (show(value) for value in (saved.needed, saved.low, saved.high))
    return f"{needed} ({low})" if low == high else f"{needed} ({low} to {high})"


def _list_reservations(card: Scorecard, *, is_one_entrance: bool) -> list[str]:
    """Say what weakens the figures."""
    said = []
    if len(card.seeds) < FEWEST_SEEDS:
        said.append(
            f"{_count(len(card.seeds), 'seed')}: fewer than the {FEWEST_SEEDS} that a claim needs, "
            "so these figures show no more than a tendency."
        )
    if 2 / (card.n_resamples + 1) * len(card.advantages) > 1 - card.confidence:
        said.append(
            f"{card.n_resamples} resamples are too few to show any of {len(card.advantages)} "
            "comparisons after correction: raise evaluate.n_resamples."
        )
    if not is_one_entrance:
        said.append(
            "Images enter some of the networks in another way than that from scratch, which has "
            "the form of the first source: part of those differences may lie there."
        )
    return said


def _say_score(score: Score) -> str:
    """Return an AUC with its deviation over seeds."""
    spread = "" if score.sd_over_seeds is None else f" ± {score.sd_over_seeds:.3f}"
    return f"{score.auc:.3f}{spread}"


def _say_difference(held: Advantage, *, level: str) -> str:
    """Return a difference with its interval and corrected p-value."""
    if held.low is None or held.high is None or held.p_holm is None:
        return f"{_sign(held.difference)} (no interval: every resample gives the same)"
    return (
        f"{_sign(held.difference)} ({level} {_sign(held.low)} to {_sign(held.high)}, "
        f"p {held.p_holm:.2g} after Holm's correction)"
    )


def _sign(value: float) -> str:
    """Return a number with its sign, a true minus."""
    return f"{value:+.3f}".replace("-", "−")


def _say_share(fraction: float) -> str:
    """Return a share in percent."""
    return f"{100 * fraction:g} %"


def _say_size(n: float) -> str:
    """Return a number of subjects; the mean over folds may be no whole one."""
    return f"{n:.0f}" if abs(n - round(n)) < 0.05 or n >= 100 else f"{n:.1f}"


def _count(n: int, thing: str) -> str:
    """Return a count with its noun."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
