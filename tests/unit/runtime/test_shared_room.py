"""What a search finds is the same whoever works, and a worker's end is said in words."""

import errno
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from look_alikes import make_images, turn
from threadpoolctl import threadpool_info, threadpool_limits

from medvision.domain.likeness.room import Arrays, OwnRoom
from medvision.domain.likeness.search import find_look_alikes, search_room
from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.errors import ConfigError, StorageError
from medvision.runtime.npz import Rows, write_npz
from medvision.runtime.shared_room import SharedRoom


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files lie in a folder of the test, and none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def make_stack(n_axes: int) -> np.ndarray:
    images = make_images(30 if n_axes == 2 else 9, seed=8, n_axes=n_axes)
    images += [images[0][::-1], turn(images[1], 12), 0.7 * images[2] + 9, images[3]]
    images.insert(5, np.zeros_like(images[0]))
    flat = [image[..., np.newaxis] if n_axes == 2 else image for image in images]
    return np.array([build_thumbnail(image, spacing_mm=(1.0, 1.0, 1.0)) for image in flat])


def write_stack(path: Path, stack: np.ndarray) -> Path:
    write_npz(path, {"held": Rows(stack.shape, "u1", stack)})
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_what_threads_the_environment_asks_for_changes_no_bit(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake asks for as many as the rule has cores."""
    noise = np.random.default_rng(4).random((300, 64, 64))
    for axis in (1, 2):
        noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)) / 3
    stack = (noise * 255).astype(np.uint8)
    archive = write_stack(tmp_path / "stack.npz", stack)
    seen = []
    for threads in (1, 2):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", str(threads))
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        with (
            threadpool_limits(threads, user_api="blas"),
            SharedRoom(archive, "held", workers=workers) as room,
        ):
            search_room(room, np.arange(len(stack)), similarity=0.9)
            seen.append(np.array(room.arrays.points))
    np.testing.assert_array_equal(*seen)


def test_a_room_gives_back_the_threads_that_it_took(tmp_path: Path) -> None:
    archive = write_stack(tmp_path / "stack.npz", make_stack(2))
    with threadpool_limits(2, user_api="blas"):
        with SharedRoom(archive, "held", workers=1):
            assert {pool["num_threads"] for pool in list_pools()} == {1}
        assert {pool["num_threads"] for pool in list_pools()} == {2}


def list_pools() -> list[dict[str, int]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.mark.slow
@pytest.mark.parametrize("n_axes", [2, 3])
def test_no_number_of_workers_changes_a_bit_of_what_is_found(n_axes: int, tmp_path: Path) -> None:
    stack = make_stack(n_axes)
    rows = np.flatnonzero(np.arange(len(stack)) != 7)
    archive = write_stack(tmp_path / "stack.npz", stack)
    plain = find_look_alikes(stack[rows], similarity=0.5)
    assert sum(pair.similarity >= 0.9 for pair in plain) >= 4
    for workers in (1, 2, 3):
        with SharedRoom(archive, "held", workers=workers) as room:
            assert search_room(room, rows, similarity=0.5) == plain
            names = ("coarse", "points", "neighbours")
            seen = {name: np.array(getattr(room.arrays, name)) for name in names}
        own = OwnRoom(thumbnails=stack)
        search_room(own, rows, similarity=0.5)
        for name, array in seen.items():
            np.testing.assert_array_equal(array, getattr(own.arrays, name))


def add(arrays: Arrays, item: int, *, more: int) -> int:
    return int(arrays.thumbnails[item, 0, 0]) + more


def die(arrays: Arrays, item: int) -> int:
    os._exit(1)


def fail(arrays: Arrays, item: int) -> int:
    raise ValueError(item)


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items_and_items_as_they_are_needed(
    tmp_path: Path,
) -> None:
    stack = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    archive = write_stack(tmp_path / "stack.npz", stack)
    taken = []
    items = (taken.append(n) or n for n in range(40))
    with SharedRoom(archive, "held", workers=2) as room:
        results = room.spread(partial(add, more=100), items)
        assert next(results) == 100
        assert len(taken) <= 6
        assert list(results) == list(range(101, 140))


@pytest.mark.slow
def test_a_worker_that_is_ended_from_outside_ends_the_step_with_a_hint(tmp_path: Path) -> None:
    archive = write_stack(tmp_path / "stack.npz", np.zeros((2, 2, 2), np.uint8))
    with (
        SharedRoom(archive, "held", workers=2) as room,
        pytest.raises(ConfigError, match=r"cohort\.workers: processes must .* give the step"),
    ):
        list(room.spread(die, range(3)))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_of_the_work_is_the_same_in_every_process(workers: int, tmp_path: Path) -> None:
    archive = write_stack(tmp_path / "stack.npz", np.zeros((2, 2, 2), np.uint8))
    with SharedRoom(archive, "held", workers=workers) as room, pytest.raises(ValueError, match="0"):
        list(room.spread(fail, range(3)))


def test_a_full_disk_is_told_before_a_map_of_it_would_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    archive = write_stack(tmp_path / "stack.npz", np.zeros((2, 2, 2), np.uint8))
    with (
        SharedRoom(archive, "held", workers=1) as room,
        pytest.raises(StorageError, match="no space left"),
    ):
        room.make("rows", (5,))
