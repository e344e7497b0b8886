"""The pipeline's intensities, padding and refusals, each against a closed form."""

import inspect

import numpy as np
import pytest

from medvision.config.preprocess import PreprocessSection
from medvision.preprocess.apply import transform_image
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import REASONS, UnusableImageError

KEEP = {"orientation": None, "spacing_mm": None, "size": (10, 10, 10)}


def run(grid, *, spatial_dims=3, affine=None, **changes):
    settings = PreprocessSection(**{**KEEP, **changes}).pipeline
    transform = build_executor(build_plan(spatial_dims=spatial_dims, **settings))
    return transform(grid, np.eye(4) if affine is None else affine)


@pytest.fixture
def grid():
    noise = np.random.default_rng(0).normal(-400, 500, size=(10, 10, 10))
    return noise.astype(np.float32)


def test_window_maps_its_bounds_to_0_and_1_and_clips(grid):
    result = run(grid, intensity="window", window=(-1000.0, 200.0)).array[0]
    np.testing.assert_allclose(result, np.clip((grid + 1000) / 1200, 0, 1), atol=1e-6)
    assert result.min() == 0.0
    assert result.max() == 1.0


def test_percentile_maps_the_images_own_percentiles(grid):
    result = run(grid, intensity="percentile", percentiles=(5.0, 90.0)).array[0]
    low, high = np.percentile(grid, (5, 90))
    np.testing.assert_allclose(result, np.clip((grid - low) / (high - low), 0, 1), atol=1e-5)


def test_zscore_gives_mean_0_and_deviation_1(grid):
    result = run(grid, intensity="zscore").array
    assert abs(result.mean()) < 1e-5
    assert abs(result.std() - 1) < 1e-4


def test_none_keeps_intensities(grid):
    np.testing.assert_array_equal(run(grid, intensity="none").array[0], grid)


@pytest.mark.parametrize("intensity", ["window", "percentile", "zscore", "none"])
def test_padding_is_the_lowest_scaled_intensity(grid, intensity):
    result = run(grid, intensity=intensity, size=(16, 16, 16)).array[0]
    frame = np.ones((16, 16, 16), dtype=bool)
    frame[3:13, 3:13, 3:13] = False
    assert np.unique(result[frame]).tolist() == [result[~frame].min()]


def test_padding_is_air_in_a_window_that_no_voxel_reaches_the_bottom_of(grid):
    result = run(np.abs(grid), intensity="window", window=(-1000.0, 200.0), size=(12, 10, 10))
    assert result.array[0, 0].max() == 0.0
    assert result.array[0, 1:11].min() > 0.5


def test_crop_finds_the_box_around_the_foreground():
    grid = np.full((20, 20, 20), -1000, dtype=np.float32)
    grid[4:9, 10:13, 2:18] = np.random.default_rng(0).uniform(0, 100, (5, 3, 16))
    crop = {"crop_foreground": True, "foreground_above": 0.5, "size": (5, 3, 16)}
    volume = run(grid, **crop)
    np.testing.assert_allclose(volume.array[0], (grid[4:9, 10:13, 2:18] + 1000) / 1200, rtol=1e-5)
    np.testing.assert_array_equal(volume.affine[:3, 3], [4, 10, 2])


def test_resize_averages_over_the_voxels_it_shrinks():
    checkerboard = (np.indices((20, 20, 20)).sum(axis=0) % 2).astype(np.float32)
    checkerboard[:10] *= 3
    result = run(checkerboard, intensity="none", sizing="resize").array[0]
    np.testing.assert_allclose(result[:5], 1.5)
    np.testing.assert_allclose(result[5:], 0.5)


@pytest.mark.parametrize("sizing", ["pad", "resize"])
def test_2d_images_come_out_one_voxel_thick(sizing):
    grid = np.random.default_rng(0).normal(size=(13, 30, 1)).astype(np.float32)
    settings = {"intensity": "percentile", "sizing": sizing, "orientation": "RAS"}
    volume = run(grid, spatial_dims=2, **{**settings, "spacing_mm": (1.0, 1.0, 1.0)})
    assert volume.array.shape == (1, 10, 10, 1)
    assert volume.affine.dtype == np.float64


def test_steps_stand_in_the_record_in_the_order_they_run():
    steps = build_plan(spatial_dims=3, **PreprocessSection(crop_foreground=True).pipeline).steps
    assert [step.name for step in steps] == [
        "Orientation",
        "Spacing",
        "ScaleIntensityRange",
        "CropForeground",
        "ResizeWithPadOrCrop",
    ]
    assert steps[-1].as_dict()["parameters"]["padding"] == 0.0


def test_2d_leaves_orientation_and_spacing_out():
    steps = build_plan(spatial_dims=2, **PreprocessSection().pipeline).steps
    assert [step.name for step in steps] == ["ScaleIntensityRange", "ResizeWithPadOrCrop"]


def test_source_is_not_changed(grid):
    before = grid.copy()
    run(grid, intensity="window", orientation="LPI", spacing_mm=(2.0, 2.0, 2.0))
    np.testing.assert_array_equal(grid, before)


def _with_nan(grid):
    changed = grid.copy()
    changed[0, 0, 0] = np.nan
    return changed


def _mostly_zero(grid):
    changed = np.zeros_like(grid)
    changed[0, 0, 0] = 5
    return changed


@pytest.mark.parametrize(
    ("change", "settings", "reason", "detail"),
    [
        (_with_nan, {}, "not-finite", "NaN or infinity in 1 of 1000 voxels"),
        (
            lambda grid: grid * np.float32(np.inf),
            {},
            "not-finite",
            "NaN or infinity in 1000 of 1000 voxels",
        ),
        (np.zeros_like, {}, "constant", "0 in every voxel"),
        (lambda grid: np.abs(grid) + 3000, {}, "no-contrast", "1 in every voxel that is left"),
        (
            lambda grid: np.abs(grid) + 3000,
            {"size": (20, 20, 20)},
            "no-contrast",
            "1 in every voxel that is left",
        ),
        (
            _mostly_zero,
            {"intensity": "percentile"},
            "no-contrast",
            "0 at both preprocess.percentiles",
        ),
        (
            lambda grid: grid,
            {"crop_foreground": True, "foreground_above": 1.5},
            "empty-crop",
            "largest value 1, threshold 1.5",
        ),
    ],
)
def test_unusable_image_is_refused_with_its_reason(grid, change, settings, reason, detail):
    with pytest.raises(UnusableImageError) as caught:
        run(change(grid), **settings)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)
    assert reason in REASONS


@pytest.mark.parametrize("diagonal", [(1, 1, 0, 1), (np.nan, 1, 1, 1)])
def test_impossible_affine_is_refused_with_its_reason(grid, diagonal):
    with pytest.raises(UnusableImageError) as caught:
        run(grid, affine=np.diag(np.array(diagonal, dtype=float)))
    assert caught.value.reason == "bad-geometry"


def test_defect_inside_a_step_is_not_taken_for_a_bad_image(grid):
    def broken(image):
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        transform_image(grid, np.eye(4), transform=broken)


def test_pipeline_takes_every_field_of_its_section_and_the_dimensions():
    taken = set(inspect.signature(build_plan).parameters)
    assert taken == {*PreprocessSection().pipeline, "spatial_dims"}
