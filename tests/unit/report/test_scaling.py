"""The report says what was done to intensities, from the steps of the record."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.config.preprocess import PreprocessSection
from medvision.preprocess.plan import PlanStep, build_plan
from medvision.report.facts import build_facts
from medvision.report.scaling import N4, describe_scaling, list_early


def make_meta(intensity, *early):
    plan = build_plan(spatial_dims=2, **PreprocessSection().pipeline | {"intensity": intensity})
    return {"steps": [step.as_dict() for step in (*early, *plan.steps)]}


@pytest.mark.parametrize(
    ("intensity", "words"),
    [
        ("window", "from −1000 to 200"),
        ("percentile", "percentiles 0.5 and 99.5"),
        ("zscore", "zero mean"),
        ("voi", "as each image's header asks"),
        ("voi-or-percentile", "by percentiles where there is none"),
        ("none", "left as they were"),
    ],
)
def test_every_scaling_has_its_words(intensity, words):
    assert words in describe_scaling(make_meta(intensity))
    assert list_early(make_meta(intensity)) == []


def test_what_runs_on_the_source_is_named_in_its_order():
    steps = [PlanStep(N4, {"shrink": 4})]
    steps += [PlanStep("Plugin", {"function": f"lungs:{name}"}) for name in ("crop", "mask")]
    assert list_early(make_meta("zscore", *steps)) == [N4, "lungs:crop", "lungs:mask"]


def test_the_methods_text_names_n4_with_its_source_and_each_function() -> None:
    sources = make_sources()
    early = [PlanStep(N4, {}), PlanStep("Plugin", {"function": "lungs:crop"})]
    meta = make_meta("zscore", *early)
    changed = replace(sources, documents={**sources.documents, "array_meta": meta})
    methods = build_facts(changed, title="x", author=None).methods
    text = " ".join(paragraph for _, paragraph in methods.paragraphs)
    assert "corrected by N4 [1] and the study's own function lungs:crop was applied. With" in text
    assert methods.citations[0].startswith("Tustison")
    assert "N4" not in " ".join(
        paragraph
        for _, paragraph in build_facts(sources, title="x", author=None).methods.paragraphs
    )


def test_a_store_that_does_not_say_is_none():
    assert describe_scaling({}) == "intensities were left as they were"
    assert list_early({"steps": ["?", {"name": "Plugin"}]}) == []
