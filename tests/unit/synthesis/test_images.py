"""Claims on the real images: their scale, what is refused, and how often classes are shown."""

import numpy as np
import pytest
import torch
from gans import make_real

from medvision.errors import TrainingError
from medvision.synthesis.images import Scale, draw_positions, measure_scale


def test_the_scale_is_that_of_all_images_per_channel():
    images = np.random.default_rng(0).normal(3, 2, (70, 2, 9, 8)).astype(np.float32)
    images[:, 1] *= 10
    real = make_real(
        shape=(2, 9, 8), n_images=70, load=lambda positions: torch.from_numpy(images[positions])
    )
    scale = measure_scale(real)
    for name, reduce in (("mean", np.mean), ("sd", np.std), ("low", np.min), ("high", np.max)):
        expected = reduce(images.astype(np.float64), axis=(0, 2, 3))
        np.testing.assert_allclose(getattr(scale, name), expected, rtol=1e-5)
    standard = scale.standardise(torch.from_numpy(images))
    assert float(standard.mean()) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(scale.restore(standard), torch.from_numpy(images))


def test_nothing_is_drawn_beyond_the_train_images_values():
    scale = Scale(*(torch.tensor([value]) for value in (0.0, 2.0, -1.0, 3.0)))
    restored = scale.restore(torch.tensor([[[[-9.0, 0.5, 9.0]]]]))
    assert restored.flatten().tolist() == [-1.0, 1.0, 3.0]


def test_an_image_with_values_that_are_none_is_named():
    images = torch.zeros(12, 1, 9, 8)
    images[5, 0, 2, 2] = torch.nan
    real = make_real(load=lambda positions: images[positions])
    with pytest.raises(TrainingError, match="finite, got others in sub-5_img-5"):
        measure_scale(real)


def test_images_of_one_value_everywhere_are_refused():
    real = make_real(load=lambda positions: torch.ones(len(positions), 1, 9, 8))
    with pytest.raises(TrainingError, match="must differ in intensity"):
        measure_scale(real)


def test_classes_are_shown_equally_often_however_rare():
    labels = np.array([0] * 95 + [2] * 5)
    drawn = draw_positions(labels, 4000, generator=torch.Generator().manual_seed(0))
    assert np.mean(labels[drawn] == 2) == pytest.approx(0.5, abs=0.03)
    assert set(drawn) == set(range(100))
