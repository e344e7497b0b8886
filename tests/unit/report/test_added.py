"""What the page, the methods and the model card say of synthetic images in the training."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.report.added import build_added
from medvision.report.checklist import fill_checklists
from medvision.report.facts import build_facts
from medvision.report.model_card import build_model_card
from medvision.report.page import build_report

REASON = "1 of 3 criteria not passed: fidelity (refused)"


def trained(arm, fold, *, counts=None, is_open=True):
    """The record of a training."""
    gate = {"is_open": is_open, "reason": "all 3 criteria passed" if is_open else REASON}
    facts = {"seeds": [0]} | ({} if counts is None else {"n_synthetic": counts, "gate": gate})
    return {
        "step": f"train/{arm}/fold-{fold}",
        "seed": None,
        "device": "cpu",
        "version": "0",
        "software": {},
        "reads": {},
        "writes": {},
        "facts": facts,
    }


def with_records(records, *, generator="gan"):
    sources = make_sources()
    held = [r for r in sources.records if not str(r.get("step", "")).startswith("train/")]
    settings = {**sources.settings, "synthesise": {"generator": generator}}
    return replace(sources, records=[*held, *records], settings=settings)


def say(*records, **changed):
    return build_added(with_records(records, **changed)).words


OPEN = {"healthy": 3, "nodule": 1}
NONE = {"healthy": 0, "nodule": 0}


def test_each_fold_says_how_many_of_each_class():
    words = say(trained("transfer", 1, counts={"healthy": 1}), trained("transfer", 0, counts=OPEN))
    assert words == (
        "In fold 0 networks were trained with 4 synthetic images (healthy 3, nodule 1) beside the "
        "real ones. In fold 1 networks were trained with 1 synthetic image (healthy 1) beside the "
        "real ones. Validation and test hold the study's own images alone."
    )


def test_a_shut_gate_is_said_with_its_reason():
    words = say(*(trained("scratch", fold, counts=NONE, is_open=False) for fold in (0, 2)))
    assert words.startswith(
        f"In folds 0 and 2 the gate was shut ({REASON}), and networks were trained on real images"
    )


def test_an_open_gate_that_refused_all_is_told_from_a_shut_one():
    assert "the gate was open but refused every image" in say(trained("scratch", 0, counts=NONE))


def test_a_study_that_uses_none_says_so_and_one_that_draws_none_says_nothing():
    assert "no network of the study was trained with any" in say(trained("scratch", 0))
    assert say(trained("scratch", 0), generator="none") == ""


def test_arms_are_alike_and_told_once():
    records = [trained(arm, 0, counts=OPEN) for arm in ("transfer", "scratch")]
    assert len(build_added(with_records(records)).rows) == 1


@pytest.fixture(scope="module")
def facts():
    return build_facts(with_records([trained("transfer", 0, counts=OPEN)]), title="t", author=None)


def test_methods_card_and_limits_tell_of_them(facts):
    (training,) = [text for name, text in facts.methods.paragraphs if name == "Training"]
    card = {section.heading: section.text for section in build_model_card(facts).sections}
    for text in (training, card["Training Data"]):
        assert "trained with 4 synthetic images" in text
    limits = " ".join(facts.limits)
    assert "also trained on synthetic images" in limits
    assert "also trained on synthetic images" in card["Bias, Risks, and Limitations"]
    assert "are of the real ones alone" in limits


def test_claim_s_item_on_augmentation_points_to_where_they_are_told_of(facts):
    (item,) = [
        item
        for held in fill_checklists(facts)
        for item in held.items
        if "augmentation" in item.asks
    ]
    assert "methods-training" in {place.anchor for place in item.places}


def test_the_page_says_it_where_the_generators_are_told_of():
    generator = {**trained("transfer", 0), "step": "synthesise/fold-0"}
    sources = with_records([generator, trained("transfer", 0, counts=OPEN)])
    page = build_report(build_facts(sources, title="t", author=None), views={}).html
    start = page.index("<h3>Synthetic images</h3>")
    assert "trained with 4 synthetic images" in page[start : start + 1500]


def test_nothing_is_said_of_a_study_without():
    facts = build_facts(with_records([], generator="none"), title="t", author=None)
    assert facts.generators.added.rows == ()
    assert "synthetic image" not in build_model_card(facts).sections[8].text
