"""One step of both networks: the discriminator first, then the generator, then its average."""

import math

import torch
from torch import Tensor, nn

from medvision.errors import TrainingError
from medvision.synthesis.augment import Changes, apply_changes, draw_changes
from medvision.synthesis.course import Course
from medvision.synthesis.images import RealImages, Scale, draw_positions
from medvision.synthesis.losses import (
    compute_discriminator_loss,
    compute_generator_loss,
    compute_r1,
)
from medvision.synthesis.settings import GanSettings

LARGEST_LOSS = 1000.0
"""In nats. Losses of a training that holds are a few nats; beyond, one network has run away."""


def take_step(course: Course, real: RealImages, *, scale: Scale, settings: GanSettings) -> None:
    """Move both networks by one batch.

    Drawn images are of the classes of the real ones beside them.

    Args:
        course: The training; it changes.
        real: What is learnt from.
        scale: Its intensities.
        settings: How to train.

    Raises:
        TrainingError: A loss is not finite, or has run away.
    """
    positions = draw_positions(real.labels, settings.batch_size, generator=course.source)
    images = scale.standardise(real.load(positions).to(course.device))
    labels = torch.from_numpy(real.labels[positions]).to(course.device)
    names = [real.names[position] for position in positions]
    _move_discriminator(course, images, labels=labels, settings=settings, names=names)
    _move_generator(course, labels, size=images.shape[2:], settings=settings, names=names)
    course.n_steps += 1
    _average(course, settings.ema)


def _move_discriminator(
    course: Course, images: Tensor, *, labels: Tensor, settings: GanSettings, names: list[str]
) -> None:
    """Teach the discriminator to tell real from drawn; every so often, to be smooth at the real."""
    n_images, size = len(images), images.shape[2:]
    with torch.no_grad():
        drawn = course.generator(_draw_latents(course, n_images, settings.latent), labels)
    of_real = draw_changes(n_images, size, generator=course.source)
    of_drawn = draw_changes(n_images, size, generator=course.source)

    def judge(batch: Tensor, changes: Changes) -> Tensor:
        changed = apply_changes(batch, changes, wanted=settings.changes)
        logits: Tensor = course.discriminator(changed, labels)
        return logits

    real_logits, drawn_logits = judge(images, of_real), judge(drawn, of_drawn)
    loss = compute_discriminator_loss(real_logits, drawn_logits)
    _note(course, "discriminator_loss", loss, names=names)
    course.add("real_logit", float(real_logits.detach().mean()))
    course.add("drawn_logit", float(drawn_logits.detach().mean()))
    if course.n_steps % settings.r1_interval == 0:
        penalty = compute_r1(lambda batch: judge(batch, of_real), images)
        _note(course, "r1", penalty, names=names)
        # As often fewer as it is heavier: Karras 2020 (arXiv:1912.04958), section 3.1.
        loss = loss + settings.r1_weight / 2 * settings.r1_interval * penalty
    _move(course.discriminator, course.optimizers[1], loss)


def _move_generator(
    course: Course, labels: Tensor, *, size: torch.Size, settings: GanSettings, names: list[str]
) -> None:
    """Teach the generator to draw what is taken for real."""
    latents = _draw_latents(course, len(labels), settings.latent)
    changes = draw_changes(len(labels), size, generator=course.source)
    drawn = apply_changes(course.generator(latents, labels), changes, wanted=settings.changes)
    loss = compute_generator_loss(course.discriminator(drawn, labels))
    _note(course, "generator_loss", loss, names=names)
    _move(course.generator, course.optimizers[0], loss)


def _draw_latents(course: Course, n_images: int, length: int) -> Tensor:
    """Draw normal vectors on the CPU, so that every device sees the same."""
    return torch.randn(n_images, length, generator=course.source).to(course.device)


def _move(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step of one network, whatever gradients the other's step left in it."""
    optimizer.zero_grad(set_to_none=True)
    held = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter, gradient in zip(held, torch.autograd.grad(loss, held), strict=True):
        parameter.grad = gradient
    optimizer.step()


@torch.no_grad()
def _average(course: Course, decay: float) -> None:
    """Take the generator's weights into their average; the first steps are forgotten sooner.

    Source:
        Yazıcı 2019, arXiv:1806.04498; the smaller decay of the first steps as of
        tf.train.ExponentialMovingAverage.
    """
    share = 1 - min(decay, (1 + course.n_steps) / (10 + course.n_steps))
    own = [parameter.detach() for parameter in course.generator.parameters()]
    torch._foreach_lerp_(list(course.average.parameters()), own, share)


def _note(course: Course, name: str, value: Tensor, *, names: list[str]) -> None:
    """Take a figure into the history, or stop before any weight has moved by it."""
    number = float(value.detach())
    is_loss = name.endswith("loss")
    if math.isfinite(number) and not (is_loss and number > LARGEST_LOSS):
        course.add(name, number)
        return
    rule = f"finite and at most {LARGEST_LOSS:g}" if is_loss else "finite"
    subjects = sorted({image.partition("_")[0] for image in names})
    raise TrainingError(
        f"synthesise: {name.replace('_', ' ')} must be {rule}, got {number:g} in step "
        f"{course.n_steps + 1}, with the subjects {', '.join(subjects)}.",
        "the training has diverged: lower synthesise.generator_rate and "
        "synthesise.discriminator_rate, or raise synthesise.r1_weight.",
    )
