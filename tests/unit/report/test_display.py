"""Claims on the display: the right plane, the right side, the right shape."""

import itertools

import numpy as np
import pytest

from medvision.report.display import (
    apply_window,
    choose_plane,
    choose_window,
    cut_slices,
    shrink_slices,
)

SHAPE = (5, 7, 4)


def list_orientations() -> list[np.ndarray]:
    """All 48 affines whose axes run along the world's, the third axis the coarsest."""
    result = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            affine = np.zeros((4, 4))
            affine[3, 3] = 1
            for voxel, (world, sign) in enumerate(zip(order, signs, strict=True)):
                affine[world, voxel] = sign * (2.0, 2.0, 5.0)[voxel]
            result.append(affine)
    return result


@pytest.mark.parametrize("affine", list_orientations(), ids=lambda a: str(a[:3, :3].astype(int)))
def test_screen_runs_to_the_left_and_posterior_whatever_the_file_says(affine: np.ndarray) -> None:
    i, j, k = np.indices(SHAPE)
    world = [sum(affine[w, v] * (i, j, k)[v] for v in range(3)) for w in range(3)]
    plane = choose_plane(affine, SHAPE, has_geometry=True)
    x, y, z = (cut_slices(grid.astype(np.float32), plane) for grid in world)
    across, along = {
        "Axial": (x, y),
        "Coronal": (x, z),
        "Sagittal": (y, z),
    }[plane.name]
    # RAS+: left, posterior and inferior are where world coordinates fall.
    assert (np.diff(across, axis=2) < 0).all()
    assert (np.diff(along, axis=1) < 0).all()
    assert plane.spacing_mm == (5.0, 2.0, 2.0)


def test_axial_slices_rise_and_carry_their_letters() -> None:
    plane = choose_plane(np.diag([1.0, 1.0, 4.0, 1.0]), SHAPE, has_geometry=True)
    assert plane.name == "Axial"
    assert plane.edges == ("R", "L", "A", "P")


def test_isotropic_volumes_are_cut_axially() -> None:
    affine = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    assert choose_plane(affine, SHAPE, has_geometry=True).axes[0] == 1


def test_a_flat_image_is_shown_as_it_is_stored_without_letters() -> None:
    affine = np.diag([-0.2, -0.2, 1.0, 1.0])
    plane = choose_plane(affine, (6, 8, 1), has_geometry=False)
    grid = np.arange(48, dtype=np.float32).reshape(6, 8, 1)
    assert plane.edges == ("", "", "", "")
    assert plane.name == "Image"
    np.testing.assert_array_equal(cut_slices(grid, plane)[0], grid[:, :, 0].T)


def test_shrinking_keeps_means_and_sign() -> None:
    slices = np.array([[[1, 3, -5], [1, 3, -5], [2, 2, 0]]], dtype=np.float32)
    np.testing.assert_allclose(shrink_slices(slices, 2), [[[2, -5], [2, 0]]])
    assert shrink_slices(slices, 1) is slices


def test_windowing_is_linear_and_survives_nan() -> None:
    slices = np.array([[[-2000, -1000, -400, 200, 900, np.nan]]], dtype=np.float32)
    assert apply_window(slices, (-1000, 200)).ravel().tolist() == [0, 0, 128, 255, 255, 0]


def test_a_constant_image_has_a_window() -> None:
    low, high = choose_window(np.full((1, 4, 4), 7, dtype=np.float32), None)
    assert high > low
