"""The worst test images of findings and of a value: by a plain count, bounded, with pictures."""

import re

import numpy as np
import pytest
from target_reports import make_target_sources

from medvision.domain.labels.findings import name_findings
from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.sources import Row
from medvision.report.target_errors import (
    MAX_FINDINGS,
    MAX_OF_FINDING,
    MAX_ROWS,
    find_finding_errors,
    find_value_errors,
)


def make_findings(n: int, names: list[str], *, seed: int = 0) -> dict[str, list[Row]]:
    """Rows of one network; of every fifth image the first finding is not known."""
    rng, held = np.random.default_rng(seed), {}
    for k in range(n):
        unknown = names[:1] if k % 5 == 0 else []
        there = [name for name in names if name not in unknown and rng.random() < 0.4]
        row = {"image_id": f"i{k:03d}", "label": name_findings(there, unknown)}
        row |= {f"probability_{name}": f"{rng.random():.6f}" for name in names}
        held[row["image_id"]] = [row]
    return held


def test_the_worst_of_a_finding_are_those_of_a_plain_count() -> None:
    names = ["a", "b"]
    held = make_findings(40, names)
    found, unsure = find_finding_errors(held, names)
    for each in found:
        wrong = {}
        for image, (row,) in held.items():
            if f"{each.name}?" in row["label"].split("|"):
                continue
            there = each.name in row["label"].split("|")
            p = float(row[f"probability_{each.name}"])
            if there != (p >= 0.5):
                wrong[image] = (abs(p - there), there)
        ranked = sorted(wrong, key=lambda image: -wrong[image][0])
        assert [row.image_id for row in each.worst] == ranked[:MAX_OF_FINDING]
        assert each.n_missed == sum(there for _, there in wrong.values())
        assert each.n_missed + each.n_false == len(wrong)
        assert each.n_known == (32 if each.name == "a" else 40)
    margins = [abs(row.probability - 0.5) for row in unsure]
    assert margins == sorted(margins)
    assert len(unsure) == MAX_ROWS


def test_a_finding_that_is_not_known_is_no_error() -> None:
    row = {"image_id": "i", "label": "a?", "probability_a": "0.99", "probability_b": "0.1"}
    found, unsure = find_finding_errors({"i": [row]}, ["a", "b"])
    assert found == ()
    assert [each.finding for each in unsure] == ["b"]


def test_many_findings_and_images_leave_a_short_list() -> None:
    names = [f"f{n:02d}" for n in range(40)]
    found, unsure = find_finding_errors(make_findings(300, names), names)
    assert (len(found), len(unsure)) == (MAX_FINDINGS, MAX_ROWS)
    assert {len(each.worst) for each in found} == {MAX_OF_FINDING}
    counts = [each.n_missed + each.n_false for each in found]
    assert counts == sorted(counts, reverse=True)


def make_values(n: int, *, n_models: int) -> dict[str, list[Row]]:
    rng = np.random.default_rng(1)
    return {
        f"i{k:03d}": [
            {"image_id": f"i{k:03d}", "label": f"{60 + k}", "predicted": f"{60 + k + e:.6f}"}
            for e in rng.normal(0, 5, n_models)
        ]
        for k in range(n)
    }


def test_the_largest_errors_are_those_of_the_mean_over_networks() -> None:
    held = make_values(50, n_models=3)
    worst, disputed = find_value_errors(held)
    errors, spreads = {}, {}
    for image, rows in held.items():
        values = [float(row["predicted"]) for row in rows]
        errors[image] = np.mean(values) - float(rows[0]["label"])
        spreads[image] = np.std(values, ddof=1)
    assert [row.image_id for row in worst] == sorted(errors, key=lambda k: -abs(errors[k]))[:12]
    assert worst[0].error == pytest.approx(errors[worst[0].image_id])
    assert [row.image_id for row in disputed] == sorted(spreads, key=lambda k: -spreads[k])[:12]


def test_one_network_alone_cannot_be_at_odds() -> None:
    assert find_value_errors(make_values(5, n_models=1))[1] == ()


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_page_shows_the_worst_images_with_pictures_and_words(task: str) -> None:
    facts = build_facts(make_target_sources(task, explained=0), title="x", author=None)
    picture = np.zeros((96, 96), dtype=np.uint8)
    pictures = dict.fromkeys(facts.errors.images, picture)
    page = build_report(facts, views={}, pictures=pictures).html
    section = page.partition('id="errors"')[2].partition("</section>")[0]
    images = re.findall(r'<img [^>]*alt="([^"]*)"', section)
    errors = facts.errors
    shown = [row for each in errors.findings for row in each.worst]
    shown += [*errors.unsure_findings, *errors.values]
    assert len(images) == len(shown) > 5
    if task == "multilabel":
        assert any(" labelled without " in text for text in images)
        assert "False alarms" in section
    else:
        assert all("true age" in text for text in images)
        assert "Largest errors" in section
        assert "Least certain" not in section
