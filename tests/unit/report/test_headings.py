"""Claims on the headings of the checks, and on what is said of a method."""

from medvision.report.explanation_notes import read_verdicts
from medvision.report.headings import HEADINGS, find_heading, group_checks
from medvision.report.sources import Sources
from medvision.report.trust import MethodRow, build_method_row
from medvision.report.words import CHECKS


def test_every_known_check_has_one_of_the_four_headings() -> None:
    assert {find_heading(check) for check in CHECKS} <= set(HEADINGS) - {"other"}


def test_a_check_that_nobody_placed_stands_under_further_checks() -> None:
    groups = group_checks(["deletion", "brand_new"])
    assert [g.checks for g in groups if g.key == "other"] == [("brand_new",)]
    assert "other" not in {g.key for g in group_checks(["deletion"])}


def test_usefulness_is_always_said_not_to_be_assessed() -> None:
    assert "no reader study" in next(g.question for g in group_checks([]) if g.key == "usefulness")


def judge(method: str, **verdicts: str) -> str:
    rows = [
        {"image_id": f"image-{n}", "method": method, "check": check, "verdict": letters}
        for check, given in verdicts.items()
        for n, letters in enumerate(given.split())
    ]
    groups = group_checks(verdicts)
    return build_method_row(rows, method, groups=groups, level=0.95).advice


def test_the_advice_says_what_held_in_all_some_and_no_images() -> None:
    said = judge(
        "saliency", weight_randomisation="PASS PASS", deletion="PASS FAIL", pointing="FAIL EMPTY"
    )
    assert "In every image assessed, the map depends on what the network learned." in said
    assert "the voxels marked move the network's output (1 of 2)." in said
    assert "In no image did every check show that the map lies on the lesion." in said


def test_what_was_not_assessed_is_said_so() -> None:
    assert "Not assessed: whether the map lies on the lesion." in judge(
        "saliency", weight_randomisation="PASS", deletion="PASS", pointing="NOT_APPLICABLE"
    )


def test_a_control_that_passes_something_takes_its_worth_from_it() -> None:
    assert judge("control_edge", deletion="FAIL") == "A map that must fail, and did."
    assert "passing fidelity proves little" in judge("control_edge", deletion="PASS")


def conclude(method: str, verdict: str, reason: str = "") -> MethodRow:
    rows = [{"image_id": "a", "method": method, "check": "deletion", "verdict": "PASS"}]
    groups = group_checks(["deletion"])
    return build_method_row(rows, method, groups=groups, level=0.95, battery=(verdict, reason))


def test_the_batterys_verdict_goes_before_the_count_of_images() -> None:
    row = conclude("saliency", "FAIL", "failed: weight_randomisation_top (3 of 12)")
    assert (row.style, row.verdict_words) == ("fail", "Not to be relied on")
    assert row.reason == "Failed: Depends on the last weights (3 of 12)."


def test_a_control_that_the_battery_lets_pass_is_an_alarm() -> None:
    assert conclude("control_edge", "PASS").style == "fail"
    assert conclude("control_edge", "FAIL").style == "pass"


def test_verdicts_are_read_of_methods_and_controls_and_missing_ones_are_none() -> None:
    held = {"verdict": {"verdict": "FAIL", "reason": "failed: deletion (1 of 9)"}}
    summary = {"methods": {"saliency": held, "occlusion": {}}, "controls": {"control_edge": held}}
    found = read_verdicts(Sources(tables={}, documents={"explain_summary": summary}))
    assert set(found) == {"saliency", "control_edge"}
    assert read_verdicts(Sources(tables={})) == {}
