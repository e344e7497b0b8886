"""The report says of the scorecard what it shows, with counts, and nothing where there is none."""

import json
import warnings
from dataclasses import replace

import pytest
from reports import make_sources
from scorecards import FRACTIONS, STRENGTHS, make_scorecard

from medvision.report.facts import build_facts, facts_to_json
from medvision.report.figure_transfer import draw_transfer
from medvision.report.page import build_report


def facts_of(scorecard):
    sources = make_sources(explained=0)
    documents = {**sources.documents, **({"scorecard": scorecard} if scorecard else {})}
    return build_facts(replace(sources, documents=documents), title="t", author=None)


@pytest.fixture(scope="module")
def held():
    return make_scorecard()


@pytest.fixture(scope="module")
def report(held):
    return build_report(facts_of(held), views={})


def test_without_a_scorecard_nothing_is_said_of_one():
    facts = facts_of(None)
    page = build_report(facts, views={})
    assert 'id="transfer"' not in page.html
    assert not {"transfer.png", "similarity.png"} & set(page.figures)
    assert len(facts.summary_lines) == 3
    assert "Transfer" not in dict(facts.methods.paragraphs)
    assert "selection on the test set" not in page.html


def test_every_arm_and_share_has_its_figures_on_the_page(held, report):
    facts = facts_of(held)
    assert len(facts.transfer.rows) == len(STRENGTHS) * len(FRACTIONS)
    for row in facts.transfer.rows:
        assert f"<strong>{row.auc:.3f}</strong>" in report.html
    assert "240 trainings, 5 seeds, tested on 72 subjects in 3 folds" in report.html
    assert {"transfer.png", "similarity.png"} <= set(report.figures)


def test_what_is_compared_with_scratch_is_not_said_of_scratch_itself(held):
    rows = [row for row in facts_of(held).transfer.rows if row.arm == "scratch"]
    assert {(row.difference, row.verdict, row.needed) for row in rows} == {(None, "", "")}


def test_the_finding_is_a_line_of_the_summary_and_the_warning_a_limit(held):
    facts = facts_of(held)
    assert facts.summary_lines[3] == f"Transfer scorecard: {facts.transfer.sentences[0]}"
    assert "selection on the test set" in facts.limits[-1]


def test_a_negative_result_is_said_as_one():
    facts = facts_of(make_scorecard(arms=("scratch", "path-0123456789ab-full")))
    assert facts.transfer.sentences[0].startswith("No start was shown to be better or worse")
    assert {row.verdict for row in facts.transfer.rows} == {"", "Not shown"}


def test_a_path_is_shown_as_the_beginning_of_its_digest_and_a_policy_in_words(held, report):
    words = [start.words for start in facts_of(held).transfer.starts]
    assert words == [
        "From scratch",
        "pretrain, head alone",
        "pretrain, all trained",
        "file 012345, all trained",
    ]
    assert "path-0123456789ab-full, 10 %" not in report.html


def test_an_auc_that_scratch_never_reaches_is_more_than_all(held):
    rows = {(row.arm, row.fraction): row.needed for row in facts_of(held).transfer.rows}
    assert rows["pretrain-full", 1.0].startswith(">48.3")


def test_the_methods_cite_what_the_figures_stand_on(held):
    facts = facts_of(held)
    said = dict(facts.methods.paragraphs)["Transfer"]
    assert "10 %, 25 %, 50 %, 100 %" in said
    assert "5 seeds: 240 trainings" in said
    for name in ("Kornblith", "Holm S.", "Owen AB.", "Song L"):
        assert any(name in text for text in facts.methods.citations)


def test_the_charts_say_their_figures_to_a_screen_reader(report, held):
    assert "From scratch: 0.62 at 5" in report.html or "From scratch: 0.63 at 5" in report.html
    assert "pretrain, head alone: 1.00, 1.00, 1.00" in report.html
    assert facts_to_json(facts_of(held))["transfer"]["counts"]["n_trainings"] == 240


def test_a_block_without_variation_leaves_a_gap_and_no_crash(held):
    rows = [{**row, "cka": None} if row["block"] == 2 else row for row in held["similarity"]]
    page = build_report(facts_of({**held, "similarity": rows}), views={})
    assert "similarity.png" in page.figures


def test_names_too_long_for_two_columns_leave_the_charts_their_room(held):
    text = json.dumps(held).replace("pretrain-", "squeezenet1_1-imagenet-copy-")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = draw_transfer(facts_of(json.loads(text)).transfer)
    assert [picture.name for picture in pictures] == ["transfer", "similarity"]
