"""Claims on the headings of the checks, and on what is said of a method."""

import io
from dataclasses import replace

from PIL import Image
from reports import make_grids, make_sources

from medvision.report.case import build_case_view
from medvision.report.explanation import build_explanation
from medvision.report.explanation_notes import read_verdicts
from medvision.report.figure_case import draw_case
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


def test_a_methods_own_controls_stand_below_it_and_the_blind_ones_last() -> None:
    sources = make_sources(explained=2)
    twins = [
        {**row, "method": f"control_randomised.{row['method']}", "verdict": "FAIL"}
        for row in sources.table("checks")
        if row["method"] == "occlusion"
    ]
    checks = [*sources.table("checks"), *twins]
    built = build_explanation(Sources(tables={**sources.tables, "checks": checks}), confidence=0.95)
    names = [row.method for row in built.matrix]
    assert names[names.index("occlusion") + 1] == "control_randomised.occlusion"
    assert names[-2:] == ["control_edge", "control_random"]
    owners = {held.method: held.owner for held in built.cases[0].controls}
    assert owners["control_randomised.occlusion"] == "occlusion"
    assert owners["control_edge"] == ""


def test_eleven_maps_are_drawn_in_rows_of_at_most_four() -> None:
    facts = build_explanation(make_sources(explained=1), confidence=0.95)
    grids = make_grids(0)
    first = facts.cases[0].methods[0]
    names = [f"map_{n}" for n in range(11)]
    held = [replace(first, method=name, words=name) for name in names]
    maps = dict.fromkeys(names, grids.maps["occlusion"])
    view = build_case_view("sub-0_img-0", replace(grids, maps=maps))
    picture = draw_case(replace(facts.cases[0], methods=tuple(held)), view)
    width, height = Image.open(io.BytesIO(picture.png)).size
    assert width < 1.6 * height
    assert all(name in picture.alt for name in names)
