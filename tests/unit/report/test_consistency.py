"""Consistency on the page: curves, table and matrix, and nothing where there is nothing."""

from dataclasses import replace

import pytest
from consistency_facts import HELD
from reports import make_sources

from medvision.domain.record import JsonValue
from medvision.report.consistency import (
    ConsistencyFacts,
    Figure,
    build_consistency,
    describe_consistency,
)
from medvision.report.facts import build_facts
from medvision.report.figure_cascade import draw_cascade
from medvision.report.page import build_report
from medvision.report.sources import Sources


def build(held: JsonValue) -> ConsistencyFacts:
    return build_consistency(
        Sources(tables={}, documents={"explain_summary": {"consistency": held}})
    )


def test_the_table_has_the_comparisons_in_one_order_and_says_who_saw_the_subject() -> None:
    group, control = build(HELD).stability
    assert (group.words, control.words) == ("Occlusion", "Edge map (control)")
    assert [row.against for row in group.rows] == [
        "the image with a little noise",
        "a network of another fold",
        "another image (the mark)",
    ]
    assert group.rows[0].note == "the noise changed the prediction: 1"
    assert group.rows[1].note == "which had the subject in training (4) and validation (2)"
    assert group.rows[0].ssim == Figure(0.95, pytest.approx(0.9), pytest.approx(1.0), 3)


def test_what_is_left_of_the_maps_is_said_beside_the_maps_of_other_images() -> None:
    assert build(HELD).sentence == (
        "With every weight random, the maps keep an SSIM of: Occlusion 0.20 (other images 0.40)."
    )


def test_agreement_is_a_matrix_that_is_the_same_both_ways_with_the_controls_as_columns() -> None:
    ranks, sizes = build(HELD).agreement
    assert ranks.columns == sizes.columns == ("Grad-CAM", "Occlusion", "Edge map (control)")
    first, second = ranks.rows
    assert (first.words, second.words) == ("Grad-CAM", "Occlusion")
    assert first.cells[1] == second.cells[0] == Figure(-0.2, -0.25, pytest.approx(-0.15), 3)
    assert first.cells[0] is second.cells[1] is None
    edge = sizes.rows[1].cells[2]
    assert edge is not None
    assert edge.mean == 0.7


@pytest.mark.parametrize("held", [None, {}, {"cascade": {}, "stability": {"occlusion": {}}}])
def test_where_no_image_was_looked_at_again_nothing_is_said(held: JsonValue) -> None:
    facts = build(held)
    assert facts == ConsistencyFacts((), (), (), "", (), 0)
    assert draw_cascade(facts.curves) == []


def test_a_published_figure_is_there_and_says_so_where_no_map_could_be_followed():
    (picture,) = draw_cascade((), is_asked=True)
    assert picture.name == "cascade"
    assert picture.alt == "No map could be followed."


def test_the_methods_text_says_what_was_compared_and_nothing_where_it_was_not() -> None:
    fields: dict[str, JsonValue] = {
        "cascade_images": 2,
        "stability_images": 3,
        "stability_noise": 0.01,
    }
    settings = {"explain": fields}
    said = describe_consistency(Sources(tables={}, settings=settings), lambda name: f"[{name}]")
    assert "first 2 images were followed through cascading randomisation [sanity]" in said
    assert "Those of the first 3 were compared" in said
    assert "noise of 1 % of its range" in said
    off = {"explain": {**fields, "cascade_images": 0, "stability_images": 0}}
    for none in ({}, off):
        assert describe_consistency(Sources(tables={}, settings=none), lambda name: name) == ""


def test_the_page_shows_the_curve_the_table_and_the_notes() -> None:
    sources = make_sources()
    documents = {
        **sources.documents,
        "explain_summary": {**sources.document("explain_summary"), "consistency": None},
    }
    plain = build_facts(replace(sources, documents=documents), title="T", author=None)
    facts = build_facts(sources, title="T", author=None)
    report = build_report(facts, views={})
    assert "cascade.png" in report.figures
    for words in (
        '<h3 id="consistency">Consistency</h3>',
        "described and not judged",
        "2 of 3 images (Occlusion)",
        "<code>layer2</code>",
        "which had the subject in training (4) and validation (2)",
        "SSIM (without sign) of each two maps",
        "No threshold is grounded.",
        "−0.20",
    ):
        assert words in report.html, words
    without = build_report(plain, views={})
    assert 'id="consistency"' not in without.html
    assert without.figures["cascade.png"] != report.figures["cascade.png"]


def test_the_same_curves_give_the_same_bytes_and_a_gap_is_no_point() -> None:
    curves = build(HELD).curves
    (first,), (again,) = draw_cascade(curves), draw_cascade(curves)
    assert first.png == again.png
    assert "Occlusion: SSIM 1.00 as trained, 0.20 with all weights random" in first.alt
    stage = replace(curves[0].stages[1], ssim=Figure(None, None, None, 0))
    gap = replace(curves[0], stages=(curves[0].stages[0], stage, curves[0].stages[2]), mark=None)
    assert draw_cascade([gap])[0].png != first.png
