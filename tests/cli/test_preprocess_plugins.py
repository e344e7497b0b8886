"""Plug-ins by the commands: identity in the record, rows by content, refusals, errors up front."""

import json

import numpy as np
import pytest
import upstream
from click.testing import CliRunner
from plugin_files import CROP, write_plugin
from upstream import make_image, read_store, write_upstream

from medvision.cli._run import open_step
from medvision.cli.main import main
from medvision.config.model import load_study
from medvision.errors import StaleOutputError
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.preprocess.plugins import identify_once

PLAIN = ("preprocess.spacing_mm=null", "preprocess.orientation=null", "preprocess.intensity=none")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    identify_once.cache_clear()
    return tmp_path


@pytest.fixture
def root(folder):
    images = {}
    for n in range(4):
        grid, affine = make_image(n)
        positive = grid + 2000
        positive[:2], positive[-1:], positive[:, :1] = 0, 0, 0
        images[f"img-{n}"] = positive, affine
    write_upstream(folder / "results", images)
    return folder / "results"


def preprocess(root, *overrides, **named):
    return upstream.preprocess(root, "preprocess.window=[0, 3000]", *overrides, **named)


def setting(*functions):
    return f"preprocess.plugins={json.dumps(functions)}"


def test_a_crop_moves_the_array_and_its_affine_and_stands_in_the_record(root, folder):
    name = write_plugin(folder, CROP)
    result = preprocess(root, setting(f"{name}:crop"), *PLAIN)
    assert result.exit_code == 0, result.output
    store = read_store(root)
    source = make_image(1)[1]
    offset = np.linalg.solve(source, store.tensor_affine("img-1"))[:3, 3]
    # 12 x 11 x 5 is cropped to 9 x 10 x 5 from (2, 1, 0), and padded to 10 x 10 x 6.
    np.testing.assert_allclose(offset, [2, 1, 0], atol=1e-6)
    record = json.loads(Layout(root).record("preprocess").read_text())
    (digest,) = record["facts"]["plugins"].values()
    assert record["facts"]["steps"][0] == {
        "name": "Plugin",
        "parameters": {"function": f"{name}:crop", "digest": digest, "distribution": ""},
    }
    assert f"source:plug-in {name}" in record["reads"]
    assert record["facts"]["executor"] == "fused"


def test_changed_source_computes_all_rows_and_the_same_source_none(root, folder):
    name = write_plugin(folder, CROP)
    assert preprocess(root, setting(f"{name}:crop")).exit_code == 0
    again = preprocess(root, setting(f"{name}:crop"))
    assert "4 images kept, 0 to compute" in again.output
    write_plugin(folder, CROP.replace("> 0", "> 1"), name=name)
    identify_once.cache_clear()
    changed = preprocess(root, setting(f"{name}:crop"))
    assert "0 images kept, 4 to compute" in changed.output


def test_one_image_that_it_fails_on_is_refused_and_the_rest_goes_on(root, folder):
    name = write_plugin(
        folder,
        """
        def f(array, affine):
            if abs(affine[0, 3] - 41) < 0.5:
                raise ValueError("no lung found")
            return array, affine
        """,
    )
    result = preprocess(root, setting(f"{name}:f"))
    assert result.exit_code == 0, result.output
    (row,) = read_table(Layout(root).preprocess_rejects)
    assert (row["image_id"], row["reason"]) == ("img-1", "plugin-error")
    assert row["detail"] == f"{name}:f: ValueError: no lung found"


def test_workers_kept_images_and_shards_lead_to_the_same_bytes(root, folder):
    name = write_plugin(folder, CROP)
    assert preprocess(root, setting(f"{name}:crop")).exit_code == 0
    whole = {path.name: path.read_bytes() for path in Layout(root).step("preprocess").glob("*.npy")}
    for extra in (
        ("preprocess.workers=2",),
        ("preprocess.keep_after=Spacing",),
        ("preprocess.keep_after=Spacing",),
    ):
        for path in Layout(root).step("preprocess").glob("*.*"):
            path.unlink()
        result = preprocess(root, setting(f"{name}:crop"), *extra)
        assert result.exit_code == 0, result.output
        assert {
            path.name: path.read_bytes() for path in Layout(root).step("preprocess").glob("*.npy")
        } == whole


@pytest.mark.parametrize("command", ["preprocess", "config", "ingest"])
def test_one_that_cannot_be_imported_stops_before_any_work(root, folder, command):
    name = write_plugin(folder, "import no_such_library\n")
    record = Layout(root).record("preprocess")
    result = CliRunner().invoke(
        main, [command, "--set", f"output.path={root}", "--set", setting(f"{name}:f")]
    )
    assert result.exit_code == 2
    assert f"preprocess.plugins: {name}:f must be importable" in result.output
    assert "hint: " in result.output
    assert not record.exists()


def test_doctor_names_it(folder):
    name = write_plugin(folder, CROP)
    good = CliRunner().invoke(main, ["doctor", "--set", setting(f"{name}:crop")])
    bad = CliRunner().invoke(main, ["doctor", "--set", setting(f"{name}:other")])
    assert "Plug-ins" in good.output
    assert "must be importable" not in good.output.replace("\n", " ")
    assert "must be" in bad.output
    assert bad.exit_code == 1


@pytest.mark.parametrize("text", ["lungs", "lungs.crop", "lungs:", "a b:c", "./lungs.py:crop"])
def test_what_is_no_function_s_name_is_refused_by_the_configuration(root, text):
    result = preprocess(root, setting(text))
    assert result.exit_code == 2
    assert "preprocess.plugins" in result.output


def test_colour_images_are_refused(folder):
    name = write_plugin(folder, CROP)
    rng = np.random.default_rng(0)
    images = {
        f"img-{n}": (rng.integers(0, 256, (9, 8, 5, 3), dtype=np.uint8), np.eye(4))
        for n in range(2)
    }
    write_upstream(folder / "results", images)
    result = preprocess(folder / "results", setting(f"{name}:crop"))
    assert result.exit_code == 2
    assert "images must be grey" in result.output


@pytest.mark.parametrize("change", ["edited", "gone"])
def test_a_later_step_refuses_arrays_of_a_plug_in_that_has_changed_since(root, folder, change):
    name = write_plugin(folder, CROP)
    assert preprocess(root, setting(f"{name}:crop"), "data.dimensions=auto").exit_code == 0
    if change == "gone":
        (folder / f"{name}.py").unlink()
    else:
        write_plugin(folder, CROP + "\n", name=name)
    values = [f"output.path={root}", "preprocess.size=[10, 10, 6]", setting(f"{name}:crop")]
    study = load_study(None, overrides=tuple(values))
    with (
        pytest.raises(StaleOutputError, match=name),
        open_step("train/scratch/fold-0", study, upstream=("preprocess",)),
    ):
        pass


def test_a_preview_shows_what_it_does(root, folder):
    name = write_plugin(folder, CROP)
    result = preprocess(root, setting(f"{name}:crop"), arguments=("--preview", "1"))
    assert result.exit_code == 0, result.output
    assert "1 picture in" in result.output
