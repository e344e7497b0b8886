"""`medvision preprocess --preview N`: pictures, and nothing else."""

import numpy as np
import pytest
from upstream import make_image, preprocess, write_upstream

from medvision.layout import Layout


def preview(root, n, *overrides):
    result = preprocess(root, *overrides, arguments=("--preview", str(n)))
    return result, {path.name: path.read_bytes() for path in folder(root).glob("*.png")}


def folder(root):
    return Layout(root).array_folder("preview")


def test_each_picture_is_named_by_its_image_and_no_array_or_record_is_written(tmp_path):
    root = tmp_path / "results"
    write_upstream(root, {f"img-{n}": make_image(n) for n in range(6)})
    result, pictures = preview(root, 2)
    assert result.exit_code == 0, result.output
    assert f"2 pictures in {folder(root)}" in result.output
    assert set(pictures) == {"img-2.png", "img-3.png"}  # of both classes
    assert all(name in result.output for name in pictures)
    assert not Layout(root).record("preprocess").exists()
    assert not list(Layout(root).step("preprocess").glob("*.npy"))
    assert preview(root, 2)[1] == pictures


def test_pictures_of_another_run_are_removed_and_the_step_leaves_them_alone(tmp_path):
    root = tmp_path / "results"
    write_upstream(root, {f"img-{n}": make_image(n) for n in range(6)})
    preview(root, 6)
    _, pictures = preview(root, 1)
    assert len(pictures) == 1
    assert preprocess(root).exit_code == 0
    assert len(list(folder(root).glob("*.png"))) == 1


def test_before_the_cohort_images_of_the_manifest_are_shown(tmp_path):
    root = tmp_path / "results"
    images = {f"img-{n}": make_image(n, shape=(14, 9, 1)) for n in range(4)}
    write_upstream(root, images)
    Layout(root).cohort.unlink()
    result, pictures = preview(root, 3)
    assert result.exit_code == 0, result.output
    assert len(pictures) == 3


def test_an_image_that_is_refused_has_no_picture_and_is_named_with_the_reason(tmp_path):
    root = tmp_path / "results"
    images = {f"img-{n}": make_image(n) for n in range(2)}
    images["img-1"][0][0, 0, 0] = np.nan
    write_upstream(root, images)
    result, pictures = preview(root, 2)
    assert result.exit_code == 0, result.output
    assert set(pictures) == {"img-0.png"}
    assert "img-1 is left out" in result.output
    assert "NaN" in result.output


def test_a_setting_changes_the_picture(tmp_path):
    root = tmp_path / "results"
    write_upstream(root, {f"img-{n}": make_image(n) for n in range(2)})
    one, other = preview(root, 1)[1], preview(root, 1, "preprocess.window=[-500, 0]")[1]
    assert one.keys() == other.keys()
    assert one != other


def test_nothing_ingested_is_told(tmp_path):
    result, pictures = preview(tmp_path / "results", 2)
    assert result.exit_code != 0
    assert "manifest.tsv" in result.output
    assert pictures == {}


@pytest.mark.parametrize(
    ("shape", "setting"),
    [
        ((1, 9, 7), "preprocess.dtype=auto"),
        ((9, 1, 7), "preprocess.dtype=auto"),
        ((14, 9, 1), "data.dimensions=3"),
        ((12, 11, 5), "preprocess.size=[10, 10, 1]"),
    ],
)
def test_a_volume_one_voxel_thick_before_or_after_has_a_picture(tmp_path, shape, setting):
    root = tmp_path / "results"
    write_upstream(root, {"img-0": make_image(0, shape=shape)})
    result, pictures = preview(root, 1, setting)
    assert result.exit_code == 0, result.output
    assert set(pictures) == {"img-0.png"}
