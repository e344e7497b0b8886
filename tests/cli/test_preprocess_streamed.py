"""Volumes are preprocessed while their files are unpacked, to the bytes that they get in memory."""

import json
import shutil

import nibabel
import numpy as np
import pytest
from plugin_files import CROP, write_plugin
from upstream import make_image, preprocess, write_upstream

from medvision.cli._images import Images
from medvision.io.nifti.planes import NiftiPlanes
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import hash_file

SETTINGS = {
    "window": ("preprocess.window=[-1000, 200]",),
    "crop on the source": (
        "preprocess.intensity=zscore",
        "preprocess.crop_foreground=true",
        "preprocess.foreground_units=source",
        "preprocess.foreground_above=-300",
        "preprocess.normalise_within=foreground",
    ),
    "percentile, resized": ("preprocess.intensity=percentile", "preprocess.sizing=resize"),
    "kept half-way": ("preprocess.keep_after=Spacing",),
    "own spacing": ("preprocess.spacing_mm=null", "preprocess.orientation=null"),
    "turned": ("preprocess.orientation=LAI", "preprocess.spacing_mm=[2.0, 7.0, 3.0]"),
}


class Watch:
    """Counts how images are read."""

    def __init__(self, monkeypatch):
        self.n_streamed = self.n_loaded = 0
        read, load = NiftiPlanes.read, Images.load

        def count_read(planes):
            self.n_streamed += 1
            return read(planes)

        def count_load(images, image_id):
            self.n_loaded += 1
            return load(images, image_id)

        monkeypatch.setattr(NiftiPlanes, "read", count_read)
        monkeypatch.setattr(Images, "load", count_load)


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


def make_images(dtype):
    """Return five volumes, the last of them constant: a refusal, too, must be the same."""
    images = {f"img-{n}": make_image(n, shape=(12, 11, 5 + n)) for n in range(5)}
    images["img-4"][0][:] = 7
    return {name: (grid.astype(dtype), affine) for name, (grid, affine) in images.items()}


def read_folder(root):
    folder = Layout(root).step("preprocess")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.int32])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_streamed_volumes_get_the_bytes_of_those_in_memory(
    tmp_path, watch, monkeypatch, settings, dtype
):
    root = tmp_path / "results"
    write_upstream(root, make_images(dtype))
    result = preprocess(root, *settings)
    assert result.exit_code == 0, result.output
    assert watch.n_streamed >= 5
    assert watch.n_loaded == 0
    streamed = read_folder(root)
    shutil.rmtree(Layout(root).step("preprocess"))
    monkeypatch.setattr(Images, "open_planes", lambda *_: None)
    assert preprocess(root, *settings).exit_code == 0
    assert watch.n_loaded == 5
    assert read_folder(root) == streamed
    (row,) = read_table(Layout(root).preprocess_rejects)
    assert (row["image_id"], row["reason"]) == ("img-4", "constant")


def test_scaled_integers_are_streamed_as_they_are_read(tmp_path, watch, monkeypatch):
    root = tmp_path / "results"
    images = make_images(np.int16)
    write_upstream(root, images)
    for name, (grid, affine) in images.items():
        scaled = nibabel.Nifti1Image(grid, affine)
        scaled.header.set_slope_inter(0.5, -200)
        (Layout(root).image(name)).unlink()
        nibabel.save(scaled, Layout(root).image(name))
    rehash(root)
    assert preprocess(root).exit_code == 0
    assert watch.n_streamed == 5
    streamed = read_folder(root)
    shutil.rmtree(Layout(root).step("preprocess"))
    monkeypatch.setattr(Images, "open_planes", lambda *_: None)
    assert preprocess(root).exit_code == 0
    assert read_folder(root) == streamed


def rehash(root):
    """Let the record of ingestion vouch for the images as they are now."""
    path = Layout(root).record("ingest")
    record = json.loads(path.read_text())
    for name in record["writes"]:
        record["writes"][name] = hash_file(root / name)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("what", ["inverted", "plug-in", "sheared", "64 bits"])
def test_what_must_be_whole_is_held_in_memory(tmp_path, watch, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    images = make_images(np.float64 if what == "64 bits" else np.int16)
    if what == "64 bits":  # values that float32 does not hold
        images = {name: (grid + 1 / 3, affine) for name, (grid, affine) in images.items()}
    shear = np.eye(4)
    shear[0, 1] = 0.3 if what == "sheared" else 0.0
    images = {name: (grid, affine @ shear) for name, (grid, affine) in images.items()}
    flags = dict.fromkeys(images, "monochrome1" if what == "inverted" else "")
    write_upstream(root, images, flags=flags)
    name = write_plugin(tmp_path, CROP)
    extra = {
        "plug-in": (f'preprocess.plugins=["{name}:crop"]', "preprocess.window=[-2000, 2000]"),
    }
    result = preprocess(root, *extra.get(what, ()))
    assert result.exit_code == 0, result.output
    assert (watch.n_streamed, watch.n_loaded) == (0, 5)
