"""The report's part on folds: counts that agree with the tables, and a page that stays a page."""

from medvision.report.folds import build_folds
from medvision.report.sources import Row, Sources


def make_sources(n_folds: int, *, n_inner: int = 1) -> Sources:
    """Return folds of eight images, of which two are tested, and the balance of one column."""
    folds: list[Row] = []
    balance: list[Row] = []
    for fold in range(n_folds):
        place = {"fold": str(fold), "repeat": "0", "inner": str(fold % n_inner)}
        place["part"] = str(fold // n_inner)
        for n in range(8):
            split = "test" if n < 2 else "validation" if n < 4 else "train"
            image = {"image_id": f"i{n}", "subject": f"s{n}", "label": "xy"[n % 2], "split": split}
            folds.append({**place, **image})
        for value, n in (("A", 1), ("", 1)):
            counts = {"n_images": str(n), "n_subjects": str(n), "share": f"{n / 2}"}
            row = {"split": "test", "variable": "site", "value": value}
            balance.append({**place, **row, **counts})
    return Sources(tables={"folds": folds, "balance": balance})


def test_each_split_of_a_fold_is_counted_with_its_prevalence() -> None:
    facts = build_folds(make_sources(3), classes=["x", "y"], positive="y")
    assert [row.n_images for row in facts.rows] == [4, 2, 2] * 3
    assert {row.prevalence for row in facts.rows} == {0.5}
    assert facts.is_plain
    assert (facts.n_folds, facts.n_parts, facts.more_rows) == (3, 3, ())


def test_nested_folds_are_not_plain_and_say_their_place() -> None:
    facts = build_folds(make_sources(4, n_inner=2), classes=["x", "y"], positive="y")
    assert not facts.is_plain
    assert (facts.n_folds, facts.n_parts, facts.n_inner) == (4, 2, 2)
    assert [(row.part, row.inner) for row in facts.rows[::3]] == [
        *(("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")),
    ]


def test_of_a_thousand_folds_the_first_are_shown_and_the_rest_counted() -> None:
    facts = build_folds(make_sources(1000), classes=["x", "y"], positive="y")
    assert len(facts.rows) == 15
    assert len(facts.more_rows) == 75
    assert facts.n_folds == 1000
    assert len(facts.columns) == 5


def test_a_subgroup_has_its_counts_by_fold_and_its_range_over_all() -> None:
    facts = build_folds(make_sources(7), classes=["x", "y"], positive="y")
    first, missing = facts.subgroups
    assert (first.variable, first.value, first.n_images) == ("site", "A", (1,) * 5)
    assert (first.low, first.high) == (0.5, 0.5)
    assert missing.value == "not known"
