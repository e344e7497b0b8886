"""Learning rates by name: pure functions of the step, so that nothing of them is to be kept."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

ScheduleName = Literal["one_cycle", "cosine", "constant", "plateau"]

_WARM_UP = 0.3
_START_DIVISOR = 25.0
_END_DIVISOR = 1e4


@dataclass(frozen=True)
class Schedule:
    """A schedule and its settings.

    Args:
        name: one_cycle, cosine, constant or plateau.
        peak: Largest learning rate.
        epochs: Epochs of the whole training.
        warm_up_epochs: Epochs of linear warm-up before cosine, constant and plateau.
        plateau_epochs: Epochs without improvement after which plateau lowers the rate.
        plateau_factor: What plateau multiplies the rate by, in (0, 1).
    """

    name: ScheduleName
    peak: float
    epochs: int
    warm_up_epochs: float = 0.0
    plateau_epochs: int = 3
    plateau_factor: float = 0.1

    def compute_rate(
        self, step: int, *, n_batches: int, figures: Sequence[Sequence[float]]
    ) -> float:
        """Return the learning rate of a step.

        Args:
            step: Steps done since the training began, in [0, epochs * n_batches).
            n_batches: Steps of an epoch.
            figures: What each epoch done was judged by, larger is better, first entry first.
        """
        n_steps = self.epochs * n_batches
        if self.name == "one_cycle":
            return compute_one_cycle(step, n_steps=n_steps, peak=self.peak)
        # At least one step is left for what comes after the warm-up.
        n_warm = min(round(self.warm_up_epochs * n_batches), n_steps - 1)
        if step < n_warm:
            return self.peak * (step + 1) / (n_warm + 1)
        rates: dict[str, Callable[[], float]] = {
            "constant": lambda: self.peak,
            "cosine": lambda: compute_cosine(step - n_warm, n_steps=n_steps - n_warm) * self.peak,
            "plateau": lambda: self.peak * self.plateau_factor ** self._count_reductions(figures),
        }
        return rates[self.name]()

    def _count_reductions(self, figures: Sequence[Sequence[float]]) -> int:
        """Return how often the figures stood still for longer than `plateau_epochs`."""
        best: Sequence[float] | None = None
        n_bad = n_reductions = 0
        for figure in figures:
            if best is None or list(figure) > list(best):
                best, n_bad = figure, 0
                continue
            n_bad += 1
            if n_bad > self.plateau_epochs:
                n_reductions, n_bad = n_reductions + 1, 0
        return n_reductions


def compute_one_cycle(step: int, *, n_steps: int, peak: float) -> float:
    """Return the one-cycle learning rate: up over the first 30 % of the steps, then down.

    Both parts follow a cosine, from peak / 25 and to peak / 250 000.

    Args:
        step: Steps done, in [0, n_steps).
        n_steps: Steps of the whole training.
        peak: Largest learning rate.

    Source:
        Smith and Topin 2019, arXiv:1708.07120; shape as torch.optim.lr_scheduler.OneCycleLR.
    """
    start = peak / _START_DIVISOR
    top = max(_WARM_UP * n_steps - 1, 0.0)
    if step <= top:
        return _ease(start, peak, share=step / top if top else 1.0)
    return _ease(peak, start / _END_DIVISOR, share=(step - top) / (n_steps - 1 - top))


def compute_cosine(step: int, *, n_steps: int) -> float:
    """Return the share of the peak along half a cosine: 1 at the first step, 0 after the last.

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
    """
    return _ease(1.0, 0.0, share=step / n_steps)


def _ease(begin: float, end: float, *, share: float) -> float:
    """Go from begin to end along half a cosine."""
    return end + (begin - end) / 2.0 * (math.cos(math.pi * share) + 1)
