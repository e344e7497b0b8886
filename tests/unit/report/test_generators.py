"""Generators of synthetic images on the page: whom they learnt from, what they drew, pictures."""

from dataclasses import replace

import numpy as np
import pytest
from reports import make_sources

from medvision.report.facts import build_facts
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
