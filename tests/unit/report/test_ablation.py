"""The report says of the ablation what it shows, and nothing where there is none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reports import make_sources

from medvision.cli.ablation import _describe
from medvision.domain.ablation import VARIANTS, compute_ablation
from medvision.domain.labels import Classes
from medvision.domain.prediction import Predictions, Round
from medvision.domain.scorecard.cells import Cell
from medvision.report.facts import build_facts
from medvision.report.page import build_report

CLASSES = Classes(("healthy", "nodule"), "nodule")
SIZES = {0.1: 5.0, 0.25: 12.0, 1.0: 48.3}
STRENGTHS = {
    "plain": (0.2, 0.5, 1.6),
    "classical": (0.3, 0.8, 1.7),
    "gan": (1.8, 0.9, 1.6),
    "both": (0.3, 0.8, 0.4),
}


def draw(strength: float, place: int, *, n_seeds=5, n=72):
    labels = np.arange(n) % 2
    common = np.random.default_rng(9).normal(size=n)
    rounds = {}
    for seed in range(n_seeds):
        own = np.random.default_rng([place, seed, int(100 * strength)]).normal(size=n)
        score = strength * labels + 0.8 * common + 0.5 * own
        rounds[Round(0, 0, seed)] = Predictions(
            image_ids=tuple(f"img-{k:03d}" for k in range(n)),
            subjects=tuple(f"sub-{k:03d}" for k in range(n)),
            trainings=(np.arange(n) // 2 % 3).astype(np.intp),
            folds=(np.arange(n) // 2 % 3).astype(np.intp),
            labels=labels.astype(np.intp),
            probabilities=np.full((n, 2), 0.5),
            scores=np.column_stack([-score, score]),
        )
    return rounds


def make_ablation():
    """Return the content of `ablation/ablation.json`, of drawn predictions."""
    cells = [
        Cell(name, fraction, size, draw(STRENGTHS[name][n], place))
        for n, (fraction, size) in enumerate(SIZES.items())
        for place, name in enumerate(VARIANTS)
    ]
    held = compute_ablation(cells, {}, classes=CLASSES, n_resamples=1000, confidence=0.95, seed=3)
    trainings = [
        {
            "variant": name,
            "fold": str(fold),
            "fraction": f"{fraction:g}",
            "n_drawn": "40" if fraction > 0.1 else "0",
            "n_added": "31" if fraction > 0.1 else "0",
            "reason": "" if fraction > 0.1 else "too few subjects of a class for a generator",
        }
        for name in VARIANTS
        for fraction in SIZES
        for fold in range(3)
        for _ in range(5)
    ]
    return json.loads(json.dumps(_describe(held, trainings, classes=CLASSES)))


def facts_of(ablation):
    sources = make_sources(explained=0)
    documents = {**sources.documents, **({"ablation": ablation} if ablation else {})}
    return build_facts(replace(sources, documents=documents), title="t", author=None)


@pytest.fixture(scope="module")
def held():
    return make_ablation()


@pytest.fixture(scope="module")
def report(held):
    return build_report(facts_of(held), views={})


def test_without_an_ablation_nothing_is_said_of_one() -> None:
    page = build_report(facts_of(None), views={})
    assert 'id="ablation"' not in page.html
    assert "ablation.png" not in page.figures


def test_every_question_has_its_difference_interval_and_verdict_on_the_page(held, report) -> None:
    facts = facts_of(held).ablation
    assert len(facts.effects) == 3 * len(SIZES)
    assert {row.verdict for row in facts.effects} == {"Helped", "Did harm", "Not shown"}
    for row in facts.effects:
        shown = f"{row.difference:+.3f}".replace("-", "−")
        shown = "0.000" if shown.endswith("0.000") else shown
        assert f"<strong>{shown}</strong>" in report.html
    assert "ablation.png" in report.figures


def test_the_finding_is_in_the_summary_and_names_help_and_harm(held) -> None:
    line = facts_of(held).summary_lines[-1]
    assert line.startswith("Synthetic images helped at 10 % (synthetic images alone)")
    assert "did harm at 100 % (synthetic images beside random changes)" in line


def test_shares_to_which_nothing_was_added_are_counted_with_their_reason(report) -> None:
    assert "too few subjects of a class for a generator" in report.html
    assert "To 30 of 90 trainings with synthetic images none were added" in report.html


def test_it_is_said_that_nothing_was_held_back(held) -> None:
    facts = facts_of(held)
    assert "nothing was asked of their quality" in " ".join(facts.ablation.sentences)
    assert "All images drawn were added" in dict(facts.methods.paragraphs)["Synthetic images"]


def write_page(path: Path) -> Path:
    """Write the page, to be looked at."""
    path.write_text(build_report(facts_of(make_ablation()), views={}).html)
    return path
