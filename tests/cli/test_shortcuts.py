"""`medvision shortcuts`: planted shortcuts are found, and said in words; what is not one is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from toy_study import make_images, make_study

from medvision.cli._recompute.shortcuts import find_shortcut_faults
from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

N_IMAGES = 64


def call(study, *arguments: str):
    return CliRunner().invoke(main, ["shortcuts", "--config", study.model_dump_json(), *arguments])


def make(root: Path, *, manufacturers, marked=(), columns=None, **sections):
    """A toy study of 2D images, its headers and a network's predictions beside it."""
    sections = {"evaluate": {"n_resamples": 300}, "control": {"trainings": []}, **sections}
    study = make_study(root, n_images=N_IMAGES, spatial_dims=2, **sections)
    layout = Layout(root)
    cohort = read_table(layout.cohort)
    names = [row["image_id"] for row in cohort]
    with open_step("ingest", study) as step:
        rows = [{"image_id": name, "shape": "16x16x1", "spacing_mm": "1x1x1"} for name in names]
        write_table(step.write(layout.manifest), rows, columns=tuple(rows[0]))
        for name, held in zip(names, manufacturers, strict=True):
            write_json(step.write(layout.sidecar(name)), {"Manufacturer": held})
    if columns:
        with open_step("cohort", study, keeps=layout.root) as step:
            held = [
                dict(row) | {k: v[n] for k, v in columns.items()} for n, row in enumerate(cohort)
            ]
            write_table(step.write(layout.cohort), held, columns=tuple(held[0]))
            for path in (layout.folds, layout.cohort_summary):
                step.write(path)
    _mark(study, layout, marked)
    _predict(study, layout)
    return study


def _mark(study, layout, marked) -> None:
    """Put a bright spot into the corner of some images."""
    path = layout.array_shard("1-of-1")
    images = np.load(path)
    images[list(marked), 0, 0, 0] = 8
    with open_step("preprocess", study, keeps=layout.root) as step:
        for held in (path, layout.array_index, layout.array_meta):
            step.write(held)
        np.save(path, images)


def _predict(study, layout) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for place in read_table(layout.folds):
        if place["split"] == "train":
            continue
        odds = (1 if place["label"] == "nodule" else -1) + 1.5 * rng.normal()
        share = 1 / (1 + np.exp(-odds))
        values = {"logit_benign": 0, "logit_nodule": odds}
        values |= {"probability_benign": 1 - share, "probability_nodule": share}
        rows.append({"arm": "scratch", "seed": 0, **place, **values})
    with open_step("predict", study) as step:
        write_table(step.write(layout.predictions), rows, columns=tuple(rows[0]))


def list_labels():
    return make_images(N_IMAGES, seed=0, spatial_dims=2)[1]


def read(study):
    rows = read_table(Layout(study.output.path).table("shortcuts", "probes"))
    return {row["probe"]: row for row in rows}


LOOSE = ["A" if n % 4 < 2 else "B" for n in range(N_IMAGES)]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    study = make(tmp_path_factory.mktemp("honest"), manufacturers=LOOSE)
    result = call(study)
    assert result.exit_code == 0, result.output
    return study


def test_what_is_no_shortcut_is_not_called_one(honest) -> None:
    rows = read(honest)
    assert {rows[name]["verdict"] for name in ("scanner", "headers", "background", "border")} == {
        "none"
    }
    assert rows["scanner"]["words"].startswith("No sign that the label can be predicted from the")
    facts = json.loads(
        (Layout(honest.output.path).step("shortcuts") / "shortcuts.json").read_text()
    )
    assert facts["warnings"] == []
    assert "no proof of absence" in facts["limits"]


def test_a_fact_of_one_value_or_of_none_is_told_as_such(honest) -> None:
    rows = read(honest)
    assert (rows["size"]["verdict"], rows["acquisition"]["verdict"]) == ("constant", "absent")
    assert "one value in all images: nothing to learn" in rows["size"]["words"]


def test_a_scanner_tied_to_the_label_is_warned_of(tmp_path: Path) -> None:
    tied = ["A" if label else "B" for label in list_labels()]
    study = make(tmp_path, manufacturers=tied)
    result = call(study)
    assert "WARNING" in result.output or "can be predicted from the scanner alone" in result.output
    rows = read(study)
    assert (rows["scanner"]["verdict"], rows["headers"]["verdict"]) == ("found", "found")
    assert rows["border"]["verdict"] == "none"
    assert "The network has" in rows["scanner"]["words"]
    assert "not shown to be better" in rows["scanner"]["words"]


def test_a_mark_in_the_corner_tied_to_the_label_is_found_in_the_border(tmp_path: Path) -> None:
    study = make(tmp_path, manufacturers=LOOSE, marked=np.flatnonzero(list_labels()))
    assert call(study).exit_code == 0
    rows = read(study)
    assert rows["border"]["verdict"] == "found"
    assert rows["scanner"]["verdict"] == "none"


def test_a_site_is_looked_at_without_being_named_and_other_columns_when_named(tmp_path) -> None:
    columns = {
        "site": ["north" if label else "south" for label in list_labels()],
        "sex": [("F", "M")[n // 2 % 2] for n in range(N_IMAGES)],
    }
    study = make(tmp_path, manufacturers=LOOSE, columns=columns, shortcuts={"probes": []})
    assert call(study).exit_code == 0
    assert {name: row["verdict"] for name, row in read(study).items()} == {"column site": "found"}
    assert call(study, "--set", "shortcuts.columns=[sex]").exit_code == 0
    assert {name: row["verdict"] for name, row in read(study).items()} == {"column sex": "none"}
    refused = call(study, "--set", "shortcuts.columns=[hair]")
    assert refused.exit_code != 0
    assert "must name columns of the labels, got hair" in refused.output


def test_nothing_to_look_at_is_refused(honest) -> None:
    values = ["--set", "shortcuts.probes=[]", "--set", "shortcuts.columns=[]"]
    result = call(honest, *values)
    assert result.exit_code == 2
    assert "something to look at must be named" in result.output


def test_an_audit_finds_a_figure_that_was_edited(honest) -> None:
    layout = Layout(honest.output.path)

    def locate(path: str) -> Path:
        return layout.root / path

    assert find_shortcut_faults(locate) == []
    path = layout.step("shortcuts") / "shortcuts.json"
    whole = path.read_text()
    edited = json.loads(whole)
    edited["probes"][0]["value"] = 0.5123
    path.write_text(json.dumps(edited))
    found = find_shortcut_faults(locate)
    path.write_text(whole)
    assert [(fault.where, fault.thing) for fault in found] == [
        ("shortcuts/shortcuts.json", "probes[0].value")
    ]


def test_the_same_study_gives_the_same_bytes(honest) -> None:
    folder = Layout(honest.output.path).step("shortcuts")
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert call(honest).exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
