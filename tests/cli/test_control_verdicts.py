"""What is said of the controls, from predictions that were made for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from predicted import SETTINGS

from medvision.cli._recompute.shortcuts import find_dealt_faults
from medvision.cli._shortcut.control_judged import Judged, judge_controls
from medvision.cli._shortcut.control_text import say_nothing_to_compare
from medvision.cli.control import DEALT_COLUMNS
from medvision.domain.labels.rows import Classes
from medvision.io.tables import write_table

TWO = Classes(("no", "yes"), "yes")
AGE = Classes(("age",), None, task="regression")
PLACE = {"arm": "scratch", "seed": 0, "fold": 0, "repeat": 0, "part": 0, "inner": 0}


def describe(labels, outputs, *, classes=TWO, subjects=None):
    """Rows of predictions: (N, K) logits, or (N,) predicted values."""
    people = subjects or [f"s{n}" for n in range(len(labels))]
    table = np.asarray(outputs, dtype=float).reshape(len(labels), -1)
    names = ["predicted"] if classes is AGE else [f"logit_{name}" for name in classes.names]
    return [
        PLACE
        | {"split": "test", "image_id": f"i{n:04d}", "subject": person, "label": str(label)}
        | dict(zip(names, map(repr, row.tolist()), strict=True))
        for n, (label, person, row) in enumerate(zip(labels, people, table, strict=True))
    ]


def odds(scores):
    """Logits of two classes."""
    return np.column_stack([-np.asarray(scores), scores])


def judge(root: Path, control, rows, *, classes=TWO, study=(), units=None, settings=SETTINGS):
    """Write a control's files, and return what is said of it."""
    step = f"control/{control}/fold-0"
    (root / step).mkdir(parents=True)
    columns = tuple(rows[0]) if rows else tuple(PLACE)
    write_table(root / step / "predictions.tsv", rows, columns=columns)
    dealt = [
        {
            "image_id": row["image_id"],
            "subject": row["subject"],
            "unit": (units or {}).get(row["image_id"], row["subject"]),
            "label": row["label"],
            "split": "test",
            "control_label": row["label"],
            "control_split": "test",
        }
        for row in rows
    ]
    write_table(root / step / "dealt.tsv", dealt, columns=DEALT_COLUMNS)
    facts = {"n_siblings": 0, "n_tested": len(rows), "n_moved": 9, "is_trained": True}
    (root / step / "summary.json").write_text(json.dumps(facts))
    texts = [{name: str(cell) for name, cell in row.items()} for row in study]
    groups = {row["image_id"]: row["subject"] for row in (*rows, *study)}
    of = Judged(classes, groups, settings, texts)
    return judge_controls(lambda path: root / path, [step], of=of)


def test_a_figure_below_chance_is_not_said_to_be_at_chance(tmp_path: Path) -> None:
    labels = ["no", "yes"] * 20
    scores = [label == "no" for label in labels] + np.random.default_rng(0).normal(0, 0.4, 40)
    (row,), warnings = judge(tmp_path, "permuted", describe(labels, odds(scores)))
    assert row["high"] < 0.5
    assert row["verdict"] == "below-chance"
    assert "ends below chance" in row["words"]
    assert warnings == []


def test_a_figure_without_an_interval_cannot_be_judged(tmp_path: Path) -> None:
    rows = describe(
        ["yes", "no", "no", "no", "no"],
        odds([0.5, 0.1, 0.2, 0.3, 0.9]),
        subjects=["a", "b", "b", "b", "b"],
    )
    (row,), _ = judge(tmp_path, "permuted", rows)
    assert (row["value"], row["low"]) == (0.75, None)
    assert row["verdict"] == "not-judged"
    assert "cannot be judged against chance" in row["words"]
    assert "at chance" not in row["words"]


def test_images_that_cannot_be_dealt_are_not_said_to_have_no_siblings() -> None:
    said = say_nothing_to_compare(n_siblings=0, n_tested=20, n_moved=0)
    assert "cannot be dealt" in said
    assert "no image has another image" not in said


def test_values_that_were_memorised_are_found_although_r2_is_below_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values, predicted = rng.normal(50, 10, 200), rng.normal(50, 12, 200)
    predicted[:60] = values[:60]
    rows = describe(values, predicted, classes=AGE)
    assert 1 - np.sum((predicted - values) ** 2) / np.sum((values - values.mean()) ** 2) < 0
    (row,), warnings = judge(tmp_path, "permuted", rows, classes=AGE)
    assert row["metric"] == "pearson_r"
    assert row["value"] == pytest.approx(np.corrcoef(values, predicted)[0, 1])
    assert row["verdict"] == "above-chance"
    assert warnings == [row["words"]]
    assert "correlation of true and predicted value" in row["words"]


def test_values_that_nothing_tells_are_at_chance(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = describe(rng.normal(50, 10, 100), rng.normal(50, 12, 100), classes=AGE)
    (row,), warnings = judge(tmp_path, "permuted", rows, classes=AGE)
    assert (row["verdict"], warnings) == ("chance", [])


def test_copies_that_were_dealt_one_label_are_drawn_as_one(tmp_path: Path) -> None:
    labels = ["no", "no", "yes", "yes"] * 10
    rows = describe(labels, odds(np.random.default_rng(2).normal(size=40)))
    units = {row["image_id"]: f"u{n // 2}" for n, row in enumerate(rows)}
    (row,), _ = judge(tmp_path / "joined", "permuted", rows, units=units)
    assert "resamples of 20 subjects (some joined)" in row["method"]


def describe_findings(names, *, shift, seed, prefix=""):
    """Rows of 60 images with findings, each told by outputs that are `shift` higher with it."""
    rng = np.random.default_rng(seed)
    there = rng.random((60, len(names))) < 0.5
    labels = ["|".join(np.array(names)[row]) or "No Finding" for row in there]
    outputs = rng.normal(size=there.shape) + np.where(there, shift, 0)
    classes = Classes(tuple(names), None, task="multilabel")
    rows = describe(labels, outputs, classes=classes)
    return [row | {"image_id": prefix + row["image_id"]} for row in rows]


def test_intervals_of_many_findings_hold_together_and_only_a_gain_is_warned_of(tmp_path) -> None:
    names = [f"F{n}" for n in range(8)]
    findings = Classes(tuple(names), None, task="multilabel")
    better = describe_findings(names, shift=[3] * 8, seed=0)
    worse = describe_findings(names, shift=[0] * 8, seed=1, prefix="o")
    rows, warnings = judge(tmp_path / "a", "image-level", better, classes=findings, study=worse)
    assert {row["verdict"] for row in rows} == {"differs"}
    assert len(warnings) == 8
    assert "8 findings together" in rows[0]["words"]
    one = Classes(("F0",), None, task="multilabel")
    keep = [
        [row | {"label": "F0" if "F0" in row["label"] else "No Finding"} for row in held]
        for held in (better, worse)
    ]
    (alone,), _ = judge(tmp_path / "b", "image-level", keep[0], classes=one, study=keep[1])
    widths = [row["difference_high"] - row["difference_low"] for row in (rows[0], alone)]
    assert alone["value"] == pytest.approx(rows[0]["value"])
    assert widths[0] > 1.2 * widths[1]
    rows, warnings = judge(tmp_path / "c", "image-level", worse, classes=findings, study=better)
    assert {row["verdict"] for row in rows} == {"lower"}
    assert warnings == []


def test_a_perfect_figure_after_an_image_level_split_keeps_its_own_error(tmp_path: Path) -> None:
    few = describe(["no", "yes"] * 4, odds([-1.0, 1.0] * 4))
    rng = np.random.default_rng(3)
    labels = ["no", "yes"] * 60
    many = describe(labels, odds(rng.normal(size=120) + [1.2 * (x == "yes") for x in labels]))
    study = [row | {"image_id": f"o{row['image_id']}"} for row in many]
    (row,), warnings = judge(tmp_path, "image-level", few, study=study)
    assert row["value"] == 1
    assert row["difference_low"] < 0 < row["difference_high"]
    assert "Newcombe" in row["method"]
    assert (row["verdict"], warnings) == ("no-difference", [])


@pytest.fixture
def dealt(tmp_path: Path) -> Path:
    """A control of two subjects of train and two of test, one copied from train."""
    step = tmp_path / "control/permuted/fold-0"
    step.mkdir(parents=True)
    places = [("a", "train", "u"), ("b", "train", "b"), ("c", "test", "u"), ("d", "test", "d")]
    rows = [
        dict(zip(DEALT_COLUMNS, (name, name, unit, "no", side, "yes", side), strict=True))
        for name, side, unit in places
    ]
    write_table(step / "dealt.tsv", rows, columns=DEALT_COLUMNS)
    told = [{"image_id": name, "label": "yes"} for name in "cd"]
    write_table(step / "predictions.tsv", told, columns=("image_id", "label"))
    facts = {"is_trained": True, "n_tested": 2, "n_siblings": 1, "n_moved": 0, "n_units": 3}
    (step / "summary.json").write_text(json.dumps(facts))
    return step


def find_faults(step: Path):
    root = step.parents[2]
    return find_dealt_faults(lambda path: root / path, "control/permuted/fold-0")


def test_an_audit_counts_siblings_again(dealt: Path) -> None:
    assert find_faults(dealt) == []
    whole = (dealt / "summary.json").read_text()
    (dealt / "summary.json").write_text(whole.replace('"n_siblings": 1', '"n_siblings": 0'))
    assert [fault.thing for fault in find_faults(dealt)] == ["n_siblings"]


@pytest.mark.parametrize(("was", "is_now"), [("c\tyes", "c\tno"), ("c\tyes", "b\tyes")])
def test_an_audit_finds_predictions_of_what_was_not_dealt(dealt: Path, was, is_now) -> None:
    path = dealt / "predictions.tsv"
    path.write_text(path.read_text().replace(was, is_now))
    assert [fault.thing for fault in find_faults(dealt)] == ["rows"]


def test_a_small_leak_into_every_finding_is_warned_of_though_none_shows_alone(tmp_path) -> None:
    names = [f"F{n}" for n in range(12)]
    findings = Classes(tuple(names), None, task="multilabel")
    leaky = describe_findings(names, shift=[0.3] * 12, seed=6)
    rows, warnings = judge(tmp_path / "a", "permuted", leaky, classes=findings)
    assert "above-chance" not in {row["verdict"] for row in rows}
    assert rows[-1]["verdict"] == "above-together"
    assert warnings == [rows[-1]["words"]]
    assert "12 findings together, though on none by itself" in warnings[0]
    clean = describe_findings(names, shift=[0] * 12, seed=5)
    rows, warnings = judge(tmp_path / "b", "permuted", clean, classes=findings)
    assert (len(rows), warnings) == (12, [])
