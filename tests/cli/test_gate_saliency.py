"""Saliency in the gate: who is explained, what is refused, and that a broken run ends alike."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marked_films import draw_films, make_films, name_drawn, open_gate, open_job

from medvision.cli._gate import saliency as _gate_saliency
from medvision.cli._gate.judge import describe_rules
from medvision.cli._gate.saliency import ask_saliency, choose_explained, list_seeds
from medvision.cli._gate.saliency_table import COLUMNS, read_gauge, write_gauge
from medvision.cli._recompute.saliency import find_saliency_faults
from medvision.cli._training.fitting import Watch, fit_seed
from medvision.config.model import build_study
from medvision.domain.split import Assignment
from medvision.domain.synthesis.criterion import COLUMNS as CRITERIA
from medvision.domain.synthesis.gauges import SIGNS, Gauge
from medvision.errors import DataError, StoppedError
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

N_DRAWN = 384


def ask(study, drawn):
    """Ask in the gate's step of fold 0, which keeps what it has measured; return the rows."""
    with open_gate(study) as step:
        job = open_job(step)
        plain = fit_seed(job, job.settings.train.seeds[0], watch=Watch("plain"))
        criteria = ask_saliency(job, plain, drawn, rules=describe_rules(study.gate))
        path = step.write(step.layout.table(step.name, "criteria"))
        write_table(path, [asdict(own) for own in criteria], columns=CRITERIA)
        return criteria


def read_saliency(study):
    return read_table(Layout(study.output.path).step("gate/fold-0") / "saliency.tsv")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Films of new subjects, then films with a shortcut, before the same plain networks."""
    with pytest.MonkeyPatch.context() as patch:
        study = make_films(tmp_path_factory.mktemp("films"), patch)
    honest = ask(study, name_drawn(*draw_films(50, N_DRAWN)))
    table = read_saliency(study)
    planted = ask(study, name_drawn(*draw_films(51, N_DRAWN, is_shortcut=True)))
    return study, honest, table, planted


def test_images_of_new_subjects_pass_and_the_checks_can_tell(asked) -> None:
    *checks, last = asked[1]
    assert len(checks) == len(SIGNS)
    assert {own.verdict for own in checks} <= {"passed", "described"}
    assert (last.verdict, last.statistic) == ("passed", "checks that can tell")


def test_a_shortcut_in_the_images_that_draws_saliency_away_is_refused(asked) -> None:
    refused = {own.statistic for own in asked[3] if own.verdict == "refused"}
    assert refused & {"loss of relevance_mass", "loss of rank_accuracy"}
    mass = {own.statistic: own for own in asked[3]}["loss of relevance_mass"]
    assert mass.value > 2 * max(0.0, mass.comparator)


def test_only_real_validation_subjects_are_explained_each_by_every_network(asked) -> None:
    study, _, table, _ = asked
    folds = read_table(Layout(study.output.path).folds)
    validation = {
        row["image_id"] for row in folds if (row["fold"], row["split"]) == ("0", "validation")
    }
    assert {row["image_id"] for row in table} <= validation
    assert not any("synthetic" in row["image_id"] for row in table)
    networks = {(row["network"], row["seed"]) for row in table}
    assert networks == {("real", "0"), ("real", "1"), ("real", "2"), ("mixed", "0")}
    for network in networks:
        own = [row for row in table if (row["network"], row["seed"]) == network]
        assert len({row["image_id"] for row in own}) == study.gate.explained
    masked = {row["image_id"] for row in table if row["check"] == "rank_accuracy"}
    assert {row["label"] for row in table if row["image_id"] in masked} == {"nodule"}


def test_a_stopped_run_goes_on_and_measures_the_same_to_the_bit(tmp_path, monkeypatch) -> None:
    quick = {"train": {"epochs": 2}, "gate": {"explained": 6}, "n_images": 32}
    drawn = name_drawn(*draw_films(52, 16))
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = make_films(tmp_path / "whole", monkeypatch, **quick)
    first = ask(whole, drawn)
    broken = make_films(tmp_path / "broken", monkeypatch, **quick)
    n_steps = []

    def stop(job, seed, *, watch):
        own = replace(watch, should_stop=lambda: n_steps.append(seed) or len(n_steps) == 5)
        return fit_seed(job, seed, watch=own)

    monkeypatch.setattr(_gate_saliency, "fit_seed", stop)
    with pytest.raises(StoppedError):
        ask(broken, drawn)
    assert repr(ask(broken, drawn)) == repr(first)
    paths = [
        Layout(study.output.path).step("gate/fold-0") / "saliency.tsv" for study in (whole, broken)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_other_images_are_not_taken_for_those_measured_before(asked) -> None:
    losses = [[own.value for own in rows] for rows in (asked[1], asked[3])]
    assert losses[0] != losses[1]


def edit(study, name, change):
    """Return a locator of the study's files, in which one cell of a gate's table is another."""
    root = Layout(study.output.path).root
    path = root / "gate/fold-0" / name
    rows = read_table(path)
    change(rows)
    edited = path.with_name(f"edited-{name}")
    write_table(edited, rows, columns=[*rows[0]])

    def locate(place: str) -> Path:
        found = edited if place == f"gate/fold-0/{name}" else root / place
        if not found.is_file():
            raise DataError(f"{place}: file must be there, got none.")
        return found

    return locate


def test_an_audit_judges_the_same_again(asked) -> None:
    study, *_ = asked
    assert find_saliency_faults(edit(study, "saliency.tsv", lambda _: None)) == []


@pytest.mark.parametrize(
    ("name", "cells", "found"),
    [
        ("criteria.tsv", {"verdict": "passed"}, "gate/fold-0/criteria.tsv"),
        ("criteria.tsv", {"threshold": "9"}, "gate/fold-0/criteria.tsv"),
        ("saliency.tsv", {"image_id": "img-of-the-test-split"}, "a validation image of the fold"),
        ("saliency.tsv", {"network": "real", "seed": "9"}, "3, as gate.real_networks asked"),
    ],
)
def test_an_audit_finds_what_was_edited(asked, name, cells, found) -> None:
    def change(rows) -> None:
        refused = [row for row in rows if row.get("verdict") == "refused"]
        (refused or rows)[0].update(cells)

    said = [str(fault) for fault in find_saliency_faults(edit(asked[0], name, change))]
    assert any(found in fault for fault in said), said


def test_a_gate_that_tells_of_saliency_without_its_table_is_found(asked) -> None:
    study = asked[0]
    record = Layout(study.output.path).root / "gate/fold-0/record.json"
    locate = edit(study, "saliency.tsv", lambda _: None)
    held = json.loads(record.read_text())
    del held["writes"]["gate/fold-0/saliency.tsv"]
    other = record.with_name("other-record.json")
    other.write_text(json.dumps(held))
    summary = record.with_name("gate.json")
    for n_accepted, n_more in ((0, 0), (5, 1)):
        summary.write_text(json.dumps({"n_accepted": n_accepted}))
        faults = find_saliency_faults(lambda p: other if p.endswith("0/record.json") else locate(p))
        said = [str(fault) for fault in faults]
        assert sum("asked before a gate is open" in fault for fault in said) == n_more
        assert len(said) > n_more
        assert all("no such table" in fault for fault in said)


def test_where_nobody_is_to_be_explained_it_says_so_and_trains_nothing(tmp_path, monkeypatch):
    study = make_films(tmp_path, monkeypatch, n_images=16, gate={"explained": 0})
    monkeypatch.setattr(_gate_saliency, "fit_seed", None)
    (own,) = ask(study, name_drawn(*draw_films(50, 4)))
    assert (own.verdict, own.reason) == ("described", "not asked: gate.explained is 0")


@pytest.mark.parametrize(
    ("own", "wanted"), [((0, 1), (0, 1, 2, 3)), ((7, 3), (7, 3, 0, 1)), ((9,), (9, 0, 1, 2))]
)
def test_networks_have_the_seeds_of_the_study_first(own, wanted) -> None:
    study = build_study({"train": {"seeds": own}, "gate": {"real_networks": 4}})
    assert list_seeds(study) == wanted


def make_pool(labels):
    return [
        Assignment(0, 0, 0, 0, f"img-{n}", f"sub-{n}", label, "validation")
        for n, label in enumerate(labels)
    ]


@given(st.lists(st.sampled_from("ab"), max_size=20), st.integers(1, 12), st.integers(0, 99))
def test_classes_take_turns_and_nobody_is_explained_twice(labels, n, seed) -> None:
    pool = make_pool(labels)
    groups = {own.image_id: f"group-{place // 2}" for place, own in enumerate(pool)}
    chosen = choose_explained(pool, groups, n=n, seed=seed)
    held = [groups[own.image_id] for own in chosen]
    assert len(set(held)) == len(held) == min(n, len(set(groups.values())))
    assert chosen == choose_explained(pool[::-1], groups, n=n, seed=seed)
    apart = choose_explained(pool, {own.image_id: own.subject for own in pool}, n=n, seed=seed)
    counts = {name: sum(own.label == name for own in apart) for name in "ab"}
    scarce = min(labels.count("a"), labels.count("b"))
    assert abs(counts["a"] - counts["b"]) <= 1 or min(counts.values()) == scarce


@given(st.none() | st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**6))
def test_a_row_of_the_table_is_read_back_to_the_bit(value, seed) -> None:
    own = Gauge("img", "sub", "a", "mixed", seed, "occlusion", "deletion", value, 0.5)
    row = {name: str(cell) for name, cell in write_gauge(own).items()}
    assert tuple(row) == COLUMNS
    assert read_gauge(row) == own


def test_a_row_that_is_no_number_is_refused() -> None:
    own = Gauge("img", "sub", "a", "mixed", 0, "occlusion", "deletion", 0.5, 0.5)
    row = {name: str(cell) for name, cell in write_gauge(own).items()} | {"value": "much"}
    with pytest.raises(DataError, match="numbers in its columns"):
        read_gauge(row)
