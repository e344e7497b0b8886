"""The store: rows as numpy reads them, equal bytes, rejects that do not stop the rest."""

import errno
import hashlib

import numpy as np
import pytest

from medvision.config.preprocess import PreprocessSection
from medvision.errors import DataError, GeometryError, StorageError
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import Rejection
from medvision.preprocess.store import StoreResult, check_classes_left, write_arrays


def load(image_id):
    """Return a small image whose id says what is wrong with it."""
    if image_id.startswith("unreadable"):
        raise GeometryError("affine must be right.")
    seed = int(hashlib.sha256(image_id.encode()).hexdigest()[:6], 16)
    grid = np.random.default_rng(seed).normal(-400, 300, size=(9, 8, 5)).astype(np.float32)
    if image_id.startswith("nan"):
        grid[0] = np.nan
    if image_id.startswith("flat"):
        grid[:] = 7
    return grid, np.diag([-2.0, -2.0, 5.0, 1.0])


def load_2d(image_id):
    grid, affine = load(image_id)
    return grid[:, :, :1], affine


def write(path, image_ids, *, spatial_dims=3, loader=load):
    settings = dict(PreprocessSection(size=(8, 8, 6)))
    transform = build_executor(build_plan(spatial_dims=spatial_dims, **settings))
    return write_arrays(
        image_ids, loader, transform=transform, spatial_dims=spatial_dims, path=path
    )


def test_rows_are_the_transformed_images_in_order(tmp_path):
    result = write(tmp_path / "arrays.npy", ["b", "a"])
    stored = np.load(tmp_path / "arrays.npy", mmap_mode="r")
    assert stored.shape == result.shape == (2, 1, 8, 8, 6)
    assert stored.dtype == np.float32
    transform = build_executor(
        build_plan(spatial_dims=3, **dict(PreprocessSection(size=(8, 8, 6))))
    )
    for row, image in enumerate(result.images):
        expected = transform(*load(image.image_id))
        np.testing.assert_array_equal(stored[row], expected.array)
        np.testing.assert_array_equal(image.tensor_affine, expected.affine)
    assert [image.image_id for image in result.images] == ["b", "a"]
    assert result.images[0].source_shape == (9, 8, 5)


def test_2d_rows_have_no_third_axis(tmp_path):
    result = write(tmp_path / "arrays.npy", ["a"], spatial_dims=2, loader=load_2d)
    assert result.shape == np.load(tmp_path / "arrays.npy").shape == (1, 1, 8, 8)


def test_header_is_numpys_own_whatever_the_count(tmp_path):
    for count in (1, 10, 123):
        write(tmp_path / "arrays.npy", [f"img-{n}" for n in range(count)])
        stored = np.load(tmp_path / "arrays.npy")
        np.save(tmp_path / "plain.npy", stored)
        assert len(stored) == count
        assert (tmp_path / "arrays.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_bad_images_are_rejected_and_the_rest_goes_on(tmp_path):
    result = write(tmp_path / "arrays.npy", ["nan-1", "a", "flat-1", "unreadable-1", "b"])
    assert [image.image_id for image in result.images] == ["a", "b"]
    assert [(item.image_id, item.reason) for item in result.rejections] == [
        ("nan-1", "not-finite"),
        ("flat-1", "constant"),
        ("unreadable-1", "bad-geometry"),
    ]
    assert len(np.load(tmp_path / "arrays.npy")) == 2


def test_same_images_give_the_same_bytes(tmp_path):
    for name in ("one.npy", "two.npy"):
        write(tmp_path / name, ["a", "nan-1", "b"])
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


def test_nothing_is_left_when_no_image_is_usable(tmp_path):
    with pytest.raises(DataError, match=r"none of 3 \(1 constant, such as flat-1; 2 not-finite"):
        write(tmp_path / "arrays.npy", ["nan-1", "flat-1", "nan-2"])
    assert list(tmp_path.iterdir()) == []


def test_interruption_leaves_no_file(tmp_path):
    def interrupted(image_id):
        if image_id == "b":
            raise KeyboardInterrupt
        return load(image_id)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "arrays.npy", ["a", "b"], loader=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_told_as_such(tmp_path):
    def full(image_id):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="no space left"):
        write(tmp_path / "arrays.npy", ["a"], loader=full)


def test_loss_of_a_whole_class_stops_with_its_reasons(tmp_path):
    result = write(tmp_path / "arrays.npy", ["a", "b", "nan-1", "flat-1"])
    labels = {"a": "no", "b": "no", "nan-1": "yes", "flat-1": "yes"}
    with pytest.raises(DataError, match="none of 2 left in class yes"):
        check_classes_left(labels, result)


def test_class_that_keeps_an_image_passes():
    labels = {"a": "no", "b": "yes", "c": "yes"}
    kept = write_result(["a", "b"])
    check_classes_left(labels, kept)


def write_result(image_ids):
    from medvision.preprocess.store import StoredImage

    images = [StoredImage(image_id, (1, 1, 1), np.eye(4), np.eye(4)) for image_id in image_ids]
    return StoreResult((2, 1, 1, 1, 1), tuple(images), (Rejection("c", "constant", "0"),))
