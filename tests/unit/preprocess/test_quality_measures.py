"""Each measure against a closed form, or against a slow plain oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medvision.preprocess.quality.extent import (
    measure_clipping,
    measure_single_value,
    measure_truncation,
)
from medvision.preprocess.quality.measure import MEASURES, measure_image
from medvision.preprocess.quality.picture import draw_picture, put_upright
from medvision.preprocess.quality.planes import MAX_PLANES, Planes, choose_planes, compute_otsu
from medvision.preprocess.quality.texture import (
    estimate_ghosting,
    estimate_noise,
    estimate_sharpness,
)


def make_disc(*, side: int = 64, n_planes: int = 3, noise_sd: float = 0.0) -> np.ndarray:
    """A body of 100 in a background of 0, with noise everywhere."""
    i, j = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.where(np.hypot(i, j) < side / 4, 100.0, 0.0)[:, :, np.newaxis]
    rng = np.random.default_rng(1)
    grid = np.repeat(disc, n_planes, axis=2) + rng.normal(0, noise_sd, (side, side, n_planes))
    return grid.astype(np.float32)


def look_at(grid: np.ndarray, *, is_hu: bool = False) -> Planes:
    return choose_planes(grid, is_hu=is_hu)


def otsu_slowly(values: np.ndarray) -> float:
    """Try each of 256 thresholds, and return the best variance between the classes."""
    low, high = np.percentile(values, (0.5, 99.5))
    best = 0.0
    held = np.clip(values, low, high)
    width = (high - low) / 256
    binned = np.minimum(((held - low) / width).astype(int), 255)
    for n in range(255):
        below, above = binned[binned <= n], binned[binned > n]
        if below.size and above.size:
            best = max(best, below.size * above.size * (above.mean() - below.mean()) ** 2)
    return best


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_otsus_threshold_separates_as_well_as_the_best_of_all(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    bright = rng.random(400) < share
    values = np.where(bright, rng.normal(8, 1, 400), rng.normal(0, 1, 400)).astype(np.float32)
    threshold = compute_otsu(values)
    low, high = np.percentile(values, (0.5, 99.5))
    binned = np.minimum(((np.clip(values, low, high) - low) / (high - low) * 256).astype(int), 255)
    is_below = values < threshold
    below, above = binned[is_below], binned[~is_below]
    reached = below.size * above.size * (above.mean() - below.mean()) ** 2
    assert reached == pytest.approx(otsu_slowly(values), rel=0.02)


@pytest.mark.parametrize("noise_sd", [1.0, 4.0])
def test_noise_is_estimated_within_a_tenth_in_spite_of_edges(noise_sd: float) -> None:
    found = estimate_noise(look_at(make_disc(noise_sd=noise_sd)))
    assert found == pytest.approx(noise_sd, rel=0.1)


def test_a_background_set_to_zero_does_not_count_as_quiet() -> None:
    grid = make_disc(noise_sd=4)
    grid[grid < 50] = 0
    assert estimate_noise(look_at(grid)) == pytest.approx(4, rel=0.1)


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    grid = make_disc(noise_sd=2)
    sharp = estimate_sharpness(look_at(grid))
    assert estimate_sharpness(look_at(3 * grid + 7)) == pytest.approx(sharp, rel=1e-3)
    levels = [
        estimate_sharpness(look_at(ndimage.gaussian_filter(grid, (sd, sd, 0))))
        for sd in (0.5, 1, 2)
    ]
    assert sharp > levels[0] > levels[1] > levels[2]


def test_sharpness_equals_the_slow_sum() -> None:
    grid = make_disc(side=12, n_planes=1, noise_sd=5)
    shares = []
    for plane in (grid[:, :, 0], grid[:, :, 0].T):
        before = after = 0.0
        padded = np.pad(plane, ((2, 2), (0, 0)), mode="edge")
        blurred = np.stack([padded[n : n + 5].mean(axis=0) for n in range(len(plane))])
        for n in range(len(plane) - 1):
            for m in range(plane.shape[1]):
                d, e = abs(plane[n + 1, m] - plane[n, m]), abs(blurred[n + 1, m] - blurred[n, m])
                before, after = before + d, after + max(0.0, d - e)
        shares.append(after / before)
    assert estimate_sharpness(look_at(grid)) == pytest.approx(min(shares), rel=1e-4)


def test_a_motion_blur_along_one_axis_is_seen() -> None:
    grid = make_disc(noise_sd=2)
    moved = ndimage.uniform_filter1d(grid, 7, axis=0)
    assert (estimate_sharpness(look_at(moved)) or 0) < 0.6 * (
        estimate_sharpness(look_at(grid)) or 0
    )


def test_a_ghost_along_one_axis_is_told_from_noise_on_both() -> None:
    grid = make_disc(noise_sd=2) + 20
    ghosted = grid.copy()
    ghosted[:, :8] += 10
    ghosted[:, -8:] += 10
    quiet, ghost = estimate_ghosting(look_at(grid)), estimate_ghosting(look_at(ghosted))
    assert quiet is not None
    assert ghost is not None
    assert quiet < 0.005
    assert ghost == pytest.approx(10 / (2 * 120) * 16 / 28, rel=0.05)


def test_ghosting_cannot_be_told_of_a_body_that_fills_an_axis() -> None:
    grid = np.zeros((32, 32, 2), dtype=np.float32)
    grid[:, 10:20] = 1
    assert estimate_ghosting(look_at(grid)) is None


def test_clipping_counts_the_top_of_the_scale_and_holes_in_the_body_alone() -> None:
    grid = make_disc(noise_sd=5)
    assert measure_clipping(look_at(grid)) == (0, 0)
    high = np.minimum(grid, 100)
    assert measure_clipping(look_at(high))[1] == pytest.approx((high == 100).mean())
    assert (high == 100).mean() > 0.05
    background = np.maximum(grid, 20)
    assert measure_clipping(look_at(background))[0] == 0
    holes = background.copy()
    holes[30:34, 30:34] = 20
    assert measure_clipping(look_at(holes))[0] == pytest.approx(16 / 64**2)


def test_a_mask_is_not_clipped() -> None:
    assert measure_clipping(look_at((make_disc() > 0).astype(np.uint8))) == (0, 0)


def test_the_share_of_one_value_is_that_of_the_commonest() -> None:
    grid = np.arange(100, dtype=np.int16).reshape(10, 10, 1)
    grid[:, :7] = 5
    assert measure_single_value(look_at(grid)) == pytest.approx(0.7)


def test_a_body_at_the_border_is_truncated_by_the_share_of_the_border() -> None:
    grid = np.full((20, 20, 2), -1000, dtype=np.int16)
    grid[5:15, 5:15] = 40
    assert measure_truncation(look_at(grid, is_hu=True)) == 0
    grid[5:15, :15] = 40
    assert measure_truncation(look_at(grid, is_hu=True)) == pytest.approx(10 / 76)


def test_the_border_of_a_round_field_is_where_its_padding_begins() -> None:
    i, j = np.mgrid[:40, :40] - 19.5
    grid = np.where(np.hypot(i, j) < 15, 40, -2000)[:, :, np.newaxis].astype(np.int16)
    assert measure_truncation(look_at(grid, is_hu=True)) == 1
    grid[np.hypot(i, j) > 12] = np.where(grid[np.hypot(i, j) > 12] == 40, -1000, -2000)
    assert measure_truncation(look_at(grid, is_hu=True)) == 0


def test_a_long_volume_is_looked_at_in_few_planes() -> None:
    grid = np.arange(200, dtype=np.float32)[np.newaxis, np.newaxis] + np.zeros((4, 4, 1))
    planes = look_at(grid)
    assert planes.values.shape == (4, 4, MAX_PLANES)
    assert (planes.values[0, 0, 0], planes.values[0, 0, -1]) == (0, 199)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 200, 1), (1, 1, 9), (6, 6, 1), (40, 40, 40)])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8"])
@pytest.mark.filterwarnings("error")
def test_every_shape_and_type_is_measured(shape: tuple[int, ...], dtype: str) -> None:
    grid = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    held = grid.copy()
    measures = measure_image(grid, spacing_mm=(1, 1, 2), is_hu=False)
    assert tuple(measures) == MEASURES
    assert all(value is None or np.isfinite(value) for value in measures.values())
    assert np.array_equal(grid, held)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_counted_and_spoils_nothing(value: float) -> None:
    grid = make_disc(noise_sd=2)
    grid[0, 0, 0] = value
    measures = measure_image(grid, spacing_mm=(1, 1, 1), is_hu=False)
    assert measures["finite_share"] == pytest.approx(1 - 1 / grid.size)
    assert measures["noise_sd"] == pytest.approx(2, rel=0.1)
    nothing = measure_image(np.full_like(grid, value), spacing_mm=(1, 1, 1), is_hu=False)
    assert (nothing["finite_share"], nothing["minimum"]) == (0, None)


@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_an_image_stored_from_any_corner_stands_upright(order: list[int], signs: tuple) -> None:
    grid = np.arange(24).reshape(2, 3, 4)
    stored = grid.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (world + 1)
    upright, found = put_upright(stored, affine)
    assert np.array_equal(upright, grid)
    assert [order[axis] for axis in found] == [0, 1, 2]


def test_a_picture_keeps_the_aspect_and_shows_the_front_on_top() -> None:
    grid = np.zeros((40, 20, 3), dtype=np.float32)
    grid[:20, 10:] = 1
    picture = draw_picture(grid, spacing_mm=(1, 1, 5), is_upright=True)
    assert picture.shape == (96, 96)
    assert picture.dtype == np.uint8
    lit = np.argwhere(picture == 255)
    # The axis runs to the right of the body, which is drawn on the left.
    assert (lit.min(axis=0).tolist(), lit.max(axis=0).tolist()) == ([24, 48], [47, 95])
