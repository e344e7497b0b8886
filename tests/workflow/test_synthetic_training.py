"""A study trained with accepted synthetic images, to a bundle that verifies at all levels."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forgeries import refit
from pipeline import TINY, Values, call, list_commands, run, write_config
from planted_gates import plant_gate
from recomputing import Audited, copy_bundle, find, say

from medvision.audit.findings import Check
from medvision.audit.inventory import take_inventory
from medvision.cli._recompute.answers import find_in
from medvision.cli._recompute.drawn import check_drawn
from medvision.cli._recompute.synthetic import find_synthetic_faults
from medvision.config.model import load_study
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file

pytestmark = pytest.mark.slow

TAKING: Values = {
    **TINY,
    "cohort": {**TINY["cohort"], "validation_fraction": 0.2},
    "model": {"weights": "none"},
    "synthesise": {
        "generator": "gan",
        "minimum_subjects": 2,
        "steps": 2,
        "checkpoint_steps": 1,
        "grid_steps": 1,
        "width": 8,
        "batch_size": 4,
    },
    # The planted gates have asked nothing of explanations.
    "gate": {"explained": 0},
    "ablation": {"run": "off"},
    "predict": {"novelty": "features"},
}
REFUSED = (0,)


@pytest.fixture(scope="module")
def taking(tiny_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a study whose gate of fold 0 is open, and of fold 1 shut."""
    folder = tmp_path_factory.mktemp("taking")
    for step in ("phantom", "ingest", "measure"):
        shutil.copytree(tiny_study / step, folder / "results" / step)
    config = write_config(folder, TAKING)
    for arguments in list_commands(config, after="measure"):
        if arguments[0] == "gate":
            continue
        run(arguments)
        if arguments[0] == "synthesise":
            fold = int(arguments[2])
            plant_gate(load_study(config), fold, is_open=fold == 0, refused=REFUSED)
    return folder / "results"


@pytest.fixture
def audited(taking: Path, tmp_path: Path) -> Audited:
    return copy_bundle(taking, tmp_path)


def test_the_bundle_verifies_at_every_level(taking: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    bundle = str(taking / "audit/bundle")
    options = ["--study", str(taking), "--level", "5", "--sample", "2", "--json", str(told)]
    run(["audit", "verify", bundle, *options])
    checks = {check["name"]: check for check in json.loads(told.read_text())["checks"]}
    assert checks["synthetic"]["status"] == "PASS"
    assert "of fold 0 bit-equal; 2 of" in checks["synthetic"]["note"]
    assert {checks[name]["status"] for name in ("statistics", "closure", "influence")} == {"PASS"}


def test_drawn_images_stay_out_of_the_bundle_and_are_inputs_of_the_training(taking: Path) -> None:
    bundle = taking / "audit/bundle"
    assert not (bundle / "study/synthesise/fold-0/images.npy").exists()
    crate = json.loads((bundle / "ro-crate-metadata.json").read_text())["@graph"]
    (training,) = [each for each in crate if each["@id"] == "#step/train/scratch/fold-0"]
    inputs = {each["@id"] for each in training["object"]}
    assert "#left-out/synthesise/fold-0/images.npy" in inputs
    assert "study/gate/fold-0/images.tsv" in inputs
    study = json.loads((bundle / "study/report/study.json").read_text())
    for step in ("synthesise/fold-0", "gate/fold-0", "train/scratch/fold-0"):
        assert study["provenance"][step] == hash_file(taking / step / "record.json")


def read_reads(root: Path, step: str) -> list[str]:
    return [*json.loads((root / step / "record.json").read_text())["reads"]]


def test_whoever_reads_train_images_otherwise_reads_the_real_ones_alone(taking: Path) -> None:
    """Control, prediction (novelty), explanation (influence) and shortcuts see nothing drawn."""
    predicted = ("predict/scratch/fold-0", "predict/scratch/fold-1", "predict")
    for step in (*predicted, "evaluate", "plan", "explain", "control/permuted/fold-0"):
        drawn = [n for n in read_reads(taking, step) if n.startswith(("synthesise/", "gate/"))]
        assert drawn == [], step
    layout = Layout(taking)
    for table in ("predict/predictions.tsv", "explain/influence.tsv", "explain/selection.tsv"):
        assert "synthetic_fold" not in (layout.root / table).read_text()
    network = json.loads(layout.explain_summary.read_text())["influence"]["networks"][0]
    train = [
        row
        for row in read_table(layout.folds)
        if row["split"] == "train" and row["fold"] == str(network["fold"])
    ]
    assert network["n_train"] == len(train)


def test_report_and_model_card_say_what_each_fold_was_trained_on(taking: Path) -> None:
    facts = json.loads((taking / "report/report.json").read_text())
    rows = facts["generators"]["added"]["rows"]
    assert [(row["fold"], row["is_open"]) for row in rows] == [(0, True), (1, False)]
    card = (taking / "report/model_card.md").read_text()
    page = (taking / "report/report.html").read_text()
    for text in (card, page):
        assert "synthetic images" in text
        assert "In fold 1 the gate was shut" in text


def check(audited: Audited, **changes) -> Check:
    return find(check_drawn(audited.request(**changes)), "synthetic")


def test_images_are_drawn_again_without_the_study_too(audited: Audited) -> None:
    found = check(audited, sources=None)
    assert found.status == "PASS"
    assert "of fold 0 bit-equal" in found.note


def test_an_edited_array_is_found_though_every_digest_fits(
    audited: Audited, tmp_path: Path
) -> None:
    place = tmp_path / "handed/fold-0"
    place.mkdir(parents=True)
    images = np.load(audited.results / "synthesise/fold-0/images.npy")
    images[3] *= 1.01
    np.save(place / "images.npy", images)
    request = audited.request(sources=tmp_path / "handed")
    digests = {**request.digests, "synthesise/fold-0/images.npy": hash_file(place / "images.npy")}
    shutil.copytree(audited.results / "synthesise/fold-1", tmp_path / "handed/fold-1")
    forged = type(request)(request.locate, digests, request.sources, 99, 0)
    found = find(check_drawn(forged), "synthetic")
    assert found.status == "FAIL"
    (row,) = [
        r for r in read_table(audited.study / "synthesise/fold-0/images.tsv") if r["row"] == "3"
    ]
    assert row["image_id"] in say(found)


def test_other_bytes_are_left_open_where_the_run_s_own_are_not_handed_over(
    audited: Audited,
) -> None:
    request = audited.request(sources=None)
    digests = {**request.digests, "synthesise/fold-0/images.npy": "0" * 64}
    found = find(check_drawn(type(request)(request.locate, digests, None, 4, 0)), "synthetic")
    assert found.status == "NOT CHECKED"
    assert "add --study DIR" in found.note


def change_seed(audited: Audited) -> None:
    audited.change_rows(
        "synthesise/fold-0/images.tsv", lambda _: {"seed": "5"}, where=lambda row: row["row"] == "2"
    )


def change_label(audited: Audited) -> None:
    labels = [row["label"] for row in read_table(audited.study / "synthesise/fold-0/images.tsv")]
    for name in ("synthesise/fold-0/images.tsv", "gate/fold-0/images.tsv"):
        audited.change_rows(
            name, lambda _: {"label": labels[-1]}, where=lambda row: row["row"] == "0"
        )


def accept_refused(audited: Audited) -> None:
    audited.change_rows(
        "gate/fold-0/images.tsv",
        lambda _: {"accepted": "true", "reason": ""},
        where=lambda row: row["row"] == "0",
    )


def accept_consistently(audited: Audited) -> None:
    """Counts of the gate and of the training are made to fit."""
    accept_refused(audited)
    (row,) = [r for r in read_table(audited.study / "gate/fold-0/images.tsv") if r["row"] == "0"]

    def count(held):
        held["n_accepted"] += 1
        held["n_refused"] -= 1

    audited.change_json("gate/fold-0/gate.json", count)

    def train(held):
        held["facts"]["n_synthetic"][row["label"]] += 1

    audited.change_json("train/scratch/fold-0/record.json", train)

    def say_more(held):
        held["n_synthetic"] += 1

    audited.change_json("train/scratch/fold-0/seed-0/summary.json", say_more)


def blank_reason(audited: Audited) -> None:
    audited.change_rows(
        "gate/fold-1/images.tsv", lambda _: {"reason": ""}, where=lambda row: row["row"] == "1"
    )


def open_gate(audited: Audited) -> None:
    audited.change_json("gate/fold-1/gate.json", lambda held: held.update(is_open=True))


def hide_a_source(audited: Audited) -> None:
    audited.change_rows(
        "synthesise/fold-1/sources.tsv", lambda _: {"subject": "sub-x"}, where=lambda _: True
    )


def deny_training(audited: Audited) -> None:
    def change(held):
        held["facts"]["n_synthetic"] = dict.fromkeys(held["facts"]["n_synthetic"], 0)

    audited.change_json("train/scratch/fold-0/record.json", change)


def unread(audited: Audited) -> None:
    audited.change_json(
        "train/scratch/fold-0/record.json",
        lambda held: held["reads"].pop("gate/fold-0/images.tsv"),
    )


def understate(audited: Audited) -> None:
    audited.change_json(
        "train/scratch/fold-0/seed-0/summary.json", lambda held: held.pop("n_synthetic")
    )


FORGERIES = {
    change_seed: "synthesise/fold-0/images.tsv",
    change_label: "synthesise/fold-0/images.tsv",
    hide_a_source: "synthesise/fold-1/sources.tsv",
    accept_refused: "gate/fold-0/gate.json",
    accept_consistently: "gate/fold-0/images.tsv",
    blank_reason: "gate/fold-1/images.tsv",
    open_gate: "gate/fold-1/gate.json",
    deny_training: "train/scratch/fold-0/record.json",
    unread: "train/scratch/fold-0/record.json",
    understate: "train/scratch/fold-0/seed-0/summary.json",
}


@pytest.mark.parametrize(
    ("forge", "where"), FORGERIES.items(), ids=lambda o: getattr(o, "__name__", "")
)
def test_what_was_edited_is_named(
    audited: Audited, forge: Callable[[Audited], None], where: str
) -> None:
    locate = find_in(take_inventory(audited.bundle))
    assert find_synthetic_faults(locate) == []
    forge(audited)
    assert where in {finding.where for finding in find_synthetic_faults(locate)}


def test_verify_fails_on_a_forgery_that_fits_itself(audited: Audited) -> None:
    deny_training(audited)
    refit(audited.bundle)
    result = call(["audit", "verify", str(audited.bundle)])
    assert result.exit_code == 10
    assert "FAIL statistics: train/scratch/fold-0/record.json" in result.output
