"""The ablation of synthetic images: what is held against what, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest

from medvision.domain.labels.rows import Classes
from medvision.domain.metrics.weighted import compute_auc
from medvision.domain.prediction import Predictions, Round
from medvision.domain.resampling.bootstrap import draw_weights
from medvision.domain.scorecard.cells import Cell
from medvision.domain.synthesis.ablation import PAIRS, VARIANTS, compute_ablation
from medvision.errors import DataError

CLASSES = Classes(("healthy", "sick"), "sick")
N = 60
FRACTIONS = (0.25, 1.0)
SETTINGS = {"n_resamples": 400, "confidence": 0.95, "seed": 3}
HELPS = {"plain": (0.3, 1.2), "classical": (0.5, 1.2), "gan": (2.5, 1.2), "both": (0.5, 0.1)}


def make_rounds(strength: float, *, seeds=range(5), key: int = 0):
    """Scores with a part that all networks share, since hard images are hard for all."""
    labels = np.arange(N) % 2
    common = np.random.default_rng(99).normal(size=N)
    rounds = {}
    for seed in seeds:
        own = np.random.default_rng([key, seed]).normal(size=N)
        score = strength * labels + 0.9 * common + 0.4 * own
        scores = np.column_stack([-score, score])
        rounds[Round(0, 0, seed)] = Predictions(
            image_ids=tuple(f"img-{n:02d}" for n in range(N)),
            subjects=tuple(f"sub-{n // 2:02d}" for n in range(N)),
            trainings=(np.arange(N) // 4 % 2).astype(np.intp),
            folds=(np.arange(N) // 4 % 2).astype(np.intp),
            labels=labels.astype(np.intp),
            probabilities=1 / (1 + np.exp(-scores)),
            scores=scores,
        )
    return rounds


def make_cells(strengths=HELPS, *, same_noise=False):
    return [
        Cell(name, fraction, 40 * fraction, make_rounds(value, key=0 if same_noise else 10 * a + f))
        for a, (name, values) in enumerate(strengths.items())
        for f, (fraction, value) in enumerate(zip(FRACTIONS, values, strict=True))
    ]


def compute(cells):
    return compute_ablation(cells, {}, classes=CLASSES, **SETTINGS)


@pytest.fixture(scope="module")
def found():
    return compute(make_cells())


def find(found, added: str, fraction: float):
    return next(held for held in found.effects if (held.added, held.fraction) == (added, fraction))


def test_every_share_is_asked_the_three_questions_in_their_order(found) -> None:
    asked = [(held.fraction, held.added, held.to) for held in found.effects]
    assert asked == [(fraction, a, b) for fraction in FRACTIONS for a, b in PAIRS]


def test_what_helps_is_said_to_help_and_what_harms_to_harm(found) -> None:
    assert find(found, "gan", 0.25).verdict == "helped"
    assert find(found, "both", 1.0).verdict == "harmed"


def test_a_difference_within_noise_is_not_shown_and_its_interval_crosses_zero(found) -> None:
    held = find(found, "gan", 1.0)
    assert held.verdict == "not-shown"
    assert held.found.low < 0 < held.found.high


def test_a_variant_that_is_equal_to_the_bit_has_no_interval_and_no_verdict() -> None:
    found = compute(make_cells(dict.fromkeys(VARIANTS, (0.5, 0.5)), same_noise=True))
    assert {held.verdict for held in found.effects} == {"not-shown"}
    assert {(held.found.difference, held.found.low) for held in found.effects} == {(0.0, None)}


def test_the_difference_and_its_interval_are_those_of_a_slow_loop(found) -> None:
    cells = {(cell.arm, cell.fraction): cell for cell in make_cells()}
    a, b = cells["gan", 0.25], cells["plain", 0.25]
    first = a.rounds[Round(0, 0, 0)]
    weights = np.concatenate(
        list(draw_weights(list(first.subjects), first.folds, labels=first.labels,
                          n_resamples=400, seed=3))
    )  # fmt: skip
    rng, replicates = np.random.default_rng([3, 1]), []
    shares = rng.multinomial(5, [0.2] * 5, size=400)
    for row, share in zip(weights, shares, strict=True):
        total = 0.0
        for seed in range(5):
            pair = [
                compute_auc(cell.rounds[Round(0, 0, seed)].scores[:, 1], first.labels == 1,
                            folds=first.folds, weights=row[None])[0]
                for cell in (a, b)
            ]  # fmt: skip
            total += share[seed] * (pair[0] - pair[1]) / 5
        replicates.append(total)
    held = find(found, "gan", 0.25).found
    assert held.low == pytest.approx(np.quantile(replicates, 0.025), abs=1e-12)
    assert held.high == pytest.approx(np.quantile(replicates, 0.975), abs=1e-12)


def test_all_comparisons_are_corrected_together(found) -> None:
    values = sorted(held.found.p for held in found.effects)
    least = min(held.found.p_holm for held in found.effects)
    assert least == pytest.approx(len(PAIRS) * len(FRACTIONS) * values[0])


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda cells: cells[:-1], "got no both at 1"),
        (lambda cells: [*cells, cells[0]], "others, or one twice"),
        (
            lambda cells: [
                replace(cells[0], rounds=make_rounds(0.3, seeds=range(4))), *cells[1:]
            ],
            "the same seeds",
        ),
    ],
    ids=["missing", "twice", "a seed less"],
)  # fmt: skip
def test_cells_that_cannot_be_compared_are_refused(spoil, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        compute(spoil(make_cells()))
