"""What is said of the controls, from predictions that were made for it."""

import json
from pathlib import Path

import numpy as np
from predicted import SETTINGS

from medvision.cli._control_judged import Judged, judge_controls
from medvision.cli._control_text import say_nothing_to_compare
from medvision.cli.control import DEALT_COLUMNS
from medvision.domain.labels import Classes
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
