"""Batches: every image once, in a drawn order, with its own label."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.learn import dataset
from medvision.learn.dataset import (
    Examples,
    count_batches,
    draw_order,
    iterate_batches,
    read_images,
)
from medvision.runtime.shards import StoredArrays


def examples(n: int) -> Examples:
    arrays = np.arange(2 * n, dtype=np.float32).reshape(2 * n, 1, 1, 1)
    rows = np.arange(n) * 2
    return Examples(arrays, rows, np.arange(n), tuple(f"sub-{row}" for row in rows))


@pytest.mark.parametrize(("n", "sizes"), [(8, [4, 4]), (10, [4, 4, 2]), (9, [4, 5]), (1, [1])])
def test_no_batch_holds_one_image_unless_there_is_only_one(n, sizes):
    batches = list(iterate_batches(examples(n), np.arange(n), batch_size=4))
    assert [len(batch.subjects) for batch in batches] == sizes
    assert count_batches(n, 4) == len(sizes)


def test_image_label_and_subject_stay_together():
    order = np.array([3, 0, 2, 1])
    for batch in iterate_batches(examples(4), order, batch_size=2):
        images = batch.images.flatten().long()
        assert torch.equal(images, 2 * batch.labels)
        assert batch.subjects == tuple(f"sub-{image}" for image in images.tolist())


def test_array_is_read_by_row_from_a_read_only_map(tmp_path):
    path = tmp_path / "arrays.npy"
    np.save(path, examples(4).arrays)
    mapped = np.load(path, mmap_mode="r")
    given = Examples(mapped, np.arange(4), np.zeros(4, dtype=np.int64), ("a",) * 4)
    (batch,) = iterate_batches(given, np.array([1, 3]), batch_size=2)
    batch.images.add_(1)
    assert mapped[1, 0, 0, 0] == 1


@pytest.mark.parametrize("imbalance", ["none", "weights"])
def test_epoch_visits_every_image_once(imbalance):
    generator = torch.Generator().manual_seed(0)
    order = draw_order(np.zeros(50, dtype=np.int64), imbalance=imbalance, generator=generator)
    assert sorted(order) == list(range(50))
    assert list(order) != list(range(50))


def test_sampling_draws_every_class_equally_often():
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    generator = torch.Generator().manual_seed(0)
    drawn = np.concatenate(
        [draw_order(labels, imbalance="sampling", generator=generator) for _ in range(20)]
    )
    shares = np.bincount(labels[drawn]) / len(drawn)
    # 20 000 draws: the standard error of a share of 1/3 is 0.0033.
    assert shares == pytest.approx([1 / 3] * 3, abs=0.015)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16"])
def test_rows_of_several_shards_give_the_floats_that_numpy_reads(dtype):
    generator = np.random.default_rng(0)
    shards = [(generator.normal(0, 3, (n, 1, 3, 2)) * 100).astype(dtype) for n in (3, 0, 4)]
    scales = generator.uniform(0.1, 1, 7).astype(np.float32)
    offsets = generator.normal(0, 1, 7).astype(np.float32)
    arrays = StoredArrays(shards, scales=scales, offsets=offsets)
    assert arrays.shape == (7, 1, 3, 2)
    rows = np.array([6, 0, 3, 2])
    plain = np.concatenate(shards)[rows].astype(np.float32)
    if dtype == "int16":
        plain = plain * scales[rows, None, None, None] + offsets[rows, None, None, None]
    np.testing.assert_array_equal(arrays.read_rows(rows), plain)
    np.testing.assert_array_equal(read_images(arrays, rows, room=None).numpy(), plain)
    given = Examples(arrays, rows, np.zeros(4, dtype=np.int64), ("a",) * 4)
    batches = list(iterate_batches(given, np.arange(4), batch_size=2))
    np.testing.assert_array_equal(torch.cat([batch.images for batch in batches]).numpy(), plain)


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_epochs_over_a_store_give_equal_bytes_twice(dtype):
    stored = (np.random.default_rng(0).normal(0, 1, (9, 1, 4, 4)) * 50).astype(dtype)
    scales, offsets = np.full(9, 0.02, np.float32), np.full(9, 0.5, np.float32)
    given = Examples(
        StoredArrays([stored], scales=scales, offsets=offsets),
        np.arange(9),
        np.arange(9) % 2,
        tuple("abcdefghi"),
    )
    epochs = []
    for _ in range(2):
        order = draw_order(
            given.labels, imbalance="none", generator=torch.Generator().manual_seed(5)
        )
        # Batches must not share the room that rows are copied to.
        batches = list(iterate_batches(given, order, batch_size=4))
        epochs.append(torch.cat([batch.images for batch in batches]))
    assert torch.equal(*epochs)
    assert len(epochs[0].flatten(1).unique(dim=0)) == 9


def test_learning_starts_no_worker_processes_and_takes_no_batch_apart():
    folder = Path(dataset.__file__).parent
    texts = {path.name: path.read_text() for path in folder.glob("*.py")}
    found = [
        (name, word)
        for name, text in texts.items()
        for word in ("DataLoader", "num_workers", "multiprocessing", "decollate")
        if word in text
    ]
    assert texts
    assert found == []
