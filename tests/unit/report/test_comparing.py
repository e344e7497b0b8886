"""The page of two studies says what was compared, of findings and of a value too."""

import pytest
from paired_studies import copy_images, make_findings, make_values
from predicted import SETTINGS

from medvision.domain.evaluation.pairing import compare_studies
from medvision.domain.evaluation.sharing import StudyTest
from medvision.report.comparing import ComparisonFacts, build_comparison
from medvision.report.render import render_comparison
from medvision.report.unlike import StudyFacts

MAKE = {"multilabel": make_findings, "regression": make_values}


def describe(study: StudyTest) -> StudyFacts:
    cohort = [{name: row[name] for name in ("image_id", "subject", "label")} for row in study.rows]
    return StudyFacts(study.name, f"Study {study.name}", "1", {}, {}, cohort)


def build(a: StudyTest, b: StudyTest) -> ComparisonFacts:
    return build_comparison(
        describe(a),
        describe(b),
        compared=compare_studies(a, b, settings=SETTINGS),
        classes=a.classes,
        confidence=0.95,
        n_resamples=200,
        version="1",
    )


def make_pair(task: str) -> tuple[StudyTest, StudyTest]:
    return MAKE[task]("A", noise=0.8, seed=0), MAKE[task]("B", noise=2.2, seed=1)


def test_findings_are_compared_over_all_and_one_by_one() -> None:
    facts = build(*make_pair("multilabel"))
    assert "A minus B in AUC, mean over findings, was +0." in facts.sentences[1]
    assert facts.sentences[2].startswith("4 tests were made")
    page = render_comparison(facts)
    assert "<summary>Finding by finding</summary>" in page
    assert "AUC, Nodule" in page
    assert "Images with Nodule" in page
    assert "corrected by Holm" in page


def test_a_value_is_compared_in_its_own_unit_and_less_error_is_better() -> None:
    facts = build(*make_pair("regression"))
    assert "A minus B in mean absolute error of age was −" in facts.sentences[1]
    assert facts.sentences[1].endswith("excludes zero: A did better.")
    assert facts.digits == 3
    words = {row.words: row.verdict for row in facts.figures}
    assert words["Root mean squared error"] == "A did better"
    page = render_comparison(facts)
    assert "predicted minus true age" in page
    assert "Absolute errors, subject by subject" in page
    assert "Images labelled" not in page.replace("Shared images labelled", "")


def test_limits_of_agreement_that_differ_are_no_win() -> None:
    facts = build(*make_pair("regression"))
    verdicts = {row.metric: row.verdict for row in facts.figures}
    assert verdicts["loa_high"] == "The two differ"


@pytest.mark.parametrize("task", sorted(MAKE))
def test_copies_of_images_change_the_counts_of_images_alone(task: str) -> None:
    once, twice = (build(*pair) for pair in (make_pair(task), map(copy_images, make_pair(task))))
    assert twice.overlap.n_images == 2 * once.overlap.n_images
    assert twice.overlap.n_subjects == once.overlap.n_subjects
    assert [row.held.p for row in twice.tests] == [row.held.p for row in once.tests]
