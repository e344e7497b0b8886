"""How a generator is trained; the configuration's values, under the same names."""

from dataclasses import dataclass

from medvision.synthesis.augment import Change


@dataclass(frozen=True)
class GanSettings:
    """Settings of one training.

    Args:
        steps: Steps of both networks.
        batch_size: Real images a step, and as many drawn ones.
        width: Channels on the image's own grid, a multiple of 8.
        latent: Length of the normal vector that an image is drawn from.
        generator_rate: Learning rate of the generator, in units of each layer's first weights.
        discriminator_rate: Of the discriminator, likewise.
        r1_weight: Weight of the penalty on gradients.
        r1_interval: Steps from one penalty to the next.
        ema: Share of the old average in the new one.
        changes: Kinds of change that both kinds of images undergo.
        checkpoint_steps: Steps from one kept state to the next, and rows of the history.
        grid_steps: Steps from one picture of samples to the next.
    """

    steps: int
    batch_size: int
    width: int
    latent: int
    generator_rate: float
    discriminator_rate: float
    r1_weight: float
    r1_interval: int
    ema: float
    changes: tuple[Change, ...]
    checkpoint_steps: int
    grid_steps: int
