"""A map goes back from the array's grid to the source's, whatever the source's grid was."""

import contextlib

import numpy as np
import pytest
from geometry_oracles import list_world_points, resample_with_simpleitk
from geometry_strategies import affines
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plugin_files import write_plugin

from medvision.config.preprocess import PreprocessSection
from medvision.domain.volume import resample_grid
from medvision.preprocess.early import plan_early, prepend_steps
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan

SLOPE = np.array([0.3, -0.2, 0.5])
anisotropic = st.permutations([0.5, 1.0, 10.0])
shears = st.sampled_from([0.0, 0.0, 0.2])
shapes = st.tuples(st.integers(4, 16), st.integers(4, 16), st.integers(1, 10))


def make_ramp(affine, shape):
    return (list_world_points(affine, shape) @ SLOPE).astype(np.float32)


def find_inside(affine, array_shape, *, source, shape, margin=-1e-3):
    """Return which voxels lie between the source's outermost centres, `margin` voxels within."""
    index = np.linalg.solve(source, affine)
    points = np.moveaxis(np.indices(array_shape), 0, -1) @ index[:3, :3].T + index[:3, 3]
    return ((points > margin) & (points < np.array(shape) - 1 - margin)).all(axis=-1)


def run(grid, affine, *, spatial_dims, **changes):
    section = PreprocessSection(intensity="none", **changes)
    plan = build_plan(spatial_dims=spatial_dims, **section.pipeline)
    plan = prepend_steps(plan, plan_early(spatial_dims=spatial_dims, **section.early))
    return build_executor(plan)(grid, affine)


def check_way_back(ramp, affine, volume, *, kept=None, spacing_mm=None, is_twice=False):
    """Hold a map on the array's grid, brought back, to the ramp that it was made of.

    `kept` is affine and shape of the part of the ramp that was not cropped. The bound is half a
    voxel of the array's grid, or of the resampled one, where that is coarser; of both together,
    where the image was resampled twice and so lost its edge twice.
    """
    array = volume.array[0]
    source, shape = kept or (affine, ramp.shape)
    inside = find_inside(volume.affine, array.shape, source=source, shape=shape)
    to_source = {"to_affine": affine, "to_shape": ramp.shape, "nearest": False, "fill": 0.0}
    back = resample_grid(array, volume.affine, **to_source)
    held = resample_grid(inside.astype(np.float32), volume.affine, **to_source) > 0.999
    axes = volume.affine[:3, :3]
    coarser = axes / np.linalg.norm(axes, axis=0) * (spacing_mm or (0, 0, 0))
    halves = [0.5 * np.abs(SLOPE @ grid).sum() for grid in (axes, coarser)]
    half_voxel = sum(halves) if is_twice else max(halves)
    assert np.abs(back - ramp)[held].max(initial=0.0) <= half_voxel + 2e-3


@settings(max_examples=60, deadline=None)
@given(
    affine=affines(spacing_mm=anisotropic),
    shear=shears,
    shape=shapes,
    spacing_mm=st.none() | st.sampled_from([(1.0, 1.0, 1.0), (2.0, 2.0, 8.0)]),
    spatial_dims=st.sampled_from([2, 3]),
)
def test_a_map_comes_back_to_where_it_was(affine, shear, shape, spacing_mm, spatial_dims):
    affine = affine @ (np.eye(4) + shear * np.outer(np.eye(4)[0], np.eye(4)[1]))
    shape = (*shape[:2], 1) if spatial_dims == 2 else shape
    ramp = make_ramp(affine, shape)
    changes = {"spacing_mm": spacing_mm, "size": (24, 24, 24)}
    volume = run(ramp, affine, spatial_dims=spatial_dims, **changes)
    check_way_back(ramp, affine, volume)


@settings(max_examples=40, deadline=None)
@given(
    affine=affines(spacing_mm=anisotropic),
    shear=shears,
    shape=st.tuples(*[st.integers(6, 14)] * 3),
    spacing_mm=st.none() | st.just((2.0, 2.0, 8.0)),
    crop=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 3),
    sizing=st.sampled_from(["pad", "resize"]),
)
def test_a_map_comes_back_through_a_plug_in_that_crops(  # noqa: PLR0917 - drawn, by name
    affine, shear, shape, spacing_mm, crop, sizing, tmp_path_factory
):
    affine = affine @ (np.eye(4) + shear * np.outer(np.eye(4)[0], np.eye(4)[1]))
    box = tuple(slice(a, n - b) for n, (a, b) in zip(shape, crop, strict=True))
    source = f"""
        def cut(array, affine):
            moved = affine.copy()
            moved[:3, 3] += affine[:3, :3] @ {[part.start for part in box]}
            return array[{", ".join(f"{part.start}:{part.stop}" for part in box)}], moved
        """
    folder = tmp_path_factory.mktemp("plug-in")
    ramp = make_ramp(affine, shape)
    with contextlib.chdir(folder):
        functions = (f"{write_plugin(folder, source)}:cut",)
        changes = {"spacing_mm": spacing_mm, "size": (20, 20, 20), "sizing": sizing}
        volume = run(ramp, affine, spatial_dims=3, plugins=functions, **changes)
    cropped = affine.copy()
    cropped[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    kept = (cropped, ramp[box].shape)
    is_twice = sizing == "resize" and spacing_mm is not None
    check_way_back(ramp, affine, volume, kept=kept, spacing_mm=spacing_mm, is_twice=is_twice)


def test_a_plug_in_that_forgets_the_affine_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = write_plugin(tmp_path, "def cut(array, affine):\n    return array[3:], affine\n")
    affine, shape = np.eye(4), (12, 10, 8)
    changes = {"spacing_mm": None, "size": shape, "plugins": (f"{name}:cut",)}
    volume = run(make_ramp(affine, shape), affine, spatial_dims=3, **changes)
    with pytest.raises(AssertionError):
        check_way_back(make_ramp(affine, shape), affine, volume)


LEANING = np.eye(4)
LEANING[:3, :3] = [[-0.8776, 0, -0.2397], [0, -10, 0], [0.4794, 0, -0.4388]]
"""1 × 10 × 0.5 mm, turned: four planes become two, and then four again."""


@settings(max_examples=60, deadline=None)
@example(LEANING, 0.0, (4, 4, 4), (4, 4, 4), (1.0, 1.0, 1.0), 3)
@given(
    affine=affines(spacing_mm=anisotropic),
    shear=shears,
    shape=st.tuples(st.integers(4, 16), st.integers(4, 16), st.integers(4, 10)),
    size=st.tuples(*[st.integers(4, 24)] * 3),
    spacing_mm=st.none() | st.sampled_from([(1.0, 1.0, 1.0), (2.0, 2.0, 8.0)]),
    spatial_dims=st.sampled_from([2, 3]),
)
def test_a_map_comes_back_from_a_resized_field_of_view(  # noqa: PLR0917 - drawn, by name
    affine, shear, shape, size, spacing_mm, spatial_dims
):
    affine = affine @ (np.eye(4) + shear * np.outer(np.eye(4)[0], np.eye(4)[1]))
    shape = (*shape[:2], 1) if spatial_dims == 2 else shape
    ramp = make_ramp(affine, shape)
    changes = {"spacing_mm": spacing_mm, "size": size, "sizing": "resize"}
    volume = run(ramp, affine, spatial_dims=spatial_dims, **changes)
    is_twice = spacing_mm is not None and spatial_dims == 3
    check_way_back(ramp, affine, volume, spacing_mm=spacing_mm, is_twice=is_twice)
    if is_twice:
        return
    # The field of view is kept: corners of the outermost voxels lie where they lay.
    reached = np.array(volume.array.shape[1:])
    for corner in (np.full(3, -0.5), reached - 0.5):
        index = np.linalg.solve(affine, volume.affine @ [*corner, 1])[:3]
        assert (np.minimum(np.abs(index + 0.5), np.abs(index - shape + 0.5)) < 1e-6).all()


@settings(max_examples=25, deadline=None)
@given(affine=affines(), seed=st.integers(0, 99))
def test_resampling_is_simpleitks_trilinear_inside_the_source(affine, seed):
    shape = (11, 9, 8)
    grid = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    changes = {"spacing_mm": (1.5, 2.0, 2.5), "size": (20, 20, 20)}
    volume = run(grid, affine, spatial_dims=3, **changes)
    array = volume.array[0]
    # ITK's grid and ours part beyond the outermost centres.
    inside = find_inside(volume.affine, array.shape, source=affine, shape=shape, margin=1e-6)
    assert inside.any()
    expected = resample_with_simpleitk(
        grid, affine, to_affine=volume.affine, to_shape=array.shape, nearest=False, fill=0.0
    )
    assert np.abs(array - expected)[inside].max(initial=0.0) <= 1e-4
