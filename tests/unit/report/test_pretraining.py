"""The methods text says what starting weights were trained on, and on whom."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.report.facts import build_facts


def write(**pretrain):
    sources = make_sources()
    settings = {
        **sources.settings,
        "model": {**sources.settings["model"], "weights": "pretrain"},
        "pretrain": {**sources.settings["pretrain"], **pretrain},
    }
    methods = build_facts(replace(sources, settings=settings), title="x", author=None).methods
    return " ".join(text for _, text in methods.paragraphs), " ".join(methods.citations)


@pytest.mark.parametrize(("task", "author"), [("contrastive", "Chen T"), ("masked", "He K")])
def test_a_task_without_labels_is_named_with_its_source(task, author):
    text, citations = write(task=task)
    assert "without labels on the archive's own images" in text
    assert "No image of a test subject was among them." in text
    assert author in citations


def test_tested_people_among_it_are_named():
    assert "scores may flatter the network" in write(task="masked", subjects="all")[0]


def test_phantoms_are_named_as_such_and_cite_nothing_of_it():
    text, citations = write()
    assert "synthetic source task of 2400 images" in text
    assert "Chen T" not in citations
