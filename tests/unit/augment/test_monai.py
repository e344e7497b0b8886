"""Random changes mean what MONAI's transforms of the same name do, image by image."""

import math

import pytest
import torch
from monai.transforms import Affine, Flip, ScaleIntensity

from medvision.augment.batch import apply_parameters, draw_parameters

SETTINGS = {
    "flip_axes": (0, 1),
    "shift_voxels": 0,
    "rotate_degrees": 25.0,
    "zoom": 0.15,
    "noise_sd": 0.0,
    "gain": 0.2,
}


@pytest.mark.parametrize("shape", [(8, 2, 24, 18), (8, 1, 24, 18, 9)], ids=["2d", "3d"])
def test_flip_turn_zoom_and_gain_are_monais(shape):
    generator = torch.Generator().manual_seed(5)
    batch = torch.rand(shape, generator=generator) + 1
    drawn = draw_parameters(generator, n_images=8, spatial_dims=len(shape) - 2, **SETTINGS)
    assert len(set(drawn.flips)) > 1
    found = apply_parameters(batch, drawn)
    for row, image in enumerate(batch):
        torch.testing.assert_close(found[row], by_monai(image, drawn, row=row), atol=1e-5, rtol=0)


def by_monai(image, drawn, *, row):
    if drawn.flips[row]:
        image = Flip(drawn.flips[row])(image)
    n_axes = image.ndim - 1
    # MONAI turns from the second axis towards the first, and its scale is of the grid.
    angle = -math.radians(drawn.turns_deg[row])
    turn = Affine(
        rotate_params=[angle] if n_axes == 2 else [0, 0, angle],
        scale_params=[1 / drawn.zooms[row]] * n_axes,
        padding_mode="zeros",
        align_corners=False,
        image_only=True,
    )
    low = image.min()
    gain = ScaleIntensity(minv=None, maxv=None, factor=drawn.gains[row] - 1)
    return gain(turn(image - low) + low).as_tensor()
