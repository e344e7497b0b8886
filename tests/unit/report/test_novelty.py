"""Images unlike the train images on the page: counted, the strangest first, headers by fact."""

from dataclasses import replace

import pytest
from reports import make_sources

from medvision.report.facts import build_facts
from medvision.report.novelty import MAX_STRANGE, build_novelty
from medvision.report.page import build_report
from medvision.report.sources import Sources

LIMIT = 0.2


def make_row(name, distance, *, split="test", seed=0, arm="transfer", likeness=None):
    if likeness is None:
        likeness = LIMIT if distance > 2 else 0.6
    return {
        "arm": arm,
        "fold": "0",
        "seed": str(seed),
        "split": split,
        "image_id": name,
        "subject": name,
        "label": "nodule",
        "distance": f"{distance}",
        "likeness": f"{likeness}",
        "alarm": f"{LIMIT}",
    }


def make_header(name, fact="", found="", train="", *, split="test", fold=0):
    return {
        "fold": str(fold),
        "split": split,
        "image_id": name,
        "subject": name,
        "n_differences": str(int(bool(fact))),
        "fact": fact,
        "found": found,
        "train": train,
    }


def make_tables(distances, headers=(), seeds=(0, 1)):
    rows = [make_row("v", 2.0, split="validation", seed=seed, likeness=1.0) for seed in seeds]
    rows += [make_row(name, d, seed=seed) for name, d in distances.items() for seed in seeds]
    return {"predictions": rows, "headers": list(headers)}


def build(tables):
    return build_novelty(Sources(tables=tables))


def test_the_strangest_come_first_with_how_far_they_are():
    facts = build(make_tables({"a": 1.0, "b": 3.0, "c": 8.0}))
    assert [(image.image_id, image.times) for image in facts.images] == [("c", 4.0), ("b", 1.5)]
    assert [(row.split, row.n_images, row.n_unlike) for row in facts.rows] == [("test", 3, 2)]
    assert facts.rows[0].rate == pytest.approx(2 / 3)
    assert facts.rows[0].limit == pytest.approx(LIMIT)
    assert (facts.rows[0].low, facts.rows[0].verdict) == (None, None)


def test_half_of_the_networks_make_an_image_strange_and_fewer_do_not():
    tables = make_tables({"a": 3.0}, seeds=(0,))
    tables["predictions"] += [make_row("a", 1.0, seed=seed) for seed in (1,)]
    assert build(tables).rows[0].n_unlike == 1
    tables["predictions"] += [make_row("a", 1.0, seed=2)]
    assert build(tables).rows[0].n_unlike == 0
    assert build(tables).images == ()


def test_headers_are_counted_by_fact_once_an_image_and_shown_beside_it():
    mr, thick = ("modality", "MR", "CT"), ("spacing along k (mm)", "9", "1 to 5")
    headers = [
        make_header("a", *mr),
        make_header("a", *thick),
        make_header("a", *mr, fold=1),
        make_header("a", "modality", "MR", "CT or US", fold=2),
        make_header("b", "modality", "US", "CT"),
        make_header("c"),
        make_header("x", *thick, split="external"),
        make_header("v", *mr, split="validation"),
    ]
    facts = build(make_tables({"a": 1.0, "b": 1.0, "c": 1.0}, headers))
    assert [(held.fact, held.split, held.n_images) for held in facts.headers] == [
        ("modality", "test", 2),
        ("spacing along k (mm)", "external", 1),
        ("spacing along k (mm)", "test", 1),
    ]
    assert (facts.n_compared, facts.n_different) == (4, 3)
    assert {image.image_id: image.differences for image in facts.images} == {
        "a": "modality MR, train CT; spacing along k (mm) 9, train 1 to 5; "
        "modality MR, train CT or US",
        "b": "modality US, train CT",
    }


@pytest.mark.parametrize("found", ["GE MEDICAL", "4711; SN 12, train"])
def test_a_fact_keeps_its_name_whatever_its_value_holds(found):
    facts = build(make_tables({"a": 1.0}, [make_header("a", "manufacturer", found, "Siemens")]))
    assert [held.fact for held in facts.headers] == ["manufacturer"]


def test_an_external_cohort_has_a_row_of_its_own_and_an_ensemble_none():
    tables = make_tables({"a": 1.0})
    tables["predictions"] += [make_row("x", 5.0, split="external", seed=seed) for seed in (0, 1)]
    pooled = make_row("a", 1.0, arm="transfer-ensemble", seed="all")
    tables["predictions"] += [pooled | {"distance": "", "likeness": "", "alarm": ""}]
    facts = build(tables)
    assert [(row.split, row.n_unlike) for row in facts.rows] == [("test", 0), ("external", 1)]


def test_the_list_is_bounded():
    facts = build(make_tables({f"image-{n:03d}": 3.0 + n for n in range(40)}))
    assert len(facts.images) == MAX_STRANGE
    assert facts.n_strange == 40


def test_the_figures_of_the_evaluation_stand_beside():
    tables = make_tables({"a": 1.0, "b": 3.0})
    row = {"arm": "transfer", "score": "distance", "n_wrong": "1", "method": "m"}
    ends = {"alarm_rate": (0.3, 0.1, 0.6), "error_auc": (0.6, 0.4, 0.8), "aurc_gain": (0.1, -1, 1)}
    tables["abstention"] = [
        row | {"metric": name, "value": f"{v}", "low": f"{low}", "high": f"{high}"}
        for name, (v, low, high) in ends.items()
    ]
    held = build(tables).rows[0]
    assert (held.low, held.high, held.error_auc) == (0.1, 0.6, 0.6)
    assert held.verdict == "is not shown to be better than a random order"


def list_orders(rate, **fields):
    row = {"arm": "transfer", "score": "distance", "n_wrong": "1", "method": "m", **fields}
    ends = {"alarm_rate": (rate, 0.1, 0.6), "error_auc": (0.6, 0.4, 0.8), "aurc_gain": (0.1, -1, 1)}
    return [
        row | {"metric": name, "value": f"{v}", "low": f"{low}", "high": f"{high}"}
        for name, (v, low, high) in ends.items()
    ]


def test_external_images_have_the_figures_of_their_own_table() -> None:
    tables = make_tables({"a": 1.0, "b": 3.0})
    tables["predictions"] += [make_row("x", 5.0, split="external", seed=seed) for seed in (0, 1)]
    tables["external-abstention"] = list_orders(1.0)
    test, external = build(tables).rows
    assert (test.low, test.verdict) == (None, None)
    assert (external.low, external.high, external.auc_low) == (0.1, 0.6, 0.4)
    assert external.verdict == "is not shown to be better than a random order"


def test_of_several_findings_the_alarms_are_told_once_and_the_orders_where_they_stand() -> None:
    tables = make_tables({"a": 1.0, "b": 3.0})
    tables["abstention"] = [*list_orders(0.4, finding="x"), *list_orders(0.5, finding="y")]
    held = build(tables).rows[0]
    assert (held.rate, held.low, held.high) == (0.5, 0.1, 0.6)
    assert (held.error_auc, held.auc_low) == (None, None)
    assert held.verdict == "of each finding: evaluate/abstention.tsv"
    tables["abstention"] = list_orders(0.4, finding="x")
    held = build(tables).rows[0]
    assert (held.low, held.verdict) == (None, "of each finding: evaluate/abstention.tsv")


def test_the_page_has_the_section_where_there_is_something_and_not_otherwise():
    sources = make_sources()
    plain = build_facts(sources, title="t", author=None)
    assert 'id="novelty"' not in build_report(plain, views={}).html
    headers = make_tables({}, [make_header("a", "modality", "MR", "CT")])["headers"]
    tables = {**sources.tables, "headers": headers}
    facts = build_facts(replace(sources, tables=tables), title="t", author=None)
    page = build_report(facts, views={}).html
    assert "1 of 1 held-out image has a header that says something no train image" in page


def test_the_methods_say_how_distance_and_headers_were_judged():
    sources = make_sources()
    tables = make_tables({"a": 1.0}, [make_header("a")])
    predict = {"novelty_neighbours": 5, "novelty_alarm": 0.05}
    found = build_facts(
        replace(
            sources,
            tables={
                **sources.tables,
                "predictions": tables["predictions"],
                "headers": tables["headers"],
            },
            settings={**sources.settings, "predict": predict},
        ),
        title="t",
        author=None,
    )
    text = dict(found.methods.paragraphs)["Certainty"]
    assert "number 5 in order of nearness" in text
    assert "at most 5% of the validation images" in text
    assert "by modality, manufacturer" in text


def test_nothing_predicted_and_no_headers_are_no_facts():
    facts = build({})
    assert (facts.rows, facts.headers, facts.images, facts.arm) == ((), (), (), "")
