"""What is said of a scorecard: each finding with its side, and each reservation where it holds."""

from dataclasses import replace

import pytest
from scorecards import compute_card

from medvision.cli._scorecard.text import brief_saving, build_sentences, say_saving


@pytest.fixture(scope="module")
def card():
    return compute_card(n_resamples=2000)


def say(card, *, is_one_entrance: bool = True) -> list[str]:
    return build_sentences(card, is_one_entrance=is_one_entrance)


def with_verdicts(card, *verdicts: str):
    """The scorecard with the verdicts of its first comparisons set, all others not shown."""
    plain = [replace(held, verdict="not-shown") for held in card.advantages]
    for n, verdict in enumerate(verdicts):
        plain[n] = replace(plain[n], verdict=verdict)
    return replace(card, advantages=tuple(plain))


def test_each_finding_is_named_on_its_own_side(card):
    first = say(with_verdicts(card, "ahead", "behind"))[0]
    assert first == (
        "Of 12 comparisons with scratch, 2 hold after Holm's correction, on 72 test subjects with "
        "5 seeds; ahead of scratch: pretrain-linear at 10 %; behind scratch: pretrain-linear at "
        "25 %."
    )
    assert ", 1 holds after" in say(with_verdicts(card, "ahead"))[0]


def test_finding_nothing_is_a_sentence_of_its_own(card):
    first = say(with_verdicts(card))[0]
    assert first.startswith("No start was shown to be better or worse than scratch: of 12")


def test_each_arm_is_told_at_its_smallest_share(card):
    told = [text for text in say(card) if "of the train subjects (5)" in text]
    assert [text.partition(",")[0] for text in told] == [
        "pretrain-linear",
        "pretrain-full",
        "path-0123456789ab-full",
    ]
    assert all("from scratch, difference" in text for text in told)


def test_reservations_are_said_only_where_they_hold(card):
    assert len(say(card)) == 5
    few = replace(card, seeds=(0, 1, 2))
    assert "3 seeds: fewer than the 5 that a claim needs" in say(few)[4]
    blunt = replace(card, n_resamples=300)
    assert "300 resamples are too few to show any of 12 comparisons" in say(blunt)[4]
    assert "in another way than that from scratch" in say(card, is_one_entrance=False)[4]


def test_the_last_sentence_warns_of_selection(card):
    assert say(card)[-1].startswith("These are figures on the test subjects: to choose")


def test_subjects_saved_are_never_made_up(card):
    saved = card.savings[0]
    for needed, low, high, words, brief in (
        (
            24.2,
            16.7,
            34.6,
            "24.2 train subjects (95% interval 16.7 to 34.6).",
            "24.2 (16.7 to 34.6)",
        ),
        (None, 30.0, None, "more than 48.3 train subjects, not reached", ">48.3 (30 to >48.3)"),
        (None, None, None, "(95% interval more than 48.3).", ">48.3 (>48.3)"),
    ):
        held = replace(saved, needed=needed, low=low, high=high, is_at_most=False)
        assert words in say_saving(held, card)
        assert brief_saving(held, card) == brief
    least = replace(saved, needed=5.0, low=5.0, high=9.0, is_at_most=True)
    assert "no more than 5 train subjects, the smallest share" in say_saving(least, card)
    assert brief_saving(least, card) == "≤5 (≤5 to 9)"
