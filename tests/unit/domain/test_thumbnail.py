"""Thumbnails: the mean of what each pixel covers, at the true aspect of a volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.domain.likeness.thumbnail import build_thumbnail


def average_slowly(line: np.ndarray, n: int) -> np.ndarray:
    """Average a line of pixels over n equal parts, pixel by pixel."""
    width = len(line) / n
    parts = []
    for part in range(n):
        total = 0.0
        for index, value in enumerate(line):
            covered = min((part + 1) * width, index + 1) - max(part * width, index)
            total += max(0.0, covered) * value
        parts.append(total / width)
    return np.array(parts)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 150), st.integers(2, 150), st.integers(0, 99))
def test_every_pixel_is_the_mean_of_what_it_covers(n_i: int, n_j: int, seed: int) -> None:
    grid = np.random.default_rng(seed).integers(0, 1000, (n_i, n_j, 1)).astype(np.int16)
    along_i = np.apply_along_axis(average_slowly, 0, grid[:, :, 0].astype(float), 64)
    both = np.apply_along_axis(average_slowly, 1, along_i, 64)
    expected = (both - both.min()) * 255 / (both.max() - both.min())
    found = build_thumbnail(grid, spacing_mm=(1, 1, 1))
    assert (found.shape, found.dtype) == ((64, 64), np.uint8)
    assert np.abs(found - expected).max() <= 0.51


def test_a_volume_keeps_its_aspect_and_is_padded_with_its_minimum() -> None:
    grid = np.full((40, 20, 10), 5, dtype=np.float32)
    grid[0] = 4
    thumbnail = build_thumbnail(grid, spacing_mm=(1.0, 1.0, 4.0))
    lit = np.argwhere(thumbnail > 200)
    assert thumbnail.shape == (32, 32, 32)
    assert (lit.min(axis=0).tolist(), lit.max(axis=0).tolist()) == ([1, 8, 0], [31, 23, 31])


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0])
def test_what_holds_no_contrast_is_black(value: float) -> None:
    thumbnail = build_thumbnail(np.full((9, 9, 1), value), spacing_mm=(1, 1, 1))
    assert not thumbnail.any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 500, 1), (3, 3, 2), (200, 2, 60)])
def test_every_shape_has_a_thumbnail(shape: tuple[int, int, int]) -> None:
    grid = np.arange(np.prod(shape)).reshape(shape)
    held = grid.copy()
    thumbnail = build_thumbnail(grid, spacing_mm=(1, 1, 30))
    assert thumbnail.shape == ((64, 64) if shape[2] == 1 else (32, 32, 32))
    assert np.array_equal(grid, held)
