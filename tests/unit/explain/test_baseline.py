"""Claims about what stands for absence."""

import numpy as np
import pytest
import torch

from medvision.explain.baseline import build_baseline


def test_a_number_is_that_intensity_everywhere() -> None:
    baseline = build_baseline(torch.rand(1, 1, 4, 5), baseline=0.25, blur_voxels=(1, 1, 1))
    assert torch.equal(baseline, torch.full((1, 1, 4, 5), 0.25))


@pytest.mark.parametrize("shape", [(1, 2, 33, 33), (1, 2, 33, 33, 15)])
def test_blur_loses_a_spot_and_keeps_what_is_flat(shape: tuple[int, ...]) -> None:
    image = torch.full(shape, 0.5)
    spot = (0, 1, 16, 16, 7)[: len(shape)]
    image[spot] = 1.0
    baseline = build_baseline(image, baseline="blur", blur_voxels=(3.0, 3.0, 1.5))
    assert baseline.shape == image.shape
    assert baseline.dtype == image.dtype
    assert torch.allclose(baseline[0, 0], image[0, 0])
    assert float(baseline[spot]) < 0.51
    assert float(baseline[0, 1].sum()) == pytest.approx(float(image[0, 1].sum()), rel=1e-4)


def test_blur_has_the_width_asked_for_along_each_axis() -> None:
    image = torch.zeros(1, 1, 41, 41, 41)
    image[0, 0, 20, 20, 20] = 1
    spread = build_baseline(image, baseline="blur", blur_voxels=(2.0, 3.0, 1.0))[0, 0].numpy()
    offsets = np.arange(41) - 20
    for axis, sd in enumerate((2.0, 3.0, 1.0)):
        profile = spread.sum(axis=tuple({0, 1, 2} - {axis}))
        assert np.sqrt((profile * offsets**2).sum()) == pytest.approx(sd, rel=0.02)
