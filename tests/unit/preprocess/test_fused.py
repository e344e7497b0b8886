"""The fused pass does what MONAI's Compose of the same plan does, without torch."""

import subprocess
import sys

import numpy as np
import pytest
from geometry_strategies import affines
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.config.preprocess import PreprocessSection
from medvision.preprocess.apply import transform_image
from medvision.preprocess.compose import compose_plan
from medvision.preprocess.execute import build_executor
from medvision.preprocess.fused.planes import ArrayPlanes
from medvision.preprocess.plan import build_plan
from medvision.preprocess.rejection import UnusableImageError

LARGEST_DIFFERENCE = 1e-4
"""After scaling, on images of independent noise, the worst there is for interpolation."""

sections = st.builds(
    PreprocessSection,
    orientation=st.none() | st.sampled_from(["RAS", "LPS", "LAI", "RPS"]),
    spacing_mm=st.none() | st.tuples(*[st.floats(0.5, 8.0)] * 3),
    intensity=st.sampled_from(["window", "percentile", "zscore"]),
    window=st.sampled_from([(-1000.0, 200.0), "lung", "bone", (-2000.0, 500.0)]),
    normalise_within=st.sampled_from(["image", "foreground"]),
    crop_foreground=st.booleans(),
    foreground_above=st.sampled_from([0.05, 0.3]),
    foreground_units=st.sampled_from(["scaled", "source"]),
    sizing=st.sampled_from(["pad", "resize"]),
    size=st.tuples(*[st.integers(4, 16)] * 3),
)
shapes = st.tuples(*[st.integers(1, 17)] * 3)


def run_both(plan, grid, affine):
    """Return what the fused pass and MONAI make of an image: a volume, or the reason."""
    executor = build_executor(plan)
    assert executor.kind == "fused"
    found = []
    for run in (
        executor,
        lambda image, at: transform_image(image, at, transform=compose_plan(plan)),
    ):
        try:
            found.append(run(grid, affine))
        except UnusableImageError as error:
            found.append(error.reason)
    return found


def make_image(seed, shape, dtype):
    random = np.random.default_rng(seed)
    grid = random.normal(-300, 500, size=shape)
    grid[: shape[0] // 3] = -1000
    return grid.astype(dtype).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(
    section=sections,
    affine=affines(),
    shape=shapes,
    seed=st.integers(0, 99),
    dtype=st.sampled_from([np.int16, np.float32, np.int8]),
    spatial_dims=st.sampled_from([2, 3, 3, 3]),
    n_channels=st.sampled_from([1, 1, 3]),
)
def test_fused_pass_is_monais_compose_of_the_same_plan(  # noqa: PLR0917 - drawn, by name
    section, affine, shape, seed, dtype, spatial_dims, n_channels
):
    shape = shape if spatial_dims == 3 else (*shape[:2], 1)
    grid = make_image(seed, (n_channels, *shape), dtype)
    plan = build_plan(spatial_dims=spatial_dims, **section.pipeline)
    fused, monai = run_both(plan, grid, affine)
    if isinstance(monai, str) or isinstance(fused, str):
        assert fused == monai
        return
    np.testing.assert_allclose(fused.affine, monai.affine, atol=1e-6)
    assert fused.array.shape == monai.array.shape
    assert np.abs(fused.array - monai.array).max() <= LARGEST_DIFFERENCE


@settings(max_examples=30, deadline=None)
@given(affine=affines(), shape=shapes, seed=st.integers(0, 99))
def test_an_affine_of_float32_leads_to_the_same_grid(affine, shape, seed):
    affine = affine.astype(np.float32).astype(np.float64)
    plan = build_plan(spatial_dims=3, **PreprocessSection(spacing_mm=(2.0, 1.5, 3.0)).pipeline)
    fused, monai = run_both(plan, make_image(seed, shape, np.int16), affine)
    if isinstance(monai, str):
        assert fused == monai
        return
    np.testing.assert_allclose(fused.affine, monai.affine, atol=1e-4)
    assert np.abs(fused.array - monai.array).max() <= 5e-4


@pytest.mark.parametrize("shape", [(60, 60, 6), (6, 60, 60), (1, 60, 60), (60, 60, 1)])
def test_voxels_twenty_times_as_long_as_wide_are_sampled_as_monai_samples_them(shape):
    spacing_mm = [10.0 if n < 60 else 0.5 for n in shape]
    plan = build_plan(spatial_dims=3, **PreprocessSection(sizing="resize").pipeline)
    fused, monai = run_both(plan, make_image(3, shape, np.int16), np.diag([*spacing_mm, 1.0]))
    np.testing.assert_allclose(fused.affine, monai.affine, atol=1e-6)
    assert np.abs(fused.array - monai.array).max() <= LARGEST_DIFFERENCE


def test_a_sheared_volume_goes_through_monai_and_the_rest_does_not():
    sheared = np.eye(4)
    sheared[0, 1] = 0.4
    plan = build_plan(spatial_dims=3, **PreprocessSection().pipeline)
    fused, monai = run_both(plan, make_image(0, (12, 12, 12), np.int16), sheared)
    np.testing.assert_array_equal(fused.array, monai.array)


def test_the_test_sees_a_thousandth_of_a_voxel(monkeypatch):
    from medvision.preprocess.fused import sample

    original = sample.build_taps
    monkeypatch.setattr(
        sample, "build_taps", lambda line, n: original(np.clip(line + 1e-3, 0, n - 1), n)
    )
    plan = build_plan(spatial_dims=3, **PreprocessSection(spacing_mm=(2.0, 2.0, 2.0)).pipeline)
    fused, monai = run_both(plan, make_image(0, (12, 12, 12), np.int16), np.eye(4))
    assert np.abs(fused.array - monai.array).max() > LARGEST_DIFFERENCE


class CountedPlanes(ArrayPlanes):
    """An image that counts how often it is read."""

    n_reads = 0

    def read(self):
        type(self).n_reads += 1
        yield from super().read()


@pytest.mark.parametrize(("most_bytes", "n_reads"), [(1 << 26, 1), (0, 2), (3000, 2)])
def test_a_source_too_large_to_hold_is_read_twice_to_the_same_bytes(
    monkeypatch, most_bytes, n_reads
):
    section = PreprocessSection(
        crop_foreground=True, foreground_units="source", foreground_above=-900.0, size=(9, 9, 9)
    )
    plan = build_plan(spatial_dims=3, **section.pipeline)
    grid = make_image(4, (1, 12, 11, 10), np.int16)
    grid[..., 7:] = -1000
    expected = build_executor(plan)(grid, np.eye(4))
    monkeypatch.setattr("medvision.preprocess.fused.run._MOST_HELD_BYTES", most_bytes)
    monkeypatch.setattr(CountedPlanes, "n_reads", 0)
    found = build_executor(plan).run(CountedPlanes(grid, np.eye(4)))
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_array_equal(found.affine, expected.affine)
    assert CountedPlanes.n_reads == n_reads


def test_source_crop_comes_before_the_resampling():
    section = PreprocessSection(crop_foreground=True, foreground_units="source")
    names = [step.name for step in build_plan(spatial_dims=3, **section.pipeline).steps]
    assert names.index("CropForeground") < names.index("Spacing")


@pytest.mark.parametrize(("low", "padding"), [(-1000.0, 0.0), (0.0, 0.0), (-2000.0, 0.4)])
def test_padding_of_a_window_is_air_at_minus_1000_hu(low, padding):
    plan = build_plan(spatial_dims=3, **PreprocessSection(window=(low, 500.0)).pipeline)
    assert plan.steps[-1].parameters["padding"] == pytest.approx(padding)


def test_prefix_digests_are_shared_as_far_as_the_steps_are_equal():
    one = build_plan(spatial_dims=3, **PreprocessSection().pipeline)
    other = build_plan(spatial_dims=3, **PreprocessSection(size=(8, 8, 8)).pipeline)
    assert one.prefix_digests[:-1] == other.prefix_digests[:-1]
    assert one.digest != other.digest
    flat = build_plan(spatial_dims=2, **PreprocessSection().pipeline)
    assert not set(flat.prefix_digests) & set(one.prefix_digests)


def test_the_fused_pass_imports_neither_torch_nor_monai():
    code = """
import sys
import numpy as np
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
plan = build_plan(
    spatial_dims=3, orientation="RAS", spacing_mm=(2.0, 2.0, 2.0), intensity="zscore",
    window="lung", percentiles=(1.0, 99.0), normalise_within="image", crop_foreground=True,
    foreground_above=0.0, foreground_units="source", sizing="pad", size=(8, 8, 8),
)
noise = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
build_executor(plan)(noise, np.eye(4))
heavy = {"torch", "monai", "scipy", "nibabel"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
