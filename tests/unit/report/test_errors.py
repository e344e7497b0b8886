"""The worst and the least certain test images: the right ones, bounded, of test images alone."""

from dataclasses import replace

import numpy as np
import pytest
from reports import make_sources

from medvision.report.errors import MAX_ERRORS, NO_ERRORS, build_errors
from medvision.report.facts import build_facts
from medvision.report.page import build_report
from medvision.report.sources import Row, Sources

CLASSES = ("a", "b", "c")


def make_rows(probabilities: np.ndarray, labels: list[str], **values: str) -> list[Row]:
    return [
        {
            "image_id": f"image-{n:03d}",
            "subject": f"sub-{n:03d}",
            "arm": "transfer",
            "split": "test",
            "seed": "0",
            "label": label,
            **{f"probability_{name}": f"{p:.9g}" for name, p in zip(CLASSES, row, strict=True)},
            **values,
        }
        for n, (row, label) in enumerate(zip(probabilities, labels, strict=True))
    ]


def make_predicted(n: int = 60, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(3), n), [CLASSES[k] for k in rng.integers(0, 3, n)]


def build(rows: list[Row], task: str = "classification"):
    return build_errors(Sources(tables={"predictions": rows}), classes=CLASSES, task=task)


def test_the_lists_are_those_of_a_plain_count() -> None:
    p, labels = make_predicted()
    facts = build(make_rows(p, labels))
    own = p[np.arange(60), [CLASSES.index(label) for label in labels]]
    wrong = [n for n in range(60) if CLASSES[p[n].argmax()] != labels[n]]
    assert (facts.n_images, facts.n_wrong, facts.n_models) == (60, len(wrong), 1)
    worst = sorted(wrong, key=lambda n: own[n])[:MAX_ERRORS]
    assert [row.image_id for row in facts.worst] == [f"image-{n:03d}" for n in worst]
    assert facts.worst[0].of_label == pytest.approx(own[worst[0]])
    gaps = np.diff(np.sort(p, axis=1)[:, 1:], axis=1)[:, 0]
    unsure = np.argsort(gaps)[:MAX_ERRORS]
    assert [row.image_id for row in facts.unsure] == [f"image-{n:03d}" for n in unsure]


def test_an_image_tested_by_two_networks_counts_once_by_their_mean() -> None:
    rows = [
        *make_rows(np.array([[0.9, 0.1, 0.0]]), ["b"]),
        *make_rows(np.array([[0.0, 1.0, 0.0]]), ["b"], seed="1"),
    ]
    facts = build(rows)
    assert (facts.n_images, facts.n_wrong, facts.n_models) == (1, 0, 2)
    assert facts.unsure[0].probability == pytest.approx(0.55)


def test_validation_images_other_arms_and_ensembles_are_left_out() -> None:
    p, labels = make_predicted()
    held = make_rows(p, labels)
    others = [
        *make_rows(1 - p, labels, split="validation"),
        *make_rows(1 - p, labels, arm="scratch"),
        *make_rows(1 - p, labels, arm="transfer-ensemble"),
    ]
    assert build([*others, *held]) == build(held)


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_studies_without_predictions_have_none(task: str) -> None:
    assert build([], task) == NO_ERRORS


def test_the_page_shows_both_lists_with_pictures() -> None:
    sources = make_sources(explained=3)
    facts = build_facts(sources, title="x", author=None)
    assert facts.errors.n_wrong == 2
    names = facts.errors.images
    picture = np.zeros((96, 96), dtype=np.uint8)
    html = build_report(facts, views={}, pictures=dict.fromkeys(names, picture)).html
    section = html.partition('id="errors"')[2].partition("</section>")[0]
    assert section.count("<img") == len(facts.errors.worst) + len(facts.errors.unsure) == 5
    assert "2 of 3 test images" in section
    none = replace(sources, tables={**sources.tables, "predictions": []})
    page = build_report(build_facts(none, title="x", author=None), views={}).html
    assert 'id="errors"' not in page
