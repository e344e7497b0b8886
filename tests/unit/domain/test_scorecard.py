"""The scorecard's statistics: paired, honest about seeds, censored where need be."""

from dataclasses import replace

import numpy as np
import pytest

from medvision.domain.labels.rows import Classes
from medvision.domain.prediction import Predictions, Round
from medvision.domain.resampling.bootstrap import draw_weights
from medvision.domain.scorecard.cells import Cell
from medvision.domain.scorecard.compare import compute_scorecard
from medvision.errors import DataError

CLASSES = Classes(("healthy", "sick"), "sick")
N = 60
FRACTIONS = (0.25, 0.5, 1.0)
SETTINGS = {"n_resamples": 400, "confidence": 0.95, "seed": 3}


def make_rounds(strength: float, *, seeds=range(5), key: int = 0, shared: float = 0.9):
    """Scores with a part that all networks share, since hard images are hard for all."""
    labels = np.arange(N) % 2
    common = np.random.default_rng(99).normal(size=N)
    rounds = {}
    for seed in seeds:
        own = np.random.default_rng([key, seed]).normal(size=N)
        score = strength * labels + shared * common + np.sqrt(1 - shared**2) * own
        scores = np.column_stack([-score, score])
        rounds[Round(0, 0, seed)] = Predictions(
            image_ids=tuple(f"img-{n:02d}" for n in range(N)),
            subjects=tuple(f"sub-{n:02d}" for n in range(N)),
            trainings=(np.arange(N) // 2 % 2).astype(np.intp),
            folds=(np.arange(N) // 2 % 2).astype(np.intp),
            labels=labels.astype(np.intp),
            probabilities=1 / (1 + np.exp(-scores)),
            scores=scores,
        )
    return rounds


def make_cells(strengths, *, seeds=range(5)):
    """`strengths`: arm to its strength by share."""
    return [
        Cell(arm, fraction, 40 * fraction, make_rounds(value, seeds=seeds, key=10 * a + f))
        for a, (arm, values) in enumerate(strengths.items())
        for f, (fraction, value) in enumerate(zip(FRACTIONS, values, strict=True))
    ]


def compute(cells, **changes):
    return compute_scorecard(cells, {}, classes=CLASSES, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def found():
    return compute(make_cells({"scratch": (0.3, 0.6, 1.2), "good-full": (0.9, 2.5, 2.6)}))


def slow_auc(scores, labels, folds, counts) -> float:
    """Pairs of one fold, each as often as its two images were drawn."""
    won = total = 0.0
    for i in np.flatnonzero(labels == 1):
        for j in np.flatnonzero((labels == 0) & (folds == folds[i])):
            pairs = counts[i] * counts[j]
            won += pairs * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
            total += pairs
    return won / total


def test_every_resample_is_the_mean_auc_over_the_seeds_drawn_with_it():
    """The oracle: pairs counted one by one, seeds drawn one by one, the same for both arms."""
    cells = make_cells({"scratch": (0.3, 0.6, 1.2), "good-full": (0.9, 2.5, 2.6)}, seeds=(0, 1))
    found = compute(cells, n_resamples=15)
    first = cells[0].rounds[Round(0, 0, 0)]
    subjects = list(first.subjects)
    (weights,) = draw_weights(subjects, first.folds, labels=first.labels, n_resamples=15, seed=3)
    shares = np.random.default_rng([3, 1]).multinomial(2, [0.5, 0.5], size=15)

    def replicate(cell):
        areas = [
            [slow_auc(held.scores[:, 1], held.labels, held.folds, row) for row in weights]
            for held in cell.rounds.values()
        ]
        return np.array([(shares[r] * [areas[0][r], areas[1][r]]).sum() / 2 for r in range(15)])

    for cell, score in zip(cells, found.scores, strict=True):
        assert [score.low, score.high] == pytest.approx(
            np.quantile(replicate(cell), [0.025, 0.975])
        )
    gap = replicate(cells[3]) - replicate(cells[0])
    assert [found.advantages[0].low, found.advantages[0].high] == pytest.approx(
        np.quantile(gap, [0.025, 0.975])
    )


def test_a_score_is_the_mean_over_seeds_with_their_deviation(found):
    for score in found.scores:
        assert score.auc == pytest.approx(np.mean(score.by_seed))
        assert score.sd_over_seeds == pytest.approx(np.std(score.by_seed, ddof=1))
        assert score.low <= score.auc <= score.high
    assert found.seeds == (0, 1, 2, 3, 4)
    assert (found.n_test_subjects, found.n_images, found.metric) == (N, N, "auc")


def test_a_paired_difference_is_tighter_than_the_two_arms_apart(found):
    for held in found.advantages:
        arms = [s for s in found.scores if s.fraction == held.fraction]
        apart = np.hypot(*[s.high - s.low for s in arms])
        assert held.high - held.low < apart
        assert held.difference == pytest.approx(arms[1].auc - arms[0].auc)


def test_a_much_better_start_is_found_ahead_and_saves_subjects(found):
    small = found.advantages[0]
    assert (small.arm, small.fraction, small.verdict) == ("good-full", 0.25, "ahead")
    assert small.n_seeds_ahead == 5
    assert small.p_holm >= small.p
    saved = found.savings[0]
    assert saved.needed > saved.n_subjects == 10
    assert saved.low <= saved.needed


def test_what_scratch_never_reaches_is_said_to_be_more_than_all(found):
    last = found.savings[-1]
    assert last.needed is None
    assert last.high is None
    assert last.share_not_reached > 0.9


def test_a_start_worth_nothing_is_not_called_ahead():
    cells = make_cells({"scratch": (0.4, 0.8, 1.2)})
    twins = [
        replace(cell, arm="same-full", rounds=make_rounds(strength, key=77 + n))
        for n, (cell, strength) in enumerate(zip(cells, (0.4, 0.8, 1.2), strict=True))
    ]
    found = compute([*cells, *twins])
    for held in found.advantages:
        assert held.low <= 0 <= held.high
        assert held.verdict == "not-shown"


def test_an_arm_equal_to_scratch_cannot_be_judged_and_needs_as_many_subjects():
    cells = make_cells({"scratch": (0.3, 0.8, 1.6)})
    found = compute([*cells, *(replace(cell, arm="same-full") for cell in cells)])
    for held, saved in zip(found.advantages, found.savings, strict=True):
        assert (held.difference, held.low, held.p, held.verdict) == (0, None, None, "not-shown")
        assert saved.needed == pytest.approx(saved.n_subjects)


def test_seeds_that_disagree_widen_the_interval_of_the_same_mean():
    """A bootstrap of subjects alone would give both the same certainty."""
    cells = make_cells({"scratch": (0.3, 0.6, 1.0)})
    steady, lucky = (
        [
            replace(
                cell,
                arm="other-full",
                rounds={
                    place: make_rounds(value, seeds=[place.seed], key=5)[place]
                    for place, value in zip(cell.rounds, values, strict=True)
                },
            )
            for cell in cells
        ]
        for values in ((1.0,) * 5, (0.0, 0.0, 0.5, 2.0, 2.5))
    )
    widths = [
        [s.high - s.low for s in compute([*cells, *other]).scores if s.arm == "other-full"]
        for other in (steady, lucky)
    ]
    assert all(wide > 1.3 * narrow for narrow, wide in zip(*widths, strict=True))


def test_one_seed_has_no_deviation():
    found = compute(make_cells({"scratch": (0.3, 0.6, 1.2), "a-full": (1, 1, 1)}, seeds=(4,)))
    assert {score.sd_over_seeds for score in found.scores} == {None}
    assert found.seeds == (4,)


def test_the_mean_over_classes_is_taken_of_more_than_two():
    cells = make_cells({"scratch": (0.3, 0.6, 1.2)})
    three = [
        replace(
            cell,
            rounds={
                place: replace(
                    held,
                    labels=(np.arange(N) % 3).astype(np.intp),
                    scores=np.column_stack([held.scores, held.scores[:, 0]]),
                    folds=np.zeros(N, dtype=np.intp),
                )
                for place, held in cell.rounds.items()
            },
        )
        for cell in cells
    ]
    found = compute_scorecard(three, {}, classes=Classes(("a", "b", "c"), None), **SETTINGS)
    assert found.metric == "auc_macro"
    held = three[0].rounds[Round(0, 0, 0)]
    ones = np.ones(N)
    areas = [slow_auc(held.scores[:, c], held.labels == c, held.folds, ones) for c in range(3)]
    assert found.scores[0].by_seed[0] == pytest.approx(np.mean(areas))


def test_cells_that_cannot_be_paired_are_refused():
    cells = make_cells({"scratch": (0.3, 0.6, 1.2), "a-full": (1, 1, 1)})
    with pytest.raises(DataError, match=r"every arm must be trained once on every share"):
        compute(cells[:-1])
    with pytest.raises(DataError, match=r"scratch too"):
        compute(cells[3:])
    with pytest.raises(DataError, match=r"same seeds"):
        compute([*cells[:-1], replace(cells[-1], rounds=make_rounds(1, seeds=(0, 1)))])
    other = {
        place: replace(held, image_ids=tuple(f"other-{n:02d}" for n in range(N)))
        for place, held in cells[-1].rounds.items()
    }
    with pytest.raises(DataError, match=r"same test images"):
        compute([*cells[:-1], replace(cells[-1], rounds=other)])


def test_the_same_seed_gives_the_same_scorecard(found):
    again = compute(make_cells({"scratch": (0.3, 0.6, 1.2), "good-full": (0.9, 2.5, 2.6)}))
    assert again == found
