"""Level 1, explanations: an edited cell of any table of theirs is found, digests made to fit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forgeries import refit
from recomputing import Audited, copy_bundle, find, say

from medvision.cli._recompute.explained import check_explained
from medvision.cli._recompute.rows import RULES
from medvision.explain.checks import SOURCES
from medvision.io.tables import read_table, write_table

ATTRIBUTIONS, CHECKS = "explain/attributions.tsv", "explain/checks.tsv"
PEAKS, VERDICTS = "explain/peaks.tsv", "explain/verdicts.tsv"
CASCADE, STABILITY = "explain/cascade.tsv", "explain/stability.tsv"
SUMMARY, INFLUENCE = "explain/summary.json", "explain/influence.tsv"

Forgery = Callable[[Audited], object]


@pytest.fixture
def audited(tiny_study: Path, tmp_path: Path) -> Audited:
    return copy_bundle(tiny_study, tmp_path)


def ask(audited: Audited, name: str):
    """Make all digests fit, as a careful forger would, and put one question."""
    refit(audited.bundle)
    return find(check_explained(audited.bundle, level=1), name)


def edit(name: str, where, **cells: str) -> Forgery:
    """Rewrite cells of the first row that answers."""

    def change(audited: Audited) -> None:
        first = next(row for row in read_table(audited.study / name) if where(row))
        assert any(first[key] != value for key, value in cells.items())
        assert audited.change_rows(name, lambda _: cells, where=lambda row: row == first) == 1

    return change


def summarise(*place: str, value: object = 0.123) -> Forgery:
    """Rewrite a value of the summary."""

    def change(value_held: dict) -> None:
        for key in place[:-1]:
            value_held = value_held[key]
        assert value_held[place[-1]] != value
        value_held[place[-1]] = value

    return lambda audited: audited.change_json(SUMMARY, change)


def drop(name: str, where) -> Forgery:
    """Drop the first row that answers."""

    def change(audited: Audited) -> None:
        path = audited.study / name
        rows = read_table(path)
        rows.remove(next(row for row in rows if where(row)))
        write_table(path, rows, columns=tuple(read_table(path)[0]))

    return change


def of(check: str, *, verdicts=("PASS", "FAIL"), method="occlusion"):
    """Choose the row of a check that has figures."""
    return lambda row: (
        row["check"] == check and row["verdict"] in verdicts and method in ("", row["method"])
    )


def anything(_) -> bool:
    return True


VERDICT_FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a verdict of a check": (
        edit(CHECKS, of("deletion", verdicts=("FAIL",), method=""), verdict="PASS"),
        "deletion: verdict must be FAIL, of",
    ),
    "a verdict of a check without figures": (
        edit(CHECKS, of("completeness", verdicts=("NOT APPLICABLE",)), verdict="PASS"),
        "completeness: verdict must be none without figures",
    ),
    "a threshold of a share": (
        edit(CHECKS, of("deletion"), threshold="0.5"),
        "occlusion deletion: threshold must be 0.95, as this check is defined",
    ),
    "a threshold of weight randomisation": (
        edit(CHECKS, of("weight_randomisation"), threshold="0.99"),
        "weight_randomisation: threshold must be",
    ),
    "threshold and comparator of weight randomisation": (
        edit(CHECKS, of("weight_randomisation"), threshold="0.99", comparator="0.99"),
        "weight_randomisation: reason must be one with its comparator",
    ),
    "a gate of completeness": (
        edit(CHECKS, of("completeness", method="integrated_gradients"), threshold="9"),
        "completeness: threshold must be",
    ),
    "a tolerance of the pointing game": (
        edit(CHECKS, of("pointing"), threshold="99"),
        "the longest edge of a voxel",
    ),
    "the words of a reason": (
        edit(CHECKS, of("deletion"), reason="all is well"),
        "reason must be in the words of its check",
    ),
    "a figure of a reason": (
        edit(
            CHECKS,
            of("weight_randomisation_top"),
            reason="SSIM 0.001 to the randomised map, 0.999 between cases",
        ),
        "reason must be one with its statistic",
    ),
    "a source": (
        edit(CHECKS, of("deletion"), source="own2026"),
        "source must be petsiuk2018",
    ),
    "a margin over the edge map in logits": (
        edit(CHECKS, of("insertion"), edge_margin="7.5"),
        "insertion: edge_margin must be",
    ),
    "a margin over the edge map of a share": (
        edit(CHECKS, of("rank_accuracy"), edge_margin="0.9"),
        "rank_accuracy: edge_margin must be",
    ),
    "the edge map's figure": (
        edit(CHECKS, of("insertion"), edge_map="0.001"),
        "the statistic of the edge map",
    ),
    "the centre prior's figure": (
        edit(CHECKS, of("relevance_mass"), centre_prior="0.777"),
        "centre_prior must be",
    ),
    "a row of a check dropped": (
        drop(CHECKS, of("deletion")),
        "row must be there, as of every map",
    ),
    "a verdict on a map": (
        edit(ATTRIBUTIONS, anything, verdict="INCONCLUSIVE"),
        f"{ATTRIBUTIONS} ",
    ),
    "a reason on a map": (edit(ATTRIBUTIONS, anything, reason="passed: all"), f"{ATTRIBUTIONS} "),
    "a verdict in the table of verdicts": (
        edit(VERDICTS, lambda row: row["method"] == "occlusion", verdict="INCONCLUSIVE"),
        f"{VERDICTS} ",
    ),
    "a control's verdict in the table of verdicts": (
        edit(VERDICTS, lambda row: row["is_control"] == "true", verdict="INCONCLUSIVE"),
        f"{VERDICTS} ",
    ),
    "a reason in the table of verdicts": (
        edit(VERDICTS, anything, reason="failed: nothing"),
        "reason must be",
    ),
    "a control called a method": (
        edit(VERDICTS, lambda row: row["is_control"] == "true", is_control="false"),
        "is_control must be true",
    ),
    "a row of the table of verdicts dropped": (drop(VERDICTS, anything), "row must be there"),
    "a rate": (
        summarise("methods", "occlusion", "checks", "deletion", "rate"),
        "methods.occlusion.checks.deletion.rate must be",
    ),
    "an interval's end": (
        summarise("methods", "occlusion", "checks", "insertion", "low"),
        "methods.occlusion.checks.insertion.low must be",
    ),
    "a control's mean": (
        summarise("controls", "control_edge", "checks", "deletion", "mean_statistic"),
        "controls.control_edge.checks.deletion.mean_statistic must be",
    ),
    "a margin of the summary": (
        summarise("methods", "occlusion", "margins", "insertion", "edge_margin_low"),
        "methods.occlusion.margins.insertion.edge_margin_low must be",
    ),
    "the verdict on a method": (
        summarise("methods", "occlusion", "verdict", "verdict", value="MAYBE"),
        "methods.occlusion.verdict.verdict must be",
    ),
    "the reason of that verdict": (
        summarise("methods", "occlusion", "verdict", "reason", value="passed: all"),
        "methods.occlusion.verdict.reason",
    ),
    "a limit dropped from the summary": (
        lambda audited: audited.change_json(SUMMARY, lambda value: value["limits"].pop()),
        "limits must be",
    ),
    "a number of eligible images": (
        summarise("selection", "eligible", value=999),
        "selection.eligible must be",
    ),
    "a parameter of the summary": (
        summarise("parameters", "random_orders", value=999),
        "parameters.random_orders must be 10",
    ),
    "a point of a cascade": (
        edit(CASCADE, lambda row: row["stage"] == "1", ssim="0.0123"),
        "consistency.cascade.",
    ),
    "a row of stability": (
        edit(STABILITY, lambda row: row["comparison"] == "input_noise", ssim="0.999"),
        "consistency.stability.",
    ),
    "a row of stability dropped": (
        drop(STABILITY, lambda row: row["comparison"] == "other_fold"),
        "row must be there, by the settings",
    ),
    "another network called blind": (
        edit(STABILITY, lambda row: row["comparison"] == "other_fold", split="test"),
        "row must be absent, by the settings",
    ),
    "a stage of a cascade dropped": (
        drop(CASCADE, lambda row: row["stage"] == "2"),
        "stages must be 0 to",
    ),
    "a mean agreement of two methods": (
        lambda audited: audited.change_json(
            SUMMARY,
            lambda value: value["consistency"]["agreement"][0]["ssim"].update(mean=0.999),
        ),
        "consistency.agreement[0].ssim.mean must be",
    ),
}

PEAK_FORGERIES: dict[str, tuple[Forgery, str]] = {
    "the voxel of a peak": (edit(PEAKS, anything, i="0", j="0", k="0"), ": i must be"),
    "the place of a peak": (edit(PEAKS, anything, x_mm="1.5"), "x_mm must be"),
    "the value of a peak": (edit(PEAKS, anything, value="123"), "value must be"),
    "the stored object of a peak": (
        edit(PEAKS, lambda row: row["sop_instance_uid"], sop_instance_uid="2.25.1"),
        "sop_instance_uid must be",
    ),
    "the stored row of a peak": (
        edit(PEAKS, lambda row: row["sop_instance_uid"], row="1.25"),
        ": row must be",
    ),
    "a row of peaks dropped": (drop(PEAKS, anything), "row must be there, as the map has a peak"),
    "a peak of no map": (edit(PEAKS, anything, method="deeplift"), "row must be of a map"),
    "a map's smallest value": (edit(ATTRIBUTIONS, anything, minimum="-99"), "minimum must be"),
    "a map's largest value": (edit(ATTRIBUTIONS, anything, maximum="99"), "maximum must be"),
    "a map made empty": (
        lambda audited: audited.change_map(first_pair(audited), np.zeros_like),
        "verdict must be EMPTY, as the map is",
    ),
}


def swap_ranks(audited: Audited) -> None:
    """Exchange the train images of the first two ranks of an image, all but their scores."""
    rows = read_table(audited.study / INFLUENCE)
    one, other = (row for row in rows[:2])
    assert (one["image_id"], one["kind"]) == (other["image_id"], other["kind"])
    for name in ("score",):
        one[name], other[name] = other[name], one[name]
    write_table(audited.study / INFLUENCE, rows, columns=tuple(rows[0]))


BESIDE_FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a train image of another split": (
        lambda audited: edit(
            INFLUENCE, anything, train_image_id=read_table(audited.study / INFLUENCE)[0]["image_id"]
        )(audited),
        "image must be of the train split",
    ),
    "a train image's label": (edit(INFLUENCE, anything, train_label="x"), "train_label must be"),
    "scores of two ranks exchanged": (swap_ranks, "scores must be in the order of ranks"),
    "a score of the other sign": (
        edit(INFLUENCE, lambda row: row["kind"] == "raised", score="0.5"),
        "signs of scores must be those of the kind",
    ),
    "a rank dropped": (
        drop(INFLUENCE, lambda row: (row["kind"], row["rank"]) == ("nearest", "1")),
        "ranks must be 1, 2, 3",
    ),
    "a number of checkpoints": (
        edit(INFLUENCE, lambda row: row["kind"] == "raised", n_checkpoints="77"),
        "n_checkpoints must be",
    ),
    "a number of train images in the summary": (
        lambda audited: audited.change_json(
            SUMMARY, lambda value: value["influence"]["networks"][0].update(n_train=999)
        ),
        "influence.networks[0].n_train must be",
    ),
    "a limit of influence dropped": (
        lambda audited: audited.change_json(
            SUMMARY, lambda value: value["influence"]["limits"].pop()
        ),
        "influence.limits must be",
    ),
}


def first_pair(audited: Audited) -> tuple[str, str]:
    row = read_table(audited.study / ATTRIBUTIONS)[0]
    return row["image_id"], row["method"]


def test_every_check_has_its_rule():
    assert RULES.keys() == SOURCES.keys()


def test_an_honest_bundle_tells_what_follows_from_its_own_rows_and_maps(audited):
    checks = check_explained(audited.bundle, level=1)
    assert [(check.name, check.status, say(check)) for check in checks] == [
        ("verdicts", "PASS", ""),
        ("beside", "PASS", ""),
        ("peaks", "PASS", ""),
    ]
    assert {check.level for check in checks} == {1}


def test_level_0_asks_nothing_of_it_and_says_so(audited):
    checks = check_explained(audited.bundle, level=0)
    assert {(check.status, check.note) for check in checks} == {
        ("NOT CHECKED", "asked from --level 1 on")
    }


@pytest.mark.parametrize("name", VERDICT_FORGERIES)
def test_what_does_not_follow_from_the_statistics_is_found_at_level_1(name, audited):
    forge, text = VERDICT_FORGERIES[name]
    forge(audited)
    check = ask(audited, "verdicts")
    assert check.status == "FAIL"
    assert text in say(check)


@pytest.mark.parametrize("name", PEAK_FORGERIES)
def test_what_does_not_follow_from_a_map_is_found_at_level_1(name, audited):
    forge, text = PEAK_FORGERIES[name]
    forge(audited)
    check = ask(audited, "peaks")
    assert check.status == "FAIL"
    assert text in say(check)


@pytest.mark.parametrize("name", BESIDE_FORGERIES)
def test_train_images_that_folds_and_settings_do_not_allow_are_found_at_level_1(name, audited):
    forge, text = BESIDE_FORGERIES[name]
    forge(audited)
    check = ask(audited, "beside")
    assert check.status == "FAIL"
    assert text in say(check)


@pytest.mark.parametrize("name", [CHECKS, VERDICTS, PEAKS, INFLUENCE, SUMMARY])
def test_a_table_that_is_gone_is_a_fault_and_no_error(name, audited):
    (audited.study / name).unlink()
    checks = check_explained(audited.bundle, level=1)
    assert {check.status for check in checks} == {"FAIL"}
    assert "must be in the bundle" in say(checks[0])


def test_a_figure_that_is_no_number_is_a_fault_and_no_error(audited):
    edit(CHECKS, of("deletion"), statistic="many")(audited)
    assert "verdicts: content must be complete and readable" in say(ask(audited, "verdicts"))


def test_a_check_of_which_no_rule_is_known_is_a_fault(audited):
    rows = read_table(audited.study / CHECKS)
    new = {**rows[0], "check": "usefulness"}
    write_table(audited.study / CHECKS, [*rows, new], columns=tuple(rows[0]))
    assert "usefulness: row must be of a known check" in say(ask(audited, "verdicts"))
