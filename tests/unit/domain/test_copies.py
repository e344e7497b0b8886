"""The planted fault: each subject's rows several times over narrow no interval of an evaluation.

Every interval that an evaluation holds is looked for by its field names, so that a new one is held
to the same without being named here.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from predicted import SETTINGS, make_multiclass_rows, make_rows

from medvision.domain.evaluation.classes import evaluate_predictions
from medvision.domain.evaluation.multilabel import evaluate_findings
from medvision.domain.evaluation.regression import evaluate_values
from medvision.domain.labels.rows import Classes

N_SUBJECTS = 50
SAME = 0.97
"""Share of the width: a deviation of n - 1 values moves a little with copies."""
BINNED = ("/ece/", "/ece_", "/CalibrationBin/")
"""Bins of equal count may part copies of an image elsewhere."""


def list_ends(value: object, place: str = "") -> Iterator[tuple[str, float, float]]:
    """Yield every pair of fields `low` and `high`, however deep, with its place."""
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        own = "/".join(
            str(getattr(value, name))
            for name in ("arm", "arm_a", "subgroup", "metric", "threshold", "score", "coverage")
            if name in names and not is_dataclass(getattr(value, name))
        )
        for name in names:
            stem = name.removesuffix("low")
            if name.endswith("low") and f"{stem}high" in names and "loa" not in name:
                low, high = getattr(value, name), getattr(value, f"{stem}high")
                if low is not None:
                    yield f"{place}/{type(value).__name__}/{own}/{stem}", low, high
            elif name not in ("drawn", "curves"):
                yield from list_ends(getattr(value, name), f"{place}/{name}")
    elif isinstance(value, dict):
        for key, held in value.items():
            yield from list_ends(held, f"{place}/{key}")
    elif isinstance(value, tuple | list):
        for n, held in enumerate(value):
            yield from list_ends(held, f"{place}" if hasattr(held, "arm") else f"{place}[{n}]")


def copy(rows, times):
    """Copies of each image under another name, of the same subject."""
    return [
        row | {"image_id": f"{row['image_id']}-{n}"} if row["split"] == "test" else row
        for row in rows
        for n in range(times if row["split"] == "test" else 1)
    ]


def widen(rows):
    """Sites of half the subjects each."""
    return {row["image_id"]: {"site": "ab"[int(row["subject"][-4:]) % 2]} for row in rows}


def make_study(kind):
    """Two arms, test and validation, of subjects whose names end in four digits."""
    rows = []
    for split in ("test", "validation"):
        for place, arm in enumerate(("transfer", "scratch")):
            rng = np.random.default_rng(7)
            labels = rng.integers(0, 3, N_SUBJECTS)
            rng = np.random.default_rng(20 + place + 5 * (split == "test"))
            if kind == "three":
                logits = rng.normal(size=(N_SUBJECTS, 3)) + np.eye(3)[labels]
                made = make_multiclass_rows(logits, ["abc"[n] for n in labels], split=split)
            else:
                truth = labels > 0
                odds = rng.normal(size=N_SUBJECTS) + 1.4 * truth - 0.7
                made = make_rows(
                    odds.tolist(), ["yes" if held else "no" for held in truth], split=split
                )
            rows += [row | {"arm": arm} for row in made]
    return rows


def evaluate(kind, rows):
    classes = Classes(("no", "yes"), "yes") if kind == "two" else Classes(("a", "b", "c"), None)
    return evaluate_predictions(
        rows,
        {},
        classes=classes,
        settings=replace(SETTINGS, subgroups=("site",)),
        variables=widen(rows),
        temperatures={(arm, 0, 0): 1.6 for arm in ("transfer", "scratch")},
    )


def compare(once, copied, *, at_least):
    plain, many = dict_ends(once), dict_ends(copied)
    assert plain.keys() == many.keys()
    kinds = {place.split("/")[-3] if place.count("/") > 2 else place for place in plain}
    assert {name for name in at_least if not any(name in place for place in plain)} == set(), kinds
    widths = {
        place: (many[place][1] - many[place][0], high - low) for place, (low, high) in plain.items()
    }
    narrower = {
        place: pair
        for place, pair in widths.items()
        if pair[0] < (0.7 if any(name in place for name in BINNED) else SAME) * pair[1]
    }
    assert narrower == {}


def dict_ends(result):
    return {place: (low, high) for place, low, high in list_ends(result)}


@pytest.mark.parametrize("kind", ["two", "three"])
def test_copies_narrow_no_interval_of_classes(kind):
    rows = make_study(kind)
    found = ["Estimate", "Difference", "SubgroupFigure", "ScalingEffect", "CalibrationBin"]
    found += ["AbstentionFigure", "RiskPoint"] + (["DecisionPoint"] if kind == "two" else [])
    compare(evaluate(kind, rows), evaluate(kind, copy(rows, 3)), at_least=found)


def make_findings():
    rows = []
    for split in ("test", "validation"):
        for place, arm in enumerate(("transfer", "scratch")):
            for n in range(N_SUBJECTS):
                rng = np.random.default_rng(n)
                there = rng.random(2) < 0.45
                rng = np.random.default_rng(1000 * place + n + 500 * (split == "test"))
                odds = rng.normal(size=2) + 1.4 * there - 0.7
                names = [name for name, held in zip(("Mass", "Nodule"), there, strict=True) if held]
                row = {"arm": arm, "fold": "0", "repeat": "0", "part": "0", "inner": "0"}
                row |= {"seed": "0", "split": split, "image_id": f"{split}-{n:04d}"}
                row |= {"subject": f"{split}-s{n:04d}", "label": "|".join(names), "predicted": ""}
                for name, value in zip(("Mass", "Nodule"), odds.tolist(), strict=True):
                    row |= {f"logit_{name}": f"{value:.9g}"}
                    row |= {f"probability_{name}": f"{1 / (1 + np.exp(-value)):.9g}"}
                rows.append(row)
    return rows


def test_copies_narrow_no_interval_of_findings():
    def run(rows):
        return evaluate_findings(
            rows,
            {},
            classes=Classes(("Mass", "Nodule"), None, "multilabel"),
            settings=replace(SETTINGS, subgroups=("site",)),
            variables=widen(rows),
        )

    rows = make_findings()
    found = ["Estimate", "Difference", "SubgroupFigure", "DecisionPoint", "CalibrationBin"]
    compare(run(rows), run(copy(rows, 3)), at_least=found)


def test_copies_narrow_no_interval_of_a_value():
    rows = []
    for arm, noise in (("transfer", 4.0), ("scratch", 7.0)):
        rng = np.random.default_rng(int(noise))
        ages = np.random.default_rng(1).normal(60, 10, N_SUBJECTS)
        for n, age in enumerate(ages.tolist()):
            row = {"arm": arm, "fold": "0", "repeat": "0", "part": "0", "inner": "0", "seed": "0"}
            row |= {"split": "test", "image_id": f"t-{n:04d}", "subject": f"s{n:04d}"}
            rows.append(
                row | {"label": f"{age:.9g}", "predicted": f"{age + rng.normal(0, noise):.9g}"}
            )

    def run(held):
        classes = Classes(("age",), None, "regression")
        return evaluate_values(held, {}, classes=classes, settings=SETTINGS)

    compare(run(rows), run(copy(rows, 3)), at_least=["Estimate", "Difference"])


def test_the_check_finds_rows_that_are_taken_for_subjects():
    """It can fail: copies as subjects of their own narrow nearly everything."""
    rows = make_study("two")
    apart = [row | {"subject": row["image_id"]} for row in copy(rows, 3)]
    plain, many = dict_ends(evaluate("two", rows)), dict_ends(evaluate_apart(apart))
    narrower = [
        many[place][1] - many[place][0] < 0.8 * (high - low)
        for place, (low, high) in plain.items()
        if place in many
    ]
    assert np.mean(narrower) > 0.8


def evaluate_apart(rows):
    return evaluate_predictions(
        rows,
        {},
        classes=Classes(("no", "yes"), "yes"),
        settings=SETTINGS,
        variables={},
        temperatures={(arm, 0, 0): 1.6 for arm in ("transfer", "scratch")},
    )
