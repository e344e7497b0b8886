"""The external cohort on the page: a second column, a branch of the flow, and honest words."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from predicted import Row, draw_binary, make_rows
from reports import CLASSES, make_sources
from target_reports import make_target_sources

from medvision.cli._evaluated.external import evaluate
from medvision.cli._evaluated.figures import Known
from medvision.config.evaluate import EvaluateSection
from medvision.domain.labels.rows import Classes
from medvision.report.checklist import fill_checklists
from medvision.report.external import say_external
from medvision.report.facts import Facts, build_facts
from medvision.report.page import build_report
from medvision.report.sources import Sources

N_EXTERNAL = 20


def make_external(arms: tuple[str, ...] = ("transfer", "scratch")) -> Sources:
    """A study of two classes whose figures of both cohorts the evaluation itself made."""
    base = make_sources(arms=arms)
    rows: list[Row] = []
    for arm in arms:
        effect = 0.9 if arm == "transfer" else 0.2
        for split, n_images in (("test", 36), ("validation", 36)):
            odds, labels, folds = draw_binary(n_images, seed=len(rows) + 1, effect=effect)
            rows += make_rows(odds, labels, folds=folds, split=split, arm=arm)
        _, labels, _ = draw_binary(N_EXTERNAL, seed=9)
        for fold in range(3):
            odds = np.random.default_rng(fold).normal(size=N_EXTERNAL)
            odds += 0.6 * (np.array(labels) == "yes")
            rows += make_rows(
                odds.tolist(), labels, folds=[fold] * N_EXTERNAL, split="external", arm=arm
            )
    rows = [_rename(row) for row in rows]
    section = EvaluateSection(n_resamples=100)
    found = evaluate(rows, Known({}, Classes(CLASSES, "nodule"), {}), section=section)
    tables = {
        name: [
            {column: "" if row.get(column) is None else str(row[column]) for column in columns}
            for row in held
        ]
        for name, (held, columns) in found.tables.items()
    }
    outside = [
        {"image_id": f"ext-{n}", "subject": f"ext-s-{n}", "label": CLASSES[n % 2], "modality": "CT"}
        | {"given_split": "external"}
        for n in range(N_EXTERNAL)
    ]
    folds_table = [
        {**row, "fold": str(fold), "part": str(fold), "repeat": "0", "inner": "0"}
        | {"split": "external"}
        for fold in range(3)
        for row in outside
    ]
    cohort = [*base.table("cohort"), *outside]
    asked = {**base.settings["cohort"], "external_column": "site", "external_values": ["B"]}
    return replace(
        base,
        tables={
            **base.tables,
            **tables,
            "cohort": cohort,
            "folds": [*base.table("folds"), *folds_table],
        },
        settings={**base.settings, "cohort": asked},
    )


def _rename(row: Row) -> Row:
    words = {"yes": "nodule", "no": "healthy"}
    return {
        re.sub("_(yes|no)$", lambda m: f"_{words[m[1]]}", name): words.get(value, value)
        if name == "label"
        else value
        for name, value in row.items()
    }


SOURCES = make_external()
FACTS = build_facts(SOURCES, title="Two hospitals", author=None)


def render(facts: Facts) -> str:
    return build_report(facts, views={}).html


PAGE = render(FACTS)


def test_each_figure_stands_in_two_columns_with_the_difference() -> None:
    assert FACTS.external is not None
    for row in SOURCES.table("cohorts"):
        (found,) = [
            held
            for held in FACTS.external.rows
            if (held.arm, held.metric) == (row["arm"], row["metric"])
        ]
        for name in ("internal", "external"):
            wanted = None if row[name] == "" else float(row[name])
            assert getattr(found, name).value == wanted
    assert '<th scope="col" class="num">Internal</th><th scope="col" class="num">External</th>' in (
        PAGE
    )
    assert '<h3 id="external">' in PAGE
    assert "20 images of 20 subjects" in PAGE


def test_the_internal_facts_do_not_know_of_the_external_cohort() -> None:
    inside = {
        name: rows
        for name, rows in SOURCES.tables.items()
        if not name.startswith("external-") and name != "cohorts"
    }
    alone = build_facts(replace(SOURCES, tables=inside), title="Two hospitals", author=None)
    assert alone.external is None
    assert alone.performance == FACTS.performance
    assert alone.cohort.folds.rows == FACTS.cohort.folds.rows
    assert 'id="external"' not in render(alone)


def test_counts_of_the_study_are_internal_and_the_flow_branches() -> None:
    assert (FACTS.cohort.n_images, FACTS.cohort.n_subjects) == (36, 36)
    steps = {step.label: step for step in FACTS.cohort.steps}
    branch = steps["Labelled"].branch
    assert branch is not None
    assert (branch.label, branch.n) == ("External cohort", N_EXTERNAL)
    assert branch.detail == "20 subjects, 10 healthy, 10 nodule"
    assert steps["Labelled"].n == steps["Analysed"].n + branch.n
    assert PAGE.count("External cohort</span>") == 1
    assert {row.split for row in FACTS.cohort.folds.rows} == {"train", "validation", "test"}


def test_summary_limits_methods_and_card_say_that_there_is_one() -> None:
    said = [s for s in FACTS.summary if s.startswith("On the external cohort, 20 images of 20")]
    assert len(said) == 1
    assert re.search(r"the AUC was 0\.\d\d \(95% interval .* with transfer learning", said[0])
    assert "Internal minus external with transfer learning: " in said[0]
    assert not [limit for limit in FACTS.limits if "no external cohort was tested" in limit]
    methods = dict(FACTS.methods.paragraphs)
    assert "Subjects whose site is B are an external cohort" in methods["Splitting"]
    assert "Every network predicted the external cohort" in methods["Statistics"]
    report = build_report(FACTS, views={})
    assert "On the external cohort:" in report.model_card
    assert "no external cohort was tested" not in report.model_card
    card = json.loads(json.dumps(report.model_card_json))
    results = card["metadata"]["model-index"][0]["results"]
    assert [held["dataset"]["split"] for held in results] == ["test", "external"]


def read_methods(sources: Sources) -> dict[str, str]:
    return dict(build_facts(sources, title="t", author=None).methods.paragraphs)


def test_the_methods_count_kinds_of_images_of_each_cohort_apart() -> None:
    """All internal images are of MR and all external ones of CT: no count mixes them."""
    cohort = [
        row if row.get("given_split") else {**row, "modality": "MR"}
        for row in SOURCES.table("cohort")
    ]
    n_internal = len(cohort) - N_EXTERNAL
    methods = read_methods(replace(SOURCES, tables={**SOURCES.tables, "cohort": cohort}))
    images = next(text for text in methods.values() if "were analysed" in text)
    assert f"were analysed ({n_internal} MR)" in images
    assert (
        f"({N_EXTERNAL} images of {N_EXTERNAL} subjects, {N_EXTERNAL} CT)" in methods["Splitting"]
    )


@pytest.mark.parametrize(
    ("splits", "is_said"),
    [(("", "external"), True), (("external", "test"), True), (("external",) * 2, False)],
)
def test_cohorts_that_share_subjects_are_not_called_apart(splits: tuple, is_said: bool) -> None:
    pair = {
        **{f"{name}_{side}": name for name in ("image", "subject", "label") for side in "ab"},
        "kind": "same-study",
        "action": "reported",
        "similarity": "",
        "alteration": "",
        "split_a": splits[0],
        "split_b": splits[1],
    }
    shared = replace(SOURCES, tables={**SOURCES.tables, "leakage": [pair]})
    facts = build_facts(shared, title="t", author=None)
    text = dict(facts.methods.paragraphs)["Splitting"]
    said = "1 pair of images that share pixels, a study or a person was found between this cohort"
    assert (said in text) is is_said
    assert (f"of internal validation; but {said}" in render(facts)) is is_said
    kept = {**pair, "action": "stopped"}
    plain = replace(SOURCES, tables={**SOURCES.tables, "leakage": [kept]})
    assert "thresholds or calibration." in read_methods(plain)["Splitting"]


def test_checklists_point_at_it_and_leave_it_to_the_authors_without() -> None:
    inside = build_facts(make_sources(), title="One hospital", author=None)
    for facts, state in ((FACTS, "answered"), (inside, "authors")):
        claim = next(held for held in fill_checklists(facts) if held.key == "claim")
        (item,) = [held for held in claim.items if held.item == "33"]
        assert item.state == state
        assert [place.anchor for place in item.places] == (
            ["external"] if state != "authors" else []
        )
    assert item.authors == "Add a test on external data, or say that there is none."
    tripod = next(held for held in fill_checklists(FACTS) if held.key == "tripod-ai")
    anchors = {held.item: [place.anchor for place in held.places] for held in tripod.items}
    assert (anchors["16"], anchors["23b"]) == (["external"], ["external"])


def test_curves_of_the_external_cohort_are_drawn_and_can_be_read_out() -> None:
    report = build_report(FACTS, views={})
    names = {"external-roc.png", "external-calibration.png", "external-decision.png", "roc.png"}
    assert names <= set(report.figures)
    for heading in ("compared on the external cohort", "least certain external images"):
        assert heading in report.html
    assert FACTS.external is not None
    assert FACTS.external.tests
    assert FACTS.external.abstention.main
    for name in ("on the external cohort", "Counts are in the table below."):
        assert name in report.html
    assert report.html.count("data-plot=") >= 4
    assert report.html.count("External calibration of") == 2


def test_the_sentence_is_of_single_networks_and_the_table_of_ensembles_too() -> None:
    assert FACTS.external is not None
    pooled = [replace(row, arm=f"{row.arm}-ensemble") for row in FACTS.external.rows]
    both = replace(FACTS.external, rows=(*FACTS.external.rows, *pooled))
    assert say_external(both) == say_external(FACTS.external)
    assert "Ensemble with transfer learning" in render(replace(FACTS, external=both))


def test_an_undefined_figure_is_said_to_be_none() -> None:
    assert FACTS.external is not None
    blank = replace(
        FACTS.external,
        rows=tuple(
            replace(
                row,
                external=replace(row.external, value=None, low=None, high=None),
                difference=None,
                low=None,
                high=None,
                zero="Cannot be judged",
            )
            for row in FACTS.external.rows
        ),
    )
    assert say_external(blank) == "The external cohort, 20 images of 20 subjects, gives no AUC."
    assert say_external(None) == ""
    assert "–" in render(replace(FACTS, external=blank))


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_findings_and_values_have_their_second_column(task: str) -> None:
    sources = make_target_sources(task, external=True)
    facts = build_facts(sources, title="Two hospitals", author=None)
    assert facts.external is not None
    page = render(facts)
    assert '<h3 id="external">' in page
    assert bool(facts.external.finding_rows) == (task == "multilabel")
    assert ("external-scatter.png" in build_report(facts, views={}).figures) == (
        task == "regression"
    )
    assert any("On the external cohort" in sentence for sentence in facts.summary)
