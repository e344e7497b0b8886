"""Drawing images from a trained generator, each from a seed of its own."""

import numpy as np
import torch
from numpy.typing import NDArray

from medvision.synthesis.images import Scale
from medvision.synthesis.networks import Generator

Image = NDArray[np.float32]
"""(C, I, J[, K]) float32, in the study's preprocessed intensities."""


@torch.no_grad()
def draw_image(generator: Generator, scale: Scale, *, label: int, seed: int) -> Image:
    """Draw one image.

    It is drawn by itself, so that it can be drawn again alone, whatever was drawn beside it.

    Args:
        generator: Draws it.
        scale: Its intensities.
        label: Class index.
        seed: Of its latent vector; same seed, same bits on the same machine.
    """
    weight = generator.embedding.weight
    source = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, weight.shape[1], generator=source).to(weight)
    drawn = scale.restore(generator(latents, torch.tensor([label], device=weight.device)))
    image: Image = drawn[0].cpu().numpy()
    return image
