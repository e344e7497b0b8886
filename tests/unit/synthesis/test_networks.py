"""Claims on the two networks: grids of any size, classes that matter, batches that do not."""

import numpy as np
import pytest
import torch

from medvision.synthesis.grids import plan_grids
from medvision.synthesis.networks import Discriminator, Generator, list_widths, show_spread

SIZES = [(28, 28), (9, 17), (16, 13, 5), (8, 1, 12)]


def build(size, *, channels=1):
    torch.manual_seed(0)
    grids = plan_grids(size)
    generator = Generator(grids, channels=channels, n_classes=3, latent=8, width=8)
    return generator, Discriminator(grids, channels=channels, n_classes=3, width=8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_the_studys_own_grid_and_one_logit_each(size, channels):
    generator, discriminator = build(size, channels=channels)
    labels = torch.tensor([0, 1, 2, 1])
    images = generator(torch.randn(4, 8), labels)
    assert images.shape == (4, channels, *size)
    assert discriminator(images, labels).shape == (4,)


def test_class_and_vector_both_change_the_image():
    generator, _ = build((16, 16))
    latents = torch.randn(2, 8)
    first, other = generator(latents, torch.tensor([0, 0]))
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, generator(latents[:1], torch.tensor([1]))[0])


def test_an_image_does_not_depend_on_what_is_drawn_beside_it():
    generator, _ = build((16, 16))
    latents, labels = torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])
    together = generator(latents, labels)
    alone = torch.cat([generator(latents[n : n + 1], labels[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone)


def test_a_class_changes_what_the_discriminator_says():
    _, discriminator = build((16, 16))
    images = torch.randn(4, 1, 16, 16)
    said = [discriminator(images, torch.full((4,), label)) for label in range(3)]
    assert not torch.allclose(said[0], said[1])


def test_the_spread_of_a_batch_is_shown_and_of_copies_is_next_to_nothing():
    seen = torch.randn(6, 4, 3, 3)
    shown = show_spread(seen)
    assert shown.shape == (6, 5, 3, 3)
    assert float(shown[0, 4, 0, 0]) == pytest.approx(np.std(seen.numpy(), axis=0).mean(), rel=1e-5)
    assert float(show_spread(seen[:1].repeat(6, 1, 1, 1))[:, 4].max()) < 1e-3


def test_channels_double_with_every_halving_up_to_eightfold():
    assert list_widths(plan_grids((128, 128)), 8) == [8, 16, 32, 64, 64, 64]
