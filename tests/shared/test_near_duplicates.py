"""Altered copies of real images are found, and different people are not taken for copies."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from look_alikes import ALTERATIONS
from real_data import read_jpeg

from medvision.domain.likeness.search import SIMILARITY, find_look_alikes
from medvision.domain.likeness.thumbnail import build_thumbnail
from medvision.io.nifti.read import read_nifti

pytestmark = [pytest.mark.shared, pytest.mark.slow]

Grids = list[np.ndarray]


def read_mednist(shared_data: Path) -> Grids:
    folders = sorted(path for path in (shared_data / "mednist").iterdir() if path.is_dir())
    return [read_jpeg(path) for folder in folders for path in sorted(folder.iterdir())[:50]]


def read_radiographs(shared_data: Path) -> Grids:
    paths = sorted((shared_data / "nih_cxr14").rglob("*.png"))
    return [read_jpeg(path) for path in paths[:150]]


def shrink(grids: Grids) -> np.ndarray:
    stack = [build_thumbnail(grid[:, :, None], spacing_mm=(1.0, 1.0, 1.0)) for grid in grids]
    return np.array(stack)


@pytest.mark.parametrize(("read", "n_alike"), [(read_mednist, 4), (read_radiographs, 0)])
def test_altered_copies_of_real_images_are_found(
    read: Callable[[Path], Grids], n_alike: int, shared_data: Path
) -> None:
    originals = read(shared_data)
    ways = cycle(ALTERATIONS.values())
    copies = [next(ways)(grid.astype(float)) for grid in originals]
    pairs = find_look_alikes(shrink([*originals, *copies]), similarity=SIMILARITY)
    n = len(originals)
    found = {(pair.first, pair.second) for pair in pairs}
    hits = [(row, n + row) in found for row in range(n)]
    assert np.mean(hits) > 0.95
    # Neighbouring slices of one scan, which are copies to a network as well.
    between = [(a, b) for a, b in found if b < n]
    assert len(between) == n_alike
    assert all(b - a <= 10 for a, b in between)


def test_brains_of_different_people_are_far_from_copies(shared_data: Path) -> None:
    paths = sorted((shared_data / "open_ms").rglob("*.nii.gz"))
    images = [read_nifti(path) for path in paths]
    stack = np.array(
        [
            build_thumbnail(
                image.array, spacing_mm=tuple(np.linalg.norm(image.affine[:3, :3], axis=0))
            )
            for image in images
        ]
    )
    pairs = find_look_alikes(stack, similarity=0.3)
    other = [p for p in pairs if paths[p.first].parent != paths[p.second].parent]
    assert other
    assert max(pair.similarity for pair in other) < 0.7
