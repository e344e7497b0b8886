"""Archives of arrays: readable by numpy, equal for equal arrays, read row by row."""

from pathlib import Path

import numpy as np
import pytest

from medvision.runtime.npz import Rows, build_texts, map_npz_array, read_npz_names, write_npz


def write(path: Path, grid: np.ndarray, names: list[str]) -> None:
    write_npz(path, {"name": build_texts(names), "grid": Rows(grid.shape, grid.dtype, grid)})


@pytest.mark.parametrize("n_rows", [0, 1, 7])
def test_numpy_reads_what_was_written(tmp_path: Path, n_rows: int) -> None:
    grid = np.random.default_rng(0).integers(0, 255, (n_rows, 3, 4)).astype(np.uint8)
    names = [f"image-{n}" for n in range(n_rows)]
    write(tmp_path / "a.npz", grid, names)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as held:
        assert np.array_equal(held["grid"], grid)
        assert held["name"].tolist() == names
    assert read_npz_names(tmp_path / "a.npz", "name") == names


def test_equal_arrays_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write(tmp_path / "a.npz", grid, ["a", "b"])
    monkeypatch.setattr("time.time", lambda: 2e9)
    write(tmp_path / "b.npz", grid, ["a", "b"])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_mapped_array_is_what_was_written_wherever_it_stands(tmp_path: Path) -> None:
    grid = np.arange(60, dtype=np.int16).reshape(5, 3, 4)
    write(tmp_path / "a.npz", grid, list("abcde"))
    mapped = map_npz_array(tmp_path / "a.npz", "grid")
    assert np.array_equal(mapped, grid)
    assert map_npz_array(tmp_path / "a.npz", "name").tolist() == list("abcde")
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def test_a_wrong_number_of_rows_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 3, got 2"):
        write_npz(tmp_path / "a.npz", {"grid": Rows((3, 2), "u1", np.zeros((2, 2)))})
    assert list(tmp_path.iterdir()) == []
