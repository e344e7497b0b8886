"""`intensity: auto` and `voi` from real DICOM to the store, by the commands."""

import importlib.util
import json

import numpy as np
import pytest
from click.testing import CliRunner
from dicoms import MR, Plan, make_volume, write_radiograph, write_series
from pydicom import dcmread
from pydicom.pixels import apply_voi_lut

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import load_study
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.preprocess.early import EARLY
from medvision.runtime.arrays import read_array_store

SIZE = (16, 12, 6)


def run(tmp_path, *overrides, command="preprocess"):
    values = [
        f"output.path={tmp_path / 'results'}",
        f"data.path={tmp_path / 'in'}",
        f"data.labels={tmp_path / 'labels.tsv'}",
        "data.kind=dicom",
        f"preprocess.size={list(SIZE)}",
        *overrides,
    ]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, [command, *arguments]), arguments[1::2]


def prepare(tmp_path, *overrides):
    """Ingest a folder, give its images labels in turn, and preprocess them."""
    result, values = run(tmp_path, *overrides, command="ingest")
    assert result.exit_code == 0, result.output
    layout = Layout(tmp_path / "results")
    columns = ("image_id", "label", "shape")
    images = read_table(layout.manifest)
    rows = [
        {"image_id": row["image_id"], "label": "ab"[n % 2], "shape": row["shape"]}
        for n, row in enumerate(images)
    ]
    with open_step("cohort", load_study(None, overrides=tuple(values))) as step:
        write_table(step.write(layout.cohort), rows, columns=columns)
    result, _ = run(tmp_path, *overrides)
    return layout, result


def read_steps(layout):
    return [step["name"] for step in json.loads(layout.array_meta.read_text())["steps"]]


def read_arrays(layout):
    store = read_array_store([layout.array_shard("1-of-1")], layout.array_index, layout.array_meta)
    return {image_id: store.array[row] for image_id, row in store.rows().items()}


def write_volumes(folder, *, modality, sop_class, intercept):
    for n in range(4):
        write_series(
            folder,
            Plan(
                make_volume(seed=10 * len(folder.name) + n),
                modality=modality,
                sop_class=sop_class,
                intercept=intercept,
                subject=f"{modality}-{n}",
                study=f"1.2.3.{n + 1}",
                series=f"1.2.3.{n + 1}.1",
            ),
        )


def test_auto_windows_ct_by_its_units(tmp_path):
    write_volumes(tmp_path / "in", modality="CT", sop_class=Plan.sop_class, intercept=-1024.0)
    layout, result = prepare(tmp_path, "preprocess.intensity=auto")
    assert result.exit_code == 0, result.output
    assert "ScaleIntensityRange" in read_steps(layout)


def test_auto_gives_the_foreground_of_mr_mean_0_and_deviation_1(tmp_path):
    write_volumes(tmp_path / "in", modality="MR", sop_class=MR, intercept=0.0)
    layout, result = prepare(
        tmp_path, "preprocess.intensity=auto", "preprocess.spacing_mm=null", "preprocess.dtype=auto"
    )
    assert result.exit_code == 0, result.output
    (step,) = [
        step
        for step in json.loads(layout.array_meta.read_text())["steps"]
        if step["name"] == "NormalizeIntensity"
    ]
    assert step["parameters"]["within"] == {"above": "mean"}
    array = next(iter(read_arrays(layout).values()))
    inside = array[0, 4:12, 3:9, :5]
    foreground = inside[inside > np.median(inside)]
    assert abs(foreground.mean()) < 0.3


def test_auto_refuses_ct_and_mr_in_one_cohort_and_says_what_to_set(tmp_path):
    write_volumes(tmp_path / "in", modality="CT", sop_class=Plan.sop_class, intercept=-1024.0)
    write_volumes(tmp_path / "in2", modality="MR", sop_class=MR, intercept=0.0)
    for path in (tmp_path / "in2").iterdir():
        dataset = dcmread(path)
        dataset.StudyInstanceUID += ".7"
        dataset.SeriesInstanceUID += ".7"
        dataset.SOPInstanceUID += ".7"
        dataset.save_as(tmp_path / "in" / f"mr-{path.name}")
    _, result = prepare(tmp_path, "preprocess.intensity=auto")
    assert result.exit_code == 2
    assert "got CT, MR" in result.output
    assert "percentile" in result.output


HEADERS = (
    {"WindowCenter": "2000", "WindowWidth": "900"},
    {"WindowCenter": "1500", "WindowWidth": "3000", "PhotometricInterpretation": "MONOCHROME1"},
    {"WindowCenter": "1800", "WindowWidth": "700", "VOILUTFunction": "SIGMOID"},
    {},
)


@pytest.fixture
def radiographs(tmp_path):
    for n, header in enumerate(HEADERS):
        plane = np.random.default_rng(n).integers(0, 4096, (SIZE[1], SIZE[0]), dtype=np.uint16)
        values = {"BitsStored": 12, "HighBit": 11, "uid": f"1.2.4.{n + 1}", "PatientID": f"P{n}"}
        values["StudyInstanceUID"] = f"1.2.5.{n + 1}"
        write_radiograph(tmp_path / "in", plane, **values, **header)
    return tmp_path


def find_expected(folder):
    """Return what pydicom shows of each radiograph, by the first stored pixel of each."""
    shown = []
    for path in sorted(folder.iterdir()):
        dataset = dcmread(path)
        plane = apply_voi_lut(dataset.pixel_array, dataset) / 4095
        is_inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
        if "WindowWidth" in dataset:
            shown.append((1 - plane if is_inverted else plane).T)
    return shown


def count_matches(arrays, expected):
    return sum(any(np.abs(array[0] - plane).max() < 1e-3 for array in arrays) for plane in expected)


def test_auto_shows_radiographs_as_their_headers_ask_and_others_by_percentiles(radiographs):
    layout, result = prepare(radiographs, "preprocess.intensity=auto", "data.dimensions=2")
    assert result.exit_code == 0, result.output
    arrays = list(read_arrays(layout).values())
    assert len(arrays) == 4
    assert count_matches(arrays, find_expected(radiographs / "in")) == 3
    words = sorted(row["voi"] for row in read_table(layout.array_index))
    assert words == ["", "LINEAR 1500 3000", "LINEAR 2000 900", "SIGMOID 1800 700"]
    reads = json.loads(layout.record("preprocess").read_text())["reads"]
    assert sum(name.endswith(".json") and "/images/" in name for name in reads) == 3


def test_voi_leaves_out_a_radiograph_that_has_none(radiographs):
    layout, result = prepare(radiographs, "preprocess.intensity=voi")
    assert result.exit_code == 0, result.output
    assert len(read_arrays(layout)) == 3
    (row,) = read_table(layout.preprocess_rejects)
    assert row["reason"] == "no-voi"


def test_a_changed_window_computes_that_image_alone(radiographs):
    prepare(radiographs, "preprocess.intensity=auto")
    path = next(p for p in sorted((radiographs / "in").iterdir()) if "WindowWidth" in dcmread(p))
    dataset = dcmread(path)
    dataset.WindowWidth = "1234"
    dataset.save_as(path)
    layout, result = prepare(radiographs, "preprocess.intensity=auto")
    assert "3 images kept, 1 to compute" in result.output
    assert any("1234" in row["voi"] for row in read_table(layout.array_index))


def test_workers_and_shards_show_radiographs_alike(radiographs):
    layout, _ = prepare(radiographs, "preprocess.intensity=auto")
    whole = read_arrays(layout)
    for path in layout.step("preprocess").iterdir():
        path.unlink()
    result, _ = run(radiographs, "preprocess.intensity=auto", "preprocess.workers=2")
    assert result.exit_code == 0, result.output
    for image_id, array in read_arrays(layout).items():
        np.testing.assert_array_equal(array, whole[image_id])


N4 = ("preprocess.bias_field=n4", "preprocess.intensity=percentile")


def test_n4_evens_mr_and_passes_ct_by_with_a_word_in_the_record(tmp_path):
    pytest.importorskip("SimpleITK")
    write_volumes(tmp_path / "in", modality="MR", sop_class=MR, intercept=0.0)
    write_volumes(tmp_path / "more", modality="CT", sop_class=Plan.sop_class, intercept=0.0)
    for path in (tmp_path / "more").iterdir():
        dataset = dcmread(path)
        dataset.StudyInstanceUID += ".7"
        dataset.SeriesInstanceUID += ".7"
        dataset.SOPInstanceUID += ".7"
        dataset.save_as(tmp_path / "in" / f"ct-{path.name}")
    layout, result = prepare(tmp_path, "preprocess.intensity=percentile")
    assert result.exit_code == 0, result.output
    plain = read_arrays(layout)
    result, _ = run(tmp_path, *N4)
    assert result.exit_code == 0, result.output
    assert "4 images kept, 4 to compute" in result.output
    modality = {row["image_id"]: row["modality"] for row in read_table(layout.manifest)}
    for image_id, array in read_arrays(layout).items():
        assert np.array_equal(array, plain[image_id]) == (modality[image_id] == "CT")
    facts = json.loads(layout.record("preprocess").read_text())["facts"]
    assert facts["passed_by"] == {"N4BiasFieldCorrection": 4}
    step = facts["steps"][0]
    assert (step["name"], step["parameters"]["threads"]) == ("N4BiasFieldCorrection", 1)
    assert step["parameters"]["iterations"] == [50, 50, 50, 50]


def test_n4_is_not_computed_again_for_another_scaling_of_kept_images(tmp_path, monkeypatch):
    pytest.importorskip("SimpleITK")
    write_volumes(tmp_path / "in", modality="MR", sop_class=MR, intercept=0.0)
    kept = (*N4, "preprocess.keep_after=Spacing")
    layout, result = prepare(tmp_path, *kept)
    assert result.exit_code == 0, result.output
    plain = read_arrays(layout)

    def refuse(volume, parameters):
        raise AssertionError

    monkeypatch.setitem(EARLY, "N4BiasFieldCorrection", refuse)
    result, _ = run(tmp_path, *kept, "preprocess.percentiles=[5, 95]")
    assert result.exit_code == 0, result.output
    arrays = read_arrays(layout)
    assert all(not np.array_equal(arrays[name], plain[name]) for name in plain)


def test_n4_on_a_cohort_without_mr_is_told(tmp_path):
    pytest.importorskip("SimpleITK")
    write_volumes(tmp_path / "in", modality="CT", sop_class=Plan.sop_class, intercept=0.0)
    _, result = prepare(tmp_path, *N4)
    assert result.exit_code == 0, result.output
    assert "passes all 4 images by: none is MR" in result.output


@pytest.mark.parametrize("command", ["config", "preprocess"])
def test_n4_without_simpleitk_stops_before_any_work(tmp_path, monkeypatch, command):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "SimpleITK" else find(name)
    )
    result, _ = run(tmp_path, *N4, command=command)
    assert result.exit_code == 2
    assert "n4 must have SimpleITK" in result.output
    assert "medvision[n4]" in result.output
