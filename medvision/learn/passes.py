"""How a step's images are divided: among passes in turn, and among processes side by side."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medvision.runtime.team import Team


@dataclass(frozen=True)
class Pass:
    """What one process passes through its network at once.

    Args:
        rows: Positions in the step's images.
        is_idle: Whether there are fewer images than processes: the image then counts for nothing,
            and is passed all the same since the processes wait for each other in every BatchNorm.
    """

    rows: slice
    is_idle: bool

    def __len__(self) -> int:
        return int(self.rows.stop - self.rows.start)


def plan_passes(n_images: int, n_passes: int, team: Team) -> tuple[Pass, ...]:
    """Divide a step's images among passes, and each pass among the processes.

    So a pass has the same images however many processes there are.

    Args:
        n_images: Images of the step.
        n_passes: Passes that they are divided among, at most.
        team: The processes.

    Returns:
        This process's part of each pass.
    """
    return tuple(_share_pass(part, team) for part in _divide(n_images, n_passes))


def list_rows(passes: Sequence[Pass]) -> tuple[int, ...]:
    """Return the positions of all images of some passes, pass after pass."""
    return tuple(row for each in passes for row in range(each.rows.start, each.rows.stop))


def _share_pass(part: slice, team: Team) -> Pass:
    """Return this process's part of a pass; one image of it where there is none left."""
    own = team.divide(part.stop - part.start)
    if len(own):
        return Pass(slice(part.start + own.start, part.start + own.stop), is_idle=False)
    return Pass(slice(part.start, part.start + 1), is_idle=True)


def _divide(n_images: int, n_passes: int) -> Iterator[slice]:
    """Yield the images of each pass; a last one alone joins those before it, for BatchNorm."""
    size = max(2, math.ceil(n_images / n_passes))
    starts = list(range(0, n_images, size))
    if len(starts) > 1 and n_images - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], n_images], strict=True):
        yield slice(start, end)
