"""Opening the array store: geometry as written, disagreement of its files refused."""

import json
import mmap
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medvision.errors import DataError, GeometryError, StaleOutputError
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS, read_array_store
from medvision.runtime.shards import map_array

AFFINE = np.array([[0, -2.5, 0, 10], [3, 0, 0, -7.25], [0, 0, 5, 1e-3], [0, 0, 0, 1.0]])


@pytest.fixture
def files(tmp_path):
    """Paths (arrays, index, meta) of a store with two volumes."""
    arrays = tmp_path / "arrays.npy"
    np.save(arrays, np.arange(2 * 24, dtype=np.float32).reshape(2, 1, 2, 3, 4))
    lines = ["\t".join(ARRAY_INDEX_COLUMNS)]
    for row, image_id in enumerate(("img-a", "img-b")):
        affine = json.dumps((AFFINE * (row + 1)).tolist())
        lines.append(f"{row}\t1-of-1\t{image_id}\t9x8x7\t{affine}\t{affine}\t1\t0")
    index, meta = tmp_path / "index.tsv", tmp_path / "meta.json"
    index.write_text("\n".join(lines) + "\n")
    meta.write_text(json.dumps({"spatial_dims": 3}))
    return [arrays], index, meta


def test_image_is_found_with_its_geometry(files):
    store = read_array_store(*files)
    assert store.rows() == {"img-a": 0, "img-b": 1}
    np.testing.assert_array_equal(store.array[store.row("img-b")].ravel(), np.arange(24, 48))
    affine, shape = store.source_geometry("img-b")
    assert shape == (9, 8, 7)
    np.testing.assert_array_equal(affine, AFFINE * 2)
    np.testing.assert_array_equal(store.tensor_affine("img-a"), AFFINE)


def test_a_row_that_was_read_is_a_copy(files):
    store = read_array_store(*files)
    store.array[0][:] = -1
    np.testing.assert_array_equal(store.array[0].ravel(), np.arange(24))


def test_image_that_was_rejected_is_named(files):
    store = read_array_store(*files)
    for ask in (store.row, store.source_geometry, store.tensor_affine):
        with pytest.raises(DataError, match="one of the 2 stored, got img-z"):
            ask("img-z")


def test_index_of_another_run_is_refused(files):
    (arrays,), index, meta = files
    index.write_text("\n".join(index.read_text().splitlines()[:2]) + "\n")
    with pytest.raises(StaleOutputError, match="must hold the 1 rows that their index says, got 2"):
        read_array_store([arrays], index, meta)


def test_rows_out_of_order_are_refused(files):
    (arrays,), index, meta = files
    header, first, second = index.read_text().splitlines()
    index.write_text("\n".join([header, second, first]) + "\n")
    with pytest.raises(StaleOutputError, match="rows must be numbered"):
        read_array_store([arrays], index, meta)


def test_other_number_of_dimensions_is_refused(files):
    (arrays,), index, meta = files
    meta.write_text(json.dumps({"spatial_dims": 2}))
    with pytest.raises(StaleOutputError, match="2 spatial"):
        read_array_store([arrays], index, meta)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_missing_file_is_named(files, missing):
    path = [files[0][0], *files[1:]][missing]
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        read_array_store(*files)


def test_truncated_array_is_refused(files):
    content = files[0][0].read_bytes()
    files[0][0].write_bytes(content[:-8])
    with pytest.raises(DataError, match=r"arrays\.npy: file must be a readable array"):
        read_array_store(*files)


def test_pickled_array_is_never_loaded(files):
    np.save(files[0][0], np.array([{"code": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="must be a readable array"):
        read_array_store(*files)


def test_broken_shape_is_refused(files):
    (arrays,), index, meta = files
    index.write_text(index.read_text().replace("9x8x7", "9x8"))
    with pytest.raises(GeometryError, match="shape must be such as"):
        read_array_store([arrays], index, meta)


def find_flags(array):
    """Return the kernel's flags of the memory that an array lies in."""
    address, is_here = array.__array_interface__["data"][0], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds:
            is_here = int(bounds[1], 16) <= address < int(bounds[2], 16)
        if is_here and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError("the array lies in no mapping")


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="no large pages here")
@pytest.mark.parametrize(("side", "is_large"), [(96, True), (16, False)])
def test_only_rows_of_a_megabyte_are_asked_for_in_large_pages(tmp_path, side, is_large):
    values = np.random.default_rng(0).normal(size=(3, 1, side, side, side)).astype(np.float16)
    np.save(tmp_path / "arrays.npy", values)
    mapped = map_array(tmp_path / "arrays.npy")
    np.testing.assert_array_equal(mapped, values)
    assert ("hg" in find_flags(mapped)) == is_large
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 0


def test_a_system_without_large_pages_maps_all_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    values = np.ones((2, 1, 96, 96, 96), dtype=np.float16)
    np.save(tmp_path / "arrays.npy", values)
    np.testing.assert_array_equal(map_array(tmp_path / "arrays.npy"), values)


def test_reading_needs_no_torch(files):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from medvision.runtime.arrays import read_array_store\n"
        "arrays, index, meta = map(Path, sys.argv[1:])\n"
        "read_array_store([arrays], index, meta)\n"
        "assert not {'torch', 'monai'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(files[0][0]), *map(str, files[1:])], check=True)
