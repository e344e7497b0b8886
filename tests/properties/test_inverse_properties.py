"""A map goes back from the array's grid to the source's, whatever the source's grid was."""

import numpy as np
from geometry_oracles import list_world_points, resample_with_simpleitk
from geometry_strategies import affines
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.config.preprocess import PreprocessSection
from medvision.domain.volume import resample_grid
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
    return build_executor(plan)(grid, affine)


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
    array = volume.array[0]
    inside = find_inside(volume.affine, array.shape, source=affine, shape=shape)
    to_source = {"to_affine": affine, "to_shape": shape, "nearest": False, "fill": 0.0}
    back = resample_grid(array, volume.affine, **to_source)
    held = resample_grid(inside.astype(np.float32), volume.affine, **to_source) > 0.999
    half_voxel = 0.5 * np.abs(SLOPE @ volume.affine[:3, :3]).sum()
    assert np.abs(back - ramp)[held].max(initial=0.0) <= half_voxel + 2e-3


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
