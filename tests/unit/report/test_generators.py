"""Generators of synthetic images on the page: whom they learnt from, what they drew, pictures."""

from dataclasses import replace

import numpy as np
import pytest
from reports import make_sources

from medvision.domain.synthesis.criterion import COLUMNS
from medvision.report.facts import build_facts
from medvision.report.gates import GateRow, describe_gates
from medvision.report.generators import build_generators, list_shown
from medvision.report.page import build_report


def add_generators(sources):
    """Two folds, with pictures after 500, 1000 and 1500 steps."""
    records = [
        {
            "step": f"synthesise/fold-{fold}",
            "seed": 41,
            "device": "cpu",
            "software": {},
            "version": "0.0.0",
            "reads": {},
            "writes": {
                f"synthesise/fold-{fold}/grids/step-{n:07d}.png": "0" * 64
                for n in (500, 1000, 1500)
            },
            "facts": {
                "n_learnt_from": 40 + fold,
                "n_subjects": 30,
                "n_synthetic": {"healthy": 20, "nodule": 7},
            },
        }
        for fold in (0, 1)
    ]
    history = [{"generator_loss": "9"}, {"generator_loss": "0.8", "discriminator_loss": "1.3"}]
    return replace(
        sources,
        records=[*sources.records, *records],
        tables={**sources.tables, "generator-0": history, "generator-1": history},
        settings={**sources.settings, "synthesise": {"generator": "gan", "steps": 1500}},
    )


def make_criterion(criterion, space, verdict, **cells):
    held = dict.fromkeys(COLUMNS, "") | {"statistic": "KID", "value": "0.5", "threshold": "0.25"}
    return held | {"criterion": criterion, "space": space, "verdict": verdict} | cells


def add_gates(sources):
    """A gate that opened, and one that did not."""
    found = [(True, "all 1 criteria passed", 25, 2), (False, "1 of 1 criteria not passed", 0, 3)]
    records = [
        {
            "step": f"gate/fold-{fold}",
            "facts": {
                "is_open": is_open,
                "reason": reason,
                "n_drawn": 27,
                "n_accepted": n_accepted,
                "n_refused": n_refused,
            },
        }
        for fold, (is_open, reason, n_accepted, n_refused) in enumerate(found)
    ]
    tables = {
        "gate-0": [make_criterion("quality", "fixed", "passed", reason="lie as near")],
        "gate-1": [
            make_criterion("memorisation", "pixels", "refused", reason="3 of 27 are copies"),
            make_criterion("quality", "backbone", "described", value="nan"),
        ],
    }
    return replace(
        sources,
        records=[*sources.records, *records],
        tables={**sources.tables, **tables},
    )


@pytest.fixture(scope="module")
def facts():
    return build_facts(add_generators(make_sources()), title="t", author=None)


def test_each_fold_says_whom_it_learnt_from_what_it_drew_and_its_last_losses(facts):
    rows = facts.generators.rows
    assert [(row.fold, row.n_images, row.n_subjects) for row in rows] == [(0, 40, 30), (1, 41, 30)]
    assert rows[0].drawn == "healthy 20, nodule 7"
    assert (rows[0].generator_loss, rows[0].discriminator_loss) == (0.8, 1.3)
    assert [sheet.n_steps for sheet in facts.generators.sheets] == [500, 1000, 1500]


def test_the_page_shows_the_table_and_the_pictures_that_it_was_given(facts):
    first, *others = (sheet.name for sheet in facts.generators.sheets)
    pictures = {name: np.full((4, 6), 200, dtype=np.uint8) for name in others}
    page = build_report(facts, views={}, pictures=pictures).html
    assert "trained for 1500 steps on that fold’s train subjects alone" in page
    assert "healthy 20, nodule 7" in page
    assert page.count('alt="Synthetic images. Fold 0 after') == 2
    assert "after 500 steps" not in page
    assert first == "generator-0-500"


def test_a_study_that_draws_nothing_says_nothing_of_it():
    assert build_generators(make_sources()).rows == ()
    page = build_report(build_facts(make_sources(), title="t", author=None), views={}).html
    assert "<h3>Synthetic images</h3>" not in page


def test_of_many_pictures_the_first_the_middle_and_the_last_are_shown():
    assert list_shown([1, 2, 3, 4, 5]) == [1, 3, 5]
    assert list_shown([1, 2]) == [1, 2]
    assert list_shown([7]) == [7]
    assert list_shown([]) == []


def test_each_gate_says_whether_it_opened_what_it_let_through_and_what_was_found():
    facts = build_facts(add_gates(add_generators(make_sources())), title="t", author=None)
    first, second = facts.generators.gates
    assert (first.is_open, first.n_accepted, second.is_open, second.n_accepted) == (
        *(True, 25),
        *(False, 0),
    )
    assert [row.verdict for row in second.criteria] == ["Refused", "Told, not judged"]
    assert second.criteria[1].value is None
    page = build_report(facts, views={}).html
    assert "Of 54 synthetic images, 25 may be used: 1 of 2 gates opened." in page
    assert "3 of 27 are copies" in page
    assert "1 of 1 criteria not passed" in page


def test_what_was_asked_of_explanations_is_named_by_method_and_check():
    sources = add_gates(add_generators(make_sources()))
    row = make_criterion("saliency", "layer_gradcam", "passed") | {"statistic": "loss of deletion"}
    other = make_criterion("saliency", "all methods", "passed") | {
        "statistic": "checks that can tell"
    }
    tables = {**sources.tables, "gate-0": [row, other]}
    facts = build_facts(replace(sources, tables=tables), title="t", author=None)
    own, last = facts.generators.gates[0].criteria
    assert (own.asked, own.space) == ("Explanations", "Grad-CAM")
    assert own.statistic == "Loss: Faithfulness (deletion)"
    assert (last.space, last.statistic) == ("all methods", "checks that can tell")


def test_without_a_gate_none_is_spoken_of(facts):
    assert facts.generators.gates == ()
    assert "<h4>The gate</h4>" not in build_report(facts, views={}).html


@pytest.mark.parametrize(
    ("is_open", "words"),
    [(True, "20 may be used: the gate opened."), (False, "0 may be used: the gate stayed shut.")],
)
def test_one_gate_is_spoken_of_as_one(is_open, words):
    gate = GateRow(0, is_open, 24, 20 if is_open else 0, 4, "", ())
    assert words in describe_gates((gate,))
    assert describe_gates(()) == ""
