"""Altered copies found, different images taken for copies, and how the time grows, in one run.

`recall` alters each image of a source in one of many ways and counts the copies that are found,
beside the DCT hash of the library imagehash at Hamming distances up to 8, all pairs (2D alone).
`scale` plants copies among synthetic thumbnails of growing number, planes or volumes, and searches
them with one worker and with several.
"""

import argparse
import csv
import io
import os
import resource
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medvision.domain.likeness.search import SIMILARITY, find_look_alikes, search_room
from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.phantom.scan import draw_scan
from medvision.phantom.subject import draw_subjects
from medvision.runtime.npz import Rows, write_npz
from medvision.runtime.shared_room import SharedRoom

Grid = NDArray[np.float64]
Held = tuple[Grid, tuple[float, float, float]]
"""An image (I, J, K) with its spacing in mm."""

Alter = Callable[[Grid, np.random.Generator], Grid]

HAMMING = 8


def scale_to_8_bits(grid: Grid) -> Grid:
    """Return values from 0 to 255."""
    return (grid - grid.min()) / max(grid.max() - grid.min(), 1e-9) * 255


def turn(degrees: float | None) -> Alter:
    """Turn in the plane of the first two axes; None means by any angle."""

    def alter(grid: Grid, rng: np.random.Generator) -> Grid:
        angle = rng.uniform(0, 360) if degrees is None else degrees
        return ndimage.rotate(
            grid, angle, reshape=False, order=1, mode="constant", cval=grid.min(), axes=(0, 1)
        )

    return alter


def crop(share: float, *, is_centred: bool) -> Alter:
    """Keep a share of each axis that has more than one voxel."""

    def alter(grid: Grid, rng: np.random.Generator) -> Grid:
        kept = [round(share * n) if n > 1 else 1 for n in grid.shape]
        room = [n - m for n, m in zip(grid.shape, kept, strict=True)]
        first = [r // 2 if is_centred else int(rng.integers(0, r + 1)) for r in room]
        return grid[tuple(slice(a, a + m) for a, m in zip(first, kept, strict=True))]

    return alter


def resize(factor: float) -> Alter:
    """Resample linearly to another number of voxels."""

    def alter(grid: Grid, _: np.random.Generator) -> Grid:
        factors = [factor if n > 1 else 1 for n in grid.shape]
        return ndimage.zoom(grid, factors, order=1, mode="nearest", grid_mode=True)

    return alter


def brighten(grid: Grid, _: np.random.Generator) -> Grid:
    """A fifth more contrast and 20 of 255 brighter; what is too bright is clipped."""
    return np.clip(scale_to_8_bits(grid) * 1.2 + 20, 0, 255)


def compress(grid: Grid, _: np.random.Generator) -> Grid:
    """Write as JPEG of quality 60, plane by plane, and read again."""
    planes = []
    for plane in np.moveaxis(scale_to_8_bits(grid).round().astype(np.uint8), 2, 0):
        stream = io.BytesIO()
        Image.fromarray(plane).save(stream, "JPEG", quality=60)
        planes.append(np.asarray(Image.open(stream), dtype=np.float64))
    return np.stack(planes, axis=2)


def chain(*steps: Alter) -> Alter:
    """Apply one after the other."""

    def alter(grid: Grid, rng: np.random.Generator) -> Grid:
        for step in steps:
            grid = step(grid, rng)
        return grid

    return alter


ALTERATIONS: dict[str, Alter] = {
    "none": lambda grid, _: grid,
    "rotated 5°": turn(5),
    "rotated 15°": turn(15),
    "rotated by any angle": turn(None),
    "rotated 90°": lambda grid, _: np.rot90(grid),
    "flipped": lambda grid, _: grid[::-1],
    "cropped to 95 %": crop(0.95, is_centred=True),
    "cropped to 90 %": crop(0.9, is_centred=True),
    "cropped to 80 %": crop(0.8, is_centred=True),
    "cropped to 95 %, off centre": crop(0.95, is_centred=False),
    "cropped to 90 %, off centre": crop(0.9, is_centred=False),
    "cropped to 80 %, off centre": crop(0.8, is_centred=False),
    "contrast × 0.6": lambda grid, _: 60 + 0.6 * scale_to_8_bits(grid),
    "gamma 0.7": lambda grid, _: (scale_to_8_bits(grid) / 255) ** 0.7,
    "brighter, clipped": brighten,
    "half the size": resize(0.5),
    "1.5 × the size": resize(1.5),
    "JPEG, quality 60": compress,
    "flipped, brighter, cropped to 95 %": chain(
        lambda grid, _: grid[::-1], brighten, crop(0.95, is_centred=False)
    ),
    "rotated 5°, resized to 70 %": chain(turn(5), resize(0.7)),
}
ALTERATIONS_3D: dict[str, Alter] = {
    "laid on its side": lambda grid, _: np.rot90(grid, axes=(0, 2)),
    "flipped head to feet": lambda grid, _: grid[:, :, ::-1],
}


def load_pictures(paths: Sequence[Path]) -> list[Held]:
    """Read grey pictures."""
    grids = [np.asarray(Image.open(path).convert("L"), dtype=np.float64) for path in paths]
    return [(grid[:, :, None], (1.0, 1.0, 1.0)) for grid in grids]


def load_source(name: str, data: Path, count: int) -> list[Held]:
    """Read up to `count` images of a source, evenly spread over it."""
    if name == "phantoms":
        subjects = draw_subjects(7, subjects=count, prevalence=0.5, nifti_fraction=0.2)
        scans = [draw_scan(7, subject, visit=0, size=(64, 64, 24)) for subject in subjects]
        return [(s.hu.astype(np.float64), _measure_spacing(s.grid.affine)) for s in scans]
    if name == "open_ms":
        images = [nibabel.load(path) for path in sorted((data / name).rglob("*.nii.gz"))]
        return [(i.get_fdata(), _measure_spacing(i.affine)) for i in images]
    if name == "pneumoniamnist":
        with np.load(data / name / "pneumoniamnist.npz") as held:
            stack = np.concatenate([held[f"{part}_images"] for part in ("train", "val", "test")])
        rows = np.linspace(0, len(stack) - 1, min(count, len(stack))).astype(int)
        return [(stack[row].astype(np.float64)[:, :, None], (1.0, 1.0, 1.0)) for row in rows]
    paths = sorted(p for p in (data / name).rglob("*") if p.suffix in (".jpeg", ".jpg", ".png"))
    rows = np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)
    return load_pictures([paths[row] for row in rows])


def _measure_spacing(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    i, j, k = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return i, j, k


def alter(held: Held, way: str, rng: np.random.Generator) -> Held:
    """Return an altered copy; where it was resized, its field of view is as before."""
    grid, spacing = held
    copy = np.ascontiguousarray(WAYS[way](grid, rng))
    if way in RESIZING:
        ratio = [s * n / m for s, n, m in zip(spacing, grid.shape, copy.shape, strict=True)]
        return copy, (ratio[0], ratio[1], ratio[2])
    i, j, k = (spacing[axis] for axis in TURNED.get(way, (0, 1, 2)))
    return copy, (i, j, k)


WAYS = {**ALTERATIONS, **ALTERATIONS_3D}
RESIZING = tuple(name for name in ALTERATIONS if "size" in name)
TURNED = {"rotated 90°": (1, 0, 2), "laid on its side": (2, 1, 0)}
"""Ways that exchange axes, and with them the spacing."""


def find_by_hash(images: Sequence[Held]) -> set[tuple[int, int]]:
    """Return the pairs whose DCT hashes differ in few bits, of all pairs."""
    import imagehash  # noqa: PLC0415 - of `recall` alone

    pictures = [
        Image.fromarray(scale_to_8_bits(grid[:, :, 0]).astype(np.uint8)) for grid, _ in images
    ]
    bits = np.array([imagehash.phash(picture).hash.ravel() for picture in pictures], dtype=np.int32)
    apart = bits @ (1 - bits).T + (1 - bits) @ bits.T
    first, second = np.nonzero(np.triu(apart <= HAMMING, k=1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def measure_recall(name: str, data: Path, count: int, writer: "csv.Writer") -> None:
    """Alter each image of a source in one way; print how many copies of each way are found."""
    rng = np.random.default_rng(0)
    originals = load_source(name, data, count)
    is_flat = originals[0][0].shape[2] == 1
    ways = ALTERATIONS if is_flat else {**ALTERATIONS, **ALTERATIONS_3D}
    rounds = max(1, 60 // len(originals))
    found: Counter[str] = Counter()
    hashed: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    others, hashed_others, seconds = set(), set(), 0.0
    names = list(ways)
    for turn_ in range(rounds):
        chosen = [names[(n + turn_ * len(originals)) % len(names)] for n in range(len(originals))]
        copies = [alter(o, way, rng) for o, way in zip(originals, chosen, strict=True)]
        images = [*originals, *copies]
        stack = np.array([build_thumbnail(grid, spacing_mm=mm) for grid, mm in images])
        start = time.process_time()
        pairs = {(p.first, p.second) for p in find_look_alikes(stack, similarity=SIMILARITY)}
        seconds += time.process_time() - start
        by_hash = find_by_hash(images) if is_flat else set()
        n = len(originals)
        for row, way in enumerate(chosen):
            planted[way] += 1
            found[way] += (row, n + row) in pairs
            hashed[way] += (row, n + row) in by_hash
        others |= {(a, b) for a, b in pairs if b < n}
        hashed_others |= {(a, b) for a, b in by_hash if b < n}
    for way in names:
        share = f"{hashed[way] / planted[way]:.2f}" if is_flat else ""
        writer.writerow([name, way, planted[way], f"{found[way] / planted[way]:.2f}", share])
    total = sum(planted.values())
    share = f"{sum(hashed.values()) / total:.2f}" if is_flat else ""
    writer.writerow([name, "all", total, f"{sum(found.values()) / total:.2f}", share])
    pairs_in_all = len(originals) * (len(originals) - 1) // 2
    shown = len(hashed_others) if is_flat else ""
    writer.writerow([name, f"pairs of originals, of {pairs_in_all}", "", len(others), shown])
    writer.writerow(
        [name, "CPU ms an image", "", f"{1000 * seconds / (2 * len(originals) * rounds):.0f}", ""]
    )


def draw_thumbnails(count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw blurred noise, (count, 64, 64) uint8."""
    parts = []
    for start in range(0, count, 1000):
        noise = rng.normal(size=(min(1000, count - start), 64, 64)).astype(np.float32)
        smooth = ndimage.gaussian_filter(noise, (0, 2.5, 2.5))
        parts.append(np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8))
    return np.concatenate(parts)


def plant_copies(stack: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Overwrite the last of a hundredth of the thumbnails by altered copies; return the pairs."""
    rng = np.random.default_rng(1)
    first_copy = len(stack) - len(stack) // 100
    sources = rng.choice(first_copy, len(stack) - first_copy, replace=False)
    for number, row in enumerate(sources):
        turned = np.rot90(stack[row], number % 4)
        # As an image of another brightness has another thumbnail.
        moved = turned[::-1] if number % 8 > 3 else turned
        # Around the field of view of a volume is 0.
        copy = np.where((moved == 0) & (stack.ndim == 4), 0, moved * 0.8 + 20)
        stack[first_copy + number] = copy.astype(np.uint8)
    return {(int(row), first_copy + number) for number, row in enumerate(sources)}


def draw_phantoms(count: int) -> NDArray[np.uint8]:
    """Draw the thumbnails of phantoms, (count, 32, 32, 32) uint8."""
    held = load_source("phantoms", Path(), count)
    return np.array([build_thumbnail(grid, spacing_mm=spacing) for grid, spacing in held])


def measure_scale(counts: Sequence[int], kind: str, workers: Sequence[int]) -> None:
    """Plant copies among thumbnails, and search them as `cohort` does; print the costs."""
    columns = ("images", "workers", "CPU s", "CPU ms an image", "s by the clock", "copies found")
    columns += ("other pairs", "memory, all processes", "temporary files")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for count in counts:
        if kind == "phantoms":
            stack = draw_phantoms(count)
        else:
            stack = draw_thumbnails(count, np.random.default_rng(1))
        planted = plant_copies(stack)
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "stack.npz"
            write_npz(archive, {"held": Rows(stack.shape, "u1", stack)})
            del stack
            for number in workers:
                took = measure_search(archive, count, number, planted)
                print(f"| {count} | {number} | {took} |", flush=True)


def measure_search(archive: Path, count: int, workers: int, planted: set[tuple[int, int]]) -> str:
    """Search the thumbnails of an archive; return the cells of a row of the table."""
    before, clock = _count_cpu(), time.perf_counter()
    with SharedRoom(archive, "held", workers=workers) as room, Watch() as watch:
        pairs = search_room(room, np.arange(count), similarity=SIMILARITY)
        places = Path(tempfile.gettempdir()).glob("medvision-look-alikes-*/*")
        n_bytes = sum(path.stat().st_size for path in places)
    cpu, clock = _count_cpu() - before, time.perf_counter() - clock
    found = {(pair.first, pair.second) for pair in pairs}
    return (
        f"{cpu:.1f} | {1000 * cpu / count:.1f} | {clock:.1f} | {len(found & planted)} of "
        f"{len(planted)} | {len(found - planted)} | {watch.peak / 2**20:.0f} MiB | "
        f"{n_bytes / 2**20:.0f} MiB"
    )


def _count_cpu() -> float:
    """Return the CPU seconds of this process and of those that it started and that ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


class Watch:
    """Most memory of this process and its children together, without pages of mapped files.

    Those the system drops where it needs the space. Linux alone says so.
    """

    def __enter__(self) -> "Watch":
        self.peak = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.1):
            self.peak = max(self.peak, sum(map(_read_memory, list_family())))


def list_family() -> list[Path]:
    """Return what the system says of this process and its children."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
    return [Path(f"/proc/{number}/status") for number in (own, *children)]


def _read_memory(status: Path) -> int:
    """Return the bytes that a process has of its own; 0 where it is gone."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("recall", "scale"))
    parser.add_argument("--data", type=Path, help="folder of the real images")
    parser.add_argument("--sources", nargs="+", default=["phantoms"])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--counts", nargs="+", type=int, default=[1000, 10_000])
    parser.add_argument("--kind", choices=("planes", "phantoms"), default="planes")
    parser.add_argument("--workers", nargs="+", type=int, default=[1])
    arguments = parser.parse_args()
    if arguments.what == "scale":
        measure_scale(arguments.counts, arguments.kind, arguments.workers)
        return
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    for name in arguments.sources:
        measure_recall(name, arguments.data or Path(), arguments.images, writer)
        print(stream.getvalue(), end="", flush=True)
        stream.seek(0)
        stream.truncate()


if __name__ == "__main__":
    main()
