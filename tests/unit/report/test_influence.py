"""Train images beside the explained ones on the page: with label and picture, and their limits."""

import re
from dataclasses import replace

import numpy as np
import pytest
from reports import IMAGES, LABELS, make_grids, make_sources

from medvision.report.case import build_case_view
from medvision.report.facts import build_facts
from medvision.report.influence import build_influence
from medvision.report.page import MAX_CASES, build_report

TRAIN = [f"sub-train{n:05d}_img-train{n:07d}" for n in range(4)]


def add_influence(sources, *, reason=None, n_compared=40):
    """The first explained image has a nearest of another label, and one that raised its loss."""
    other = "healthy" if LABELS[0] == "nodule" else "nodule"
    found = [
        ("nearest", 1, TRAIN[0], other, "0.61"),
        ("nearest", 2, TRAIN[1], LABELS[0], "0.74"),
        ("raised", 1, TRAIN[2], other, "-0.002"),
    ]
    rows = [
        {
            "image_id": IMAGES[0],
            "kind": kind,
            "rank": str(rank),
            "train_image_id": name,
            "train_subject": name.partition("_")[0],
            "train_label": label,
            "score": score,
            "n_checkpoints": "3",
        }
        for kind, rank, name, label, score in found
    ]
    network = {
        "n_train": 40,
        "n_compared": n_compared,
        "checkpoints": [{"epoch": n} for n in (3, 9, 15)],
        "reason": reason,
    }
    told = {"networks": [network], "limits": ["That leaving it out would matter was not tried."]}
    summary = {**sources.document("explain_summary"), "influence": told}
    return replace(
        sources,
        tables={**sources.tables, "influence": rows},
        documents={**sources.documents, "explain_summary": summary},
    )


@pytest.fixture(scope="module")
def page():
    facts = build_facts(add_influence(make_sources()), title="t", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(0))
        for case in facts.explanation.cases
    }
    pictures = {name: np.full((8, 8), 9, np.uint8) for name in TRAIN[:2]}
    return build_report(facts, views=views, pictures=pictures)


def test_they_stand_in_their_case_with_label_and_picture(page):
    (beside,) = re.findall(r'<div class="beside".*?</div>', page.html, re.DOTALL)
    assert "Nearest train images" in beside
    assert "Raised its loss most" in beside
    assert "Lowered its loss most" not in beside, "there is none"
    assert beside.count("<img") == 2, "the third has no picture, and keeps its label"
    assert beside.count('class="other"') == 2
    assert "0.61 sd" in beside


def test_the_page_says_over_how_many_checkpoints_and_what_it_cannot_show(page):
    assert "among 40 train images of each network; influence is summed over 3" in page.html
    assert "That leaving it out would matter was not tried." in page.html


def test_a_sample_of_the_train_images_and_a_reason_are_told():
    sources = add_influence(make_sources(), reason="no checkpoints were kept", n_compared=10)
    facts = build_influence(sources)
    assert "among 10 train images of each network, taken evenly from 40" in facts.sentence
    assert facts.reasons == ("no checkpoints were kept",)


def test_pictures_are_asked_for_as_many_cases_as_the_page_shows():
    sources = add_influence(make_sources())
    (row,) = [row for row in sources.table("influence") if row["train_image_id"] == TRAIN[0]]
    many = [{**row, "image_id": f"c{n}", "train_image_id": f"t{n}"} for n in range(MAX_CASES + 5)]
    selection = [{"image_id": own["image_id"], "label": "nodule"} for own in many]
    tables = {**sources.tables, "influence": many, "selection": selection}
    images = build_influence(replace(sources, tables=tables)).images
    assert images == [f"t{n}" for n in range(MAX_CASES)]


def test_only_the_images_shown_are_asked_for_and_each_once():
    assert build_influence(add_influence(make_sources())).images == TRAIN[:3]


def test_a_study_without_says_nothing():
    facts = build_influence(make_sources())
    assert (dict(facts.cases), facts.sentence, facts.images) == ({}, "", [])
