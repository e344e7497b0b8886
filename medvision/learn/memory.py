"""What to do when the memory is full, instead of torch's own words for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medvision.errors import TrainingError

_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
"""What torch's allocators say, in lower case."""


@contextmanager
def name_memory_faults(*, section: str, batch_size: int, accumulation: int) -> Iterator[None]:
    """Turn a full memory, of a GPU or of the machine, into the setting that is to be lowered.

    Args:
        section: Section of the configuration that holds the settings.
        batch_size: Images a step.
        accumulation: Passes that a step is divided among.

    Raises:
        TrainingError: The memory was full.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory_fault(error):
            raise
        ways = [f"lower {section}.batch_size (now {batch_size})"]
        if section == "train" and batch_size // (accumulation + 1) >= 1:
            ways.append(
                f"or raise train.accumulation (now {accumulation}), which divides each step "
                "among more passes"
            )
        raise TrainingError(
            f"{section}: memory must be enough for {batch_size} images a step in {accumulation} "
            "passes, got none left.",
            f"{', '.join(ways)}; the last complete epoch is kept for the same settings alone.",
        ) from error


def is_memory_fault(error: BaseException) -> bool:
    """Tell whether an error says that memory was asked for in vain."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)
