"""CPU ms a sample and bytes on disk of 96³ samples in random order, warm and cold, in one run.

Ours (the memory-mapped store, float16 into a batch made before, converted in torch) against MONAI's
PersistentDataset, a safetensors file of the same float16, compressed `.npz` and `.nii.gz`.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np
import torch
from monai.data import PersistentDataset
from monai.transforms import Transform
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from medvision.learn.dataset import Examples, iterate_batches
from medvision.runtime.shards import StoredArrays, map_array

SIDE = 96
BATCH = 8
PASSES = 5

Read = Callable[[NDArray[np.int64]], object]
"""Rows in a random order to their images in batches, one after the other."""

Open = Callable[[], Read]
"""Opens the files anew; a mapping that stays would keep its pages."""


def make_samples(count: int) -> Iterator[NDArray[np.float32]]:
    """Yield smooth volumes in [0, 1] with noise, (1, 96, 96, 96) float32."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    for _ in range(count):
        noise = generator.normal(0, 0.02, (1, SIDE, SIDE, SIDE)).astype(np.float32)
        yield np.clip(ramp * ramp[:, None] + noise, 0, 1)


def drop_cache(folder: Path) -> None:
    """Ask the kernel to forget the pages of every file of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


class Take(Transform):
    """The deterministic part that PersistentDataset caches."""

    def __init__(self, samples: list[NDArray[np.float32]]) -> None:
        self.samples = samples

    def __call__(self, item: dict[str, int]) -> torch.Tensor:
        """Return one sample."""
        return torch.from_numpy(self.samples[item["row"]])


def cut(order: NDArray[np.int64]) -> list[list[int]]:
    """Return the rows of each batch."""
    return [order[start : start + BATCH].tolist() for start in range(0, len(order), BATCH)]


def stack(read_one: Callable[[int], torch.Tensor]) -> Read:
    """Return a reader of batches made of a reader of samples."""

    def read(order: NDArray[np.int64]) -> None:
        for rows in cut(order):
            torch.stack([read_one(row) for row in rows])

    return read


def build_store(folder: Path, samples: list[NDArray[np.float32]]) -> Open:
    """Return what opens the project's store."""
    np.save(folder / "arrays.npy", np.stack(samples).astype(np.float16))
    ones = np.ones(len(samples), dtype=np.float32)

    def open_reader() -> Read:
        arrays = StoredArrays([map_array(folder / "arrays.npy")], scales=ones, offsets=0 * ones)
        rows = np.arange(len(samples))
        examples = Examples(arrays, rows, 0 * rows, ("",) * len(samples))

        def read(order: NDArray[np.int64]) -> None:
            for _ in iterate_batches(examples, order, batch_size=BATCH):
                pass

        return read

    return open_reader


def build_safetensors(folder: Path, samples: list[NDArray[np.float32]]) -> Open:
    """Return what opens one safetensors file."""
    path = folder / "arrays.safetensors"
    save_file({"arrays": np.stack(samples).astype(np.float16)}, path)

    def read(order: NDArray[np.int64]) -> None:
        with safe_open(path, framework="pt") as file:
            part = file.get_slice("arrays")
            for rows in cut(order):
                torch.stack([part[row] for row in rows]).float()

    return lambda: read


def build_persistent(folder: Path, samples: list[NDArray[np.float32]]) -> Open:
    """Return what opens MONAI's PersistentDataset, its cache filled."""
    data = [{"row": row} for row in range(len(samples))]
    dataset = PersistentDataset(data, transform=Take(samples), cache_dir=folder)
    for row in range(len(samples)):
        dataset[row]
    return lambda: stack(lambda row: dataset[row])


def build_npz(folder: Path, samples: list[NDArray[np.float32]]) -> Open:
    """Return what opens one compressed file per sample."""
    for row, sample in enumerate(samples):
        np.savez_compressed(folder / f"{row}.npz", image=sample)
    return lambda: stack(lambda row: torch.from_numpy(np.load(folder / f"{row}.npz")["image"]))


def build_nifti(folder: Path, samples: list[NDArray[np.float32]]) -> Open:
    """Return what opens one `.nii.gz` per sample."""
    for row, sample in enumerate(samples):
        nib.save(nib.Nifti1Image(sample[0], np.eye(4)), folder / f"{row}.nii.gz")

    def read(row: int) -> torch.Tensor:
        image = nib.load(folder / f"{row}.nii.gz").get_fdata(dtype=np.float32)
        return torch.from_numpy(image[np.newaxis])

    return lambda: stack(read)


FORMATS = {
    "store (npy, float16)": build_store,
    "safetensors, float16": build_safetensors,
    "PersistentDataset": build_persistent,
    ".npz": build_npz,
    ".nii.gz": build_nifti,
}


def measure(read: Read, order: NDArray[np.int64]) -> tuple[float, float]:
    """Return (CPU ms, wall ms) a sample."""
    cpu, wall = time.process_time(), time.perf_counter()
    read(order)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return spent[0] / len(order) * 1e3, spent[1] / len(order) * 1e3


def measure_cold(
    folder: Path, open_reader: Open, order: NDArray[np.int64]
) -> list[tuple[float, float]]:
    """Return (CPU ms, wall ms) of passes over files that the kernel has forgotten."""
    spent = []
    for _ in range(PASSES):
        drop_cache(folder)
        spent.append(measure(open_reader(), order))
    return spent


def main() -> None:
    """Print one line per format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=64)
    count = parser.parse_args().samples
    torch.set_num_threads(1)
    samples = list(make_samples(count))
    order = np.random.default_rng(1).permutation(count)
    print(f"{'format':22} {'warm CPU':>9} {'cold CPU':>9} {'cold wall':>9} {'MB a sample':>12}")
    for name, build in FORMATS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            open_reader = build(folder, samples)
            # The first pass is the process's: memory that the kernel has not given it yet.
            open_reader()(order)
            cold = measure_cold(folder, open_reader, order)
            read = open_reader()
            read(order)
            warm = [measure(read, order)[0] for _ in range(PASSES)]
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            megabytes = size / count / 1e6
        figures = (median(warm), *(median(column) for column in zip(*cold, strict=True)))
        print(f"{name:22}" + "".join(f" {ms:9.2f}" for ms in figures) + f" {megabytes:12.2f}")


if __name__ == "__main__":
    main()
