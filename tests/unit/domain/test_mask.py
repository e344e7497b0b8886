"""Masks are brought onto the image's own grid, or refused with the reason."""

import numpy as np
import pytest

from medvision.domain.mask import align_mask
from medvision.errors import GeometryError

AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])
SHAPE = (6, 5, 4)


def align(mask: np.ndarray, affine: np.ndarray, geometry: str = "full") -> tuple[np.ndarray, str]:
    return align_mask(
        mask.astype(np.float32),
        affine,
        to_affine=AFFINE,
        to_shape=SHAPE,
        geometry=geometry,
        where="img-1",
    )


def draw_mask() -> np.ndarray:
    return (np.random.default_rng(1).random(SHAPE) > 0.7).astype(np.float32)


def test_a_mask_on_the_own_grid_is_only_made_binary() -> None:
    mask = draw_mask() * 7
    aligned, how = align(mask, AFFINE)
    assert how == "own-grid"
    np.testing.assert_array_equal(aligned, mask > 0)


def test_a_mask_of_a_flipped_grid_lands_on_the_same_place() -> None:
    """Other converters store rows the other way round; the world is the same."""
    mask = draw_mask()
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, SHAPE[1] - 1
    aligned, how = align(mask[:, ::-1], AFFINE @ flip)
    assert how == "resampled"
    np.testing.assert_array_equal(aligned, mask)


@pytest.mark.parametrize(
    ("mask", "affine", "geometry", "message"),
    [
        (np.zeros(SHAPE), AFFINE, "full", "must hold a voxel"),
        (np.ones(SHAPE), AFFINE + np.eye(4, k=3) * 1e4, "full", "must overlap its image"),
        (np.ones((6, 5, 3)), AFFINE, "none", "must have the image's shape"),
    ],
)
def test_a_mask_that_fits_nowhere_is_refused(
    mask: np.ndarray, affine: np.ndarray, geometry: str, message: str
) -> None:
    with pytest.raises(GeometryError, match=message):
        align(mask, affine, geometry)
