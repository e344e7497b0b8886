"""The report of findings and of values: right words, right charts, nothing of classes."""

import re

import pytest
from reports import make_grids
from target_reports import make_target_sources

from medvision.report.case import build_case_view
from medvision.report.facts import Facts, build_facts
from medvision.report.figures import draw_figures
from medvision.report.page import Report, build_report
from medvision.report.words import say_metric


def build(task: str, **changes) -> tuple[Facts, Report]:
    facts = build_facts(make_target_sources(task, **changes), title="A study", author=None)
    views = {
        case.image_id: build_case_view(case.image_id, make_grids(n))
        for n, case in enumerate(facts.explanation.cases)
    }
    return facts, build_report(facts, views=views)


@pytest.fixture(scope="module", params=["multilabel", "regression"])
def built(request) -> tuple[str, Facts, Report]:
    return request.param, *build(request.param)


def read_section(report: Report, anchor: str) -> str:
    """The text of one section, without tags."""
    start = report.html.index(f'id="{anchor}"')
    section = report.html[start : report.html.index("</section>", start)]
    section = re.sub(r"<(style|svg).*?</\1>", " ", section, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section))


def test_the_workflow_s_figures_are_drawn_and_no_others_of_performance(built):
    from medvision.config.task import PERFORMANCE_FIGURES

    task, _, report = built
    drawn = {name.removesuffix(".png") for name in report.figures}
    others = {name for names in PERFORMANCE_FIGURES.values() for name in names}
    assert drawn & others == set(PERFORMANCE_FIGURES[task])


def test_the_summary_says_what_was_predicted_and_how_well(built):
    task, facts, _ = built
    data, main = facts.summary[0], facts.summary[1]
    if task == "multilabel":
        assert "with or without the findings “Effusion”, “Nodule” and “Mass” were" in data
        assert main.startswith("The AUC, mean over findings, was 0.")
    else:
        assert re.search(r"with a value of age, from [\d.]+ to [\d.]+, were analysed", data)
        assert re.match(r"The mean absolute error of age was \d\.\d\d \(95% interval", main)


def test_nothing_on_the_page_speaks_of_classes_or_of_what_values_have_not(built):
    task, _, report = built
    text = read_section(report, "performance")
    assert "Positive means" not in text
    assert "Confusion" not in text
    if task == "regression":
        assert "AUC" not in text
        assert "Sensitivity" not in text
        assert "threshold" not in text


def test_training_and_statistics_are_described_as_they_were(built):
    task, facts, _ = built
    methods = dict(facts.methods.paragraphs)
    if task == "multilabel":
        assert "One logit per finding was fitted by its binary cross-entropy" in methods["Training"]
        assert "Each finding's presence and absence were weighted" in methods["Training"]
        assert "by each finding (seed" in methods["Splitting"]
        assert "The threshold of each finding, for each model," in methods["Statistics"]
        assert "The logit of one finding of each image" in methods["Explanations"]
    else:
        assert "One value was fitted by the mean squared error" in methods["Training"]
        assert "weighted" not in methods["Training"]
        assert "by range of the value (seed" in methods["Splitting"]
        assert "bias and limits of agreement" in methods["Statistics"]
        assert "The network was a" in methods["Network"]
        assert any("Bland" in citation for citation in facts.methods.citations)


def test_the_model_card_names_what_is_predicted(built):
    task, _, report = built
    card = report.model_card
    if task == "multilabel":
        assert "Findings, several per image: Effusion, Nodule, Mass" in card
        assert "| AUC, Nodule | Transfer learning |" in card
    else:
        assert "Predicted value: age" in card
        assert "image-regression" in card
        assert "classifier" not in card


def test_every_finding_has_its_row_with_its_own_counts():
    facts, report = build("multilabel")
    known = {finding.name: finding.n_known for finding in facts.performance.findings}
    assert known == {"Effusion": 36, "Nodule": 36, "Mass": 30}
    for finding in facts.performance.findings:
        assert [arm.arm for arm in finding.arms] == ["transfer", "scratch"]
        assert all(arm.roc[0] == (0, 0) and arm.roc[-1] == (1, 1) for arm in finding.arms)
    text = read_section(report, "performance")
    assert text.count("mean over findings") >= 5
    assert "Differences finding by finding" in text


def test_points_and_limits_of_a_value_are_those_of_the_evaluation():
    facts, _ = build("regression")
    for arm in facts.performance.values:
        held = {m.metric: m.value for m in facts.performance.metrics if m.arm == arm.arm}
        errors = [predicted - true for true, predicted in arm.points]
        assert sum(errors) / len(errors) == pytest.approx(held["bias"], abs=1e-6)
        assert arm.bias == (held["bias"], held["loa_low"], held["loa_high"])
        assert arm.n_points == 36


def test_a_smaller_error_is_said_to_be_better_and_a_bias_only_to_differ():
    facts, _ = build("regression")
    verdicts = {held.metric: held for held in facts.performance.comparisons}
    mae = verdicts["mae"]
    assert mae.difference < 0
    assert mae.high < 0
    assert mae.verdict.endswith("transfer learning did better than from scratch.")
    assert "did better" not in verdicts["bias"].verdict


def test_an_explained_value_is_neither_right_nor_wrong():
    facts, report = build("regression")
    assert {case.is_correct for case in facts.explanation.cases} == {None}
    assert "the largest error" in read_section(report, "explanations").lower()
    assert "predicted wrongly" not in read_section(report, "explanations")


def test_an_explained_finding_is_right_by_itself():
    facts, _ = build("multilabel")
    for case in facts.explanation.cases:
        there = "Effusion" in case.label.split("|")
        assert case.is_correct is (there == ("Effusion" in case.predicted.split("|")))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "arms",
    [("scratch",), ("transfer", "scratch", "transfer-ensemble", "scratch-ensemble")],
    ids=["one", "four"],
)
@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_charts_have_room_for_one_arm_and_for_ensembles(task, arms):
    facts = build_facts(make_target_sources(task, arms=arms), title="A study", author=None)
    figures = draw_figures(facts)
    assert all(figure.png.startswith(b"\x89PNG") for figure in figures.values())


def test_a_metric_of_a_finding_with_underscores_keeps_its_name():
    assert (
        say_metric("balanced_accuracy_wide_chest", "multilabel") == "Balanced accuracy, wide_chest"
    )
    assert say_metric("auc_macro", "multilabel") == "AUC, mean over findings"
    assert say_metric("auc_macro") == "AUC, mean over classes"
