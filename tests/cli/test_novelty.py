"""Images unlike the train images: planted ones are found, by the network and by the header."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from toy_study import _write_arrays, make_images, make_study

from medvision.cli._cohort.headers import write_headers
from medvision.cli._recompute.novelty import find_novelty_faults
from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.domain.arms import is_ensemble
from medvision.domain.split import Assignment
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

N_IMAGES, PLANTED = 48, (0, 24)
"""Images of the toy study, and those of its first fold's test part that are made strange."""


def run(study, *arguments: str):
    result = CliRunner().invoke(main, [*arguments, "--config", study.model_dump_json()])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two test images of fold 0 hold stripes of another brightness instead of noise and a cube."""
    made = make_study(
        tmp_path_factory.mktemp("novelty"),
        n_images=N_IMAGES,
        spatial_dims=2,
        train={"epochs": 3, "seeds": [0, 3]},
        predict={"ensemble": "seeds"},
    )
    images, _ = make_images(N_IMAGES, seed=0, spatial_dims=2)
    stripes = 4.0 * (np.indices((16, 16))[0] % 4 < 2) - 2
    images[list(PLANTED), 0] = stripes
    names = [f"sub-{row:010x}_img-{row:012x}" for row in range(N_IMAGES)]
    _write_arrays(made, names=names, images=images)
    for fold in ("0", "1"):
        run(made, "train", "--arm", "scratch", "--fold", fold)
    run(made, "predict")
    return made


def read_tested(study, fold="0", split="test"):
    rows = read_table(Layout(study.output.path).predictions)
    return [row for row in rows if row["fold"] == fold and row["split"] == split]


def is_unlike(row):
    return float(row["likeness"]) <= float(row["alarm"]) * (1 + 1e-7)


def test_planted_images_are_farther_than_all_validation_images_and_few_others_are(study):
    names = {f"sub-{row:010x}_img-{row:012x}" for row in PLANTED}
    tested = [row for row in read_tested(study) if not is_ensemble(row["arm"])]
    planted = [row for row in tested if row["image_id"] in names]
    others = [row for row in tested if row["image_id"] not in names]
    assert len(planted) == 4
    assert all(is_unlike(row) for row in planted)
    limit = float(planted[0]["alarm"])
    n_validation = len({row["image_id"] for row in read_tested(study, split="validation")})
    assert limit == pytest.approx(max(0.05, 1 / (n_validation + 1)))
    assert np.mean([is_unlike(row) for row in others]) <= 3 * limit


def test_likeness_follows_from_the_distances_in_the_table(study):
    for seed in ("0", "3"):
        own = [row for row in read_tested(study) if row["seed"] == seed]
        held = [row for row in read_tested(study, split="validation") if row["seed"] == seed]
        far = [float(row["distance"]) for row in held]
        for row in own:
            n_as_far = sum(other >= float(row["distance"]) for other in far)
            assert float(row["likeness"]) == pytest.approx((1 + n_as_far) / (1 + len(far)))


def test_an_ensemble_has_no_features_of_its_own(study):
    pooled = [row for row in read_tested(study) if is_ensemble(row["arm"])]
    assert pooled
    assert {row["distance"] + row["likeness"] + row["alarm"] for row in pooled} == {""}


def test_without_it_logits_are_the_same_and_the_columns_empty(study):
    path = Layout(study.output.path).predictions
    before = read_table(path)
    bytes_before = path.read_bytes()
    values = study.model_dump(mode="json")
    off = build_study({**values, "predict": {**values["predict"], "novelty": "off"}})
    run(off, "predict")
    for row, other in zip(before, read_table(path), strict=True):
        assert row["logit_nodule"] == other["logit_nodule"]
        assert other["distance"] == ""
    run(study, "predict")
    assert path.read_bytes() == bytes_before


def test_the_evaluation_orders_by_distance_and_counts_alarms(study):
    run(study, "evaluate")
    rows = read_table(Layout(study.output.path).table("evaluate", "abstention"))
    held = {row["metric"]: row for row in rows if row["score"] == "distance"}
    assert {row["arm"] for row in rows if row["score"] == "distance"} == {"scratch"}
    tested = [row for fold in ("0", "1") for row in read_tested(study, fold)]
    singles = [row for row in tested if not is_ensemble(row["arm"])]
    assert float(held["alarm_rate"]["value"]) == pytest.approx(np.mean([*map(is_unlike, singles)]))
    assert float(held["alarm_rate"]["low"]) <= float(held["alarm_rate"]["value"])
    limits = [float(row["alarm"]) for row in singles]
    assert float(held["alarm_limit"]["value"]) == pytest.approx(np.mean(limits))
    assert held["alarm_limit"]["low"] == ""


@pytest.mark.parametrize("column", ["likeness", "alarm", "distance"])
def test_an_audit_finds_an_edited_likeness_limit_or_distance(study, tmp_path, column):
    layout = Layout(study.output.path)

    def locate(path):
        return layout.root / path

    assert find_novelty_faults(locate) == []
    rows = read_table(layout.predictions)
    n = next(n for n, row in enumerate(rows) if row["split"] == "test" and row["seed"] == "3")
    rows[n] = {**rows[n], column: "0.0123"}
    edited = tmp_path / "predictions.tsv"
    write_table(edited, rows, columns=list(rows[0]))
    found = find_novelty_faults(lambda path: edited if "predictions" in path else locate(path))
    assert [fault.thing for fault in found] == ["likeness of scratch, fold 0, seed 3, test"]


COLUMNS = ("image_id", "modality", "orientation", "units", "spacing_mm", "shape")
TYPED = "Philips Medical Systems, Inc.; SN 4711"
OTHERS = {4: {"modality": "MR"}, 5: {"spacing_mm": "1x1x9"}}


def test_planted_headers_are_named_by_fold_and_no_other_is(tmp_path):
    """Image 4 is MR, 5 has thick slices, 6 is of another maker; 7 is like the train images 0-3."""
    study = build_study({"output": {"path": str(tmp_path)}})
    layout, names = Layout(study.output.path), [f"sub-{n}_img-{n}" for n in range(8)]
    plain = {"modality": "CT", "orientation": "LPS", "units": "HU", "shape": "64x64x24"}
    rows = [
        {"image_id": name, "spacing_mm": "1x1x3", **plain, **OTHERS.get(n, {})}
        for n, name in enumerate(names)
    ]
    with open_step("ingest", study) as step:
        write_table(step.write(layout.manifest), rows, columns=COLUMNS)
        for n, name in enumerate(names):
            maker = TYPED if n == 6 else None if n == 7 else "GE MEDICAL SYSTEMS"
            write_json(step.write(layout.sidecar(name)), {"Manufacturer": maker})
    splits = ["train"] * 4 + ["test", "validation", "external", "test"]
    folds = [
        Assignment(0, 0, 0, 0, name, name[:5], "a", split)
        for name, split in zip(names, splits, strict=True)
    ]
    with open_step("cohort", study, upstream=("ingest",)) as step:
        write_headers(step, folds)
    found = read_table(layout.table("cohort", "headers"))
    assert [(row["split"], row["fact"], row["found"], row["train"]) for row in found] == [
        ("test", "modality", "MR", "CT"),
        ("validation", "spacing along k (mm)", "9", "3"),
        ("external", "manufacturer", "Philips", "GE"),
        ("test", "", "", ""),
    ]
    assert "4711" not in layout.table("cohort", "headers").read_text()
    assert [row["n_differences"] for row in found] == ["1", "1", "1", "0"]
    reads = json.loads(layout.record("cohort").read_text())["reads"]
    assert len([path for path in reads if path.endswith(".json")]) == 8
