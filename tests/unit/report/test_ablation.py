"""The report says of the ablation what it shows, and nothing where there is none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from reports import make_sources
from scorecards import CLASSES, draw

from medvision.cli._ablation.tally import tally_images
from medvision.cli.ablation import _describe
from medvision.domain.scorecard.cells import Cell
from medvision.domain.synthesis.ablation import VARIANTS, compute_ablation
from medvision.report.facts import build_facts
from medvision.report.page import build_report

SIZES = {0.1: 5.0, 0.25: 12.0, 1.0: 48.3}
STRENGTHS = {
    "plain": (0.2, 0.5, 1.6),
    "classical": (0.3, 0.8, 1.7),
    "gan": (1.8, 0.9, 1.6),
    "both": (0.3, 0.8, 0.4),
}


def make_ablation(gate="obey"):
    """Return the content of `ablation/ablation.json`, of drawn predictions."""
    cells = [
        Cell(name, fraction, size, draw(STRENGTHS[name][n], place, noise=0.5))
        for n, (fraction, size) in enumerate(SIZES.items())
        for place, name in enumerate(VARIANTS)
    ]
    held = compute_ablation(cells, {}, classes=CLASSES, n_resamples=1000, confidence=0.95, seed=3)
    places = [
        (f"{fraction:g}", str(fold), str(seed))
        for fraction in SIZES
        for fold in range(3)
        for seed in range(5)
    ]
    trainings = [
        {"variant": name, **dict(zip(PLACE, place, strict=True)), **count(*place, gate=gate)}
        for name in VARIANTS
        for place in places
    ]
    gates = [
        {**dict(zip(PLACE, place, strict=True)), "criterion": criterion, "verdict": verdict}
        for place in places
        if place[0] != "0.1"
        for criterion, verdict in (
            ("quality", "passed"),
            ("diversity", "refused" if is_shut(*place) else "passed"),
        )
    ]
    tally = tally_images(trainings, gates, gate=gate)
    return json.loads(json.dumps(_describe(held, trainings, tally=tally, classes=CLASSES)))


PLACE = ("fraction", "fold", "seed")


def is_shut(fraction: str, fold: str, seed: str) -> bool:
    """Three of the five generators of each fold of the middle share draw too much alike."""
    return fraction == "0.25" and int(seed) < 3


def count(fraction: str, fold: str, seed: str, *, gate: str) -> dict[str, str]:
    """What a generator gave: none at the smallest share, and 31 of 40 where the gate is open."""
    if fraction == "0.1":
        reason = "too few subjects of a class for a generator"
        drawn, refused, added, verdict = "0", "0", "0", ""
    elif is_shut(fraction, fold, seed) and gate == "obey":
        drawn, refused, added, verdict, reason = "40", "9", "0", "shut", "the gate is shut"
    else:
        verdict = "shut" if is_shut(fraction, fold, seed) else "open"
        drawn, refused, reason = "40", "9", ""
        added = "31" if gate == "obey" else "40"
    counts = {"n_drawn": drawn, "n_refused": refused, "n_added": added}
    return {**counts, "gate": verdict, "reason": reason}


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
    assert {row.verdict for row in facts.effects} == {
        "Helped",
        "Did harm",
        "Not shown",
        "None added",
    }
    for row in facts.effects:
        shown = f"{row.difference:+.3f}".replace("-", "−")
        shown = "0.000" if shown.endswith("0.000") else shown
        assert f"<strong>{shown}</strong>" in report.html
    assert "ablation.png" in report.figures


def test_the_finding_is_in_the_summary_and_names_help_and_harm(held) -> None:
    line = facts_of(held).summary_lines[-1]
    assert line.startswith("Synthetic images helped at 25 % (synthetic images alone)")
    assert "of 4 comparisons at shares where any were added" in line
    assert "did harm at 100 % (synthetic images beside random changes)" in line


def test_shares_to_which_nothing_was_added_are_counted_with_their_reason(report) -> None:
    assert "too few subjects of a class for a generator" in report.html
    assert "To 48 of 90 trainings with synthetic images none were added" in report.html


def test_where_none_were_added_nothing_is_said_to_have_helped(held) -> None:
    facts = facts_of(held).ablation
    rows = [row for row in facts.effects if row.fraction == 0.1]
    verdicts = {(row.added, row.to): row.verdict for row in rows}
    assert verdicts["Synthetic images", "Nothing added"] == "None added"
    assert verdicts["Synthetic images", "Random changes"] == "None added"
    assert verdicts["Random changes", "Nothing added"] != "None added"
    assert (
        "synthetic images alone: none were added, so that there is nothing to compare"
        in " ".join(facts.sentences)
    )


def test_it_is_said_for_how_many_generators_the_gate_opened_and_what_kept_it_shut(held) -> None:
    facts = facts_of(held)
    said = " ".join(facts.ablation.sentences)
    assert "Of 30 generators the gate opened for 21 (6 of 15 at 25 %, 15 of 15 at 100 %)" in said
    assert "kept shut by diversity (9). Only images that it accepted were added." in said
    assert "criterion of the explanations was not asked" in said
    told = dict(facts.methods.paragraphs)["Synthetic images"]
    assert "opened for 21 of 30 generators, and only those it accepted were added" in told


def test_the_page_has_the_gates_verdicts_by_share(report) -> None:
    assert '<td class="num">6 of 15</td><td class="note">diversity 9</td>' in report.html
    assert "Only images that the gate accepted were added." in report.html


def test_a_gate_that_was_not_obeyed_is_told_all_the_same() -> None:
    facts = facts_of(make_ablation("ignore"))
    said = " ".join(facts.ablation.sentences)
    assert "the gate opened for 21" in said
    assert "It was not obeyed: all images that were drawn were added" in said
    told = dict(facts.methods.paragraphs)["Synthetic images"]
    assert "all were added nevertheless" in told
    page = build_report(facts, views={})
    assert "The gate was not obeyed: all were added." in page.html


def write_page(path: Path) -> Path:
    """Write the page, to be looked at."""
    path.write_text(build_report(facts_of(make_ablation()), views={}).html)
    return path
