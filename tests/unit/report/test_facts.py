"""Claims on the facts: real counts, honest words, nothing that was not run."""

import json

import pytest
from reports import CLASSES, N_SUBJECTS, make_sources

from medvision.report.facts import Facts, build_facts, facts_to_json
from medvision.report.performance import PerformanceFacts, build_performance
from medvision.report.sources import Row, Sources
from medvision.report.words import RESEARCH_USE, show_minus


@pytest.fixture(scope="module")
def facts() -> Facts:
    return build_facts(make_sources(), title="A study", author=None)


def compare(difference: str, low: str, high: str, *, metric: str = "auc") -> str:
    row: Row = {
        "metric": metric,
        "arm_a": "transfer",
        "arm_b": "scratch",
        "difference": difference,
        "low": low,
        "high": high,
        "n_subjects": "9",
        "method": "bootstrap",
    }
    performance: PerformanceFacts = build_performance(
        Sources(tables={"comparison": [row]}), classes=CLASSES
    )
    return performance.comparisons[0].verdict


def test_the_flow_loses_no_file(facts: Facts) -> None:
    first, converted = facts.cohort.steps[:2]
    n_converted = 4 * N_SUBJECTS
    assert first.n == n_converted + first.n_left == facts.cohort.n_files
    assert f"from {n_converted} files" in converted.detail
    assert {tally.code: tally.n for tally in facts.cohort.refused} == {
        "missing-slice": 7,
        "localizer": 2,
        "not-an-image": 1,
    }


def test_every_image_is_in_one_split_of_each_fold(facts: Facts) -> None:
    for fold in ("0", "1", "2"):
        rows = [row for row in facts.cohort.folds.rows if row.fold == fold]
        assert sum(row.n_images for row in rows) == N_SUBJECTS
        for row in rows:
            assert sum(row.n_by_class) == row.n_images
            assert row.prevalence == row.n_by_class[1] / row.n_images


def test_an_interval_across_zero_is_said_not_to_help() -> None:
    assert "did not demonstrably help" in compare("0.066", "-0.021", "0.158")
    assert "did not demonstrably help" in compare("-0.066", "-0.158", "0")


def test_a_difference_names_the_better_arm() -> None:
    assert "transfer learning did better" in compare("0.1", "0.02", "0.2")
    assert "from scratch did better" in compare("-0.1", "-0.2", "-0.02")
    assert "transfer learning did better" in compare("-0.1", "-0.2", "-0.02", metric="brier")


def test_a_comparison_without_interval_is_not_judged() -> None:
    assert "cannot be judged" in compare("0.1", "", "")


def test_summary_has_five_sentences_and_the_comparison_in_words(facts: Facts) -> None:
    assert len(facts.summary) == 5
    assert any("did not demonstrably help here" in sentence for sentence in facts.summary)
    assert len(facts.summary_lines) == 3


def test_pass_rates_count_only_what_was_judged(facts: Facts) -> None:
    rows = {row.method: row for row in facts.explanation.matrix}
    assert (rows["occlusion"].rates["pointing"].passed, rows["occlusion"].rates["pointing"].n) == (
        2,
        3,
    )
    assert rows["layer_gradcam"].rates["completeness"].n == 0
    assert rows["occlusion"].every_check.passed == 2


def test_a_control_is_rejected_only_by_the_conjunction(facts: Facts) -> None:
    control = next(row for row in facts.explanation.matrix if row.method == "control_edge")
    assert control.is_control
    assert control.rates["deletion"].rate == 1
    assert control.every_check.passed == 0
    assert control.verdict_words == "Rejected"


def test_a_control_that_passes_everything_is_called_out() -> None:
    sources = make_sources()
    checks = [
        {**row, "verdict": "PASS"} if row["method"].startswith("control") else row
        for row in sources.table("checks")
    ]
    fooled = Sources(tables={**sources.tables, "checks": checks})
    rows = build_facts(fooled, title="x", author=None).explanation.matrix
    assert {row.verdict_words for row in rows if row.is_control} == {"Can pass: weak alone"}


def test_leakage_that_was_let_through_is_a_limit() -> None:
    facts = build_facts(make_sources(leakage="reported"), title="x", author=None)
    assert facts.cohort.leakage_is_overridden
    assert "overestimated" in facts.limits[0]
    assert not build_facts(make_sources(), title="x", author=None).cohort.leakage_is_overridden


def test_methods_text_names_only_what_was_configured() -> None:
    facts = build_facts(make_sources(), title="x", author=None)
    text = " ".join(paragraph for _, paragraph in facts.methods.paragraphs)
    assert "2000 bootstrap resamples" in text
    assert "3 × 3 × 5 mm" in text
    for n, _ in enumerate(facts.methods.citations, 1):
        assert f"[{n}]" in text
    assert f"[{len(facts.methods.citations) + 1}]" not in text


def read_methods(sources: Sources) -> dict[str, str]:
    return dict(build_facts(sources, title="x", author=None).methods.paragraphs)


def test_the_methods_begin_with_the_images_in_real_counts() -> None:
    text = read_methods(make_sources())["Images"]
    assert f"{N_SUBJECTS} images of {N_SUBJECTS} subjects with a label were analysed" in text
    assert "10 were refused (" in text
    assert "synthetic volumes drawn by a computer" in text
    assert "Images" not in read_methods(Sources(tables={}))


def test_the_methods_name_the_tests_that_were_made_and_no_others() -> None:
    blank = {"arm_a": "transfer", "arm_b": "scratch", "statistic": "2", "n_unequal": ""}
    blank |= {"p": "0.04", "p_holm": "0.04", "n_subjects": "36"}
    areas = {**blank, "kind": "areas", "method": "DeLong 1988, areas within fold"}
    sources = make_sources()
    assert "DeLong" not in read_methods(sources)["Statistics"]
    sources.tables["tests"] = [areas]
    text = read_methods(sources)["Statistics"]
    assert "by DeLong's method" in text
    assert "McNemar" not in text
    assert "Obuchowski" not in " ".join(
        build_facts(sources, title="x", author=None).methods.citations
    )
    sources.tables["tests"] = [
        {**areas, "method": "DeLong for several images a subject (Obuchowski 1997)"},
        {**blank, "kind": "decisions", "method": "McNemar, mid-p"},
    ]
    text = read_methods(sources)["Statistics"]
    assert "for several images of a subject [" in text
    assert "McNemar's test (mid-p [" in text


def test_one_pair_of_images_is_kept_in_one_split_in_the_singular(facts: Facts) -> None:
    assert facts.cohort.n_leakage == 1
    assert facts.summary[-1].endswith(
        "found 1 pair of images that must not be separated, and kept both in one split."
    )


def test_negative_numbers_have_a_true_minus_and_words_keep_their_hyphens() -> None:
    text = "held-out: -0.82 (-1.03 to -0.73), sub-01, 2026-11-27, 10-fold, from -1000 to 200"
    assert show_minus(text) == (
        "held-out: −0.82 (−1.03 to −0.73), sub-01, 2026-11-27, 10-fold, from −1000 to 200"
    )


def test_devices_threads_and_seeds_are_told_and_what_is_not_recorded() -> None:
    records = [{"step": "ingest", "device": "cpu"}, {"step": "train", "device": "NVIDIA H100"}]
    sources = Sources(
        tables={},
        records=records,
        settings={"compute": {"threads": 1}, "train": {"seeds": [0, 1]}},
    )
    said = build_facts(sources, title="x", author=None).provenance.hardware
    assert said.startswith(
        "Computed on the CPU and NVIDIA H100, each training with 1 CPU thread; networks were "
        "trained with seeds 0 and 1. The model of a CPU"
    )


def test_an_empty_study_has_facts_too() -> None:
    facts = build_facts(Sources(tables={}), title="x", author=None)
    assert facts.explanation.cases == ()
    assert facts.performance.metrics == ()
    assert facts.cohort.n_files == 0


def test_facts_are_plain_json_and_say_research_use(facts: Facts) -> None:
    held = json.loads(json.dumps(facts_to_json(facts), allow_nan=False))
    assert held["research_use"] == RESEARCH_USE
    assert held["cohort"]["n_images"] == N_SUBJECTS
