"""Several processes that train one network together, as torchrun or a scheduler starts them."""

import ctypes
import datetime
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from medvision.errors import ConfigError, StoppedError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

Held = TypeVar("Held")

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets for each process."""

TEAM_COMMANDS = ("train",)
"""Commands that divide their work among several processes."""

RENDEZVOUS = "MEDVISION_RENDEZVOUS"
"""Variable: folder that all machines see, in which the processes of one start find each other."""

STOP, STOPPED, DONE = "stop", "stopped", "done"
"""Files in that folder: that they should stop, that they did and kept where they are, or that all
is done. torchrun and srun have signals and exit codes of their own."""

_PR_SET_PDEATHSIG = 1
_TIMEOUT = datetime.timedelta(minutes=30)


@dataclass(frozen=True)
class Team:
    """This process among those that train one network; alone, every method does nothing.

    All processes must call the same methods in the same order.

    Args:
        rank: Number of this process, from 0.
        size: Number of processes.
        local_rank: Number of this process on its machine, from 0; that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Tell whether this is the process that writes."""
        return self.rank == 0

    def divide(self, n_items: int) -> range:
        """Return this process's share of some items: consecutive, and as large as any but for one.

        Args:
            n_items: Number of all items.
        """
        return range(
            n_items * self.rank // self.size,
            n_items * (self.rank + 1) // self.size,
        )

    def add(self, value: float) -> float:
        """Return the sum of all processes' values.

        Raises:
            TrainingError: Another process has ended.
        """
        if self.size == 1:
            return value
        import torch

        held = torch.tensor(value, dtype=torch.float64)
        self.add_tensor(held)
        return float(held)

    def is_any(self, flag: bool) -> bool:
        """Tell all processes whether one of them says yes.

        Raises:
            TrainingError: Another process has ended.
        """
        return self.add(float(flag)) > 0

    def add_tensor(self, tensor: "Tensor") -> None:
        """Replace a tensor, in place, by the sum of all processes' tensors, of equal shape.

        Raises:
            TrainingError: Another process has ended.
        """
        if self.size == 1:
            return
        import torch.distributed

        with _naming_the_lost(self.size):
            torch.distributed.all_reduce(tensor)

    def add_tensors(self, tensors: "Sequence[Tensor]") -> None:
        """Replace tensors of one type, in place, by their sums over all processes.

        Raises:
            TrainingError: Another process has ended.
        """
        if self.size == 1 or not tensors:
            return
        import torch

        # One message for all: what each costs is its way, not its length.
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.add_tensor(flat)
        sums = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, summed in zip(tensors, sums, strict=True):
            tensor.copy_(summed.view(tensor.shape))

    def gather(self, value: Held) -> list[Held]:
        """Return all processes' values, in the order of their ranks, to each process.

        Raises:
            TrainingError: Another process has ended.
        """
        if self.size == 1:
            return [value]
        import torch.distributed

        held: list[Held | None] = [None] * self.size
        with _naming_the_lost(self.size):
            torch.distributed.all_gather_object(held, value)
        return held  # type: ignore[return-value]  # all are filled

    def wait(self) -> None:
        """Return once all processes are here.

        Raises:
            TrainingError: Another process has ended.
        """
        self.gather(None)


ALONE = Team()
"""A training in one process."""


@contextmanager
def _naming_the_lost(size: int) -> Iterator[None]:
    """Say in plain words that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            f"training: all {size} processes must go on, got an end of another one.",
            "the process that failed says why in its own output; the last complete epoch is kept: "
            "run again.",
        ) from error


def read_team(environment: Mapping[str, str]) -> Team:
    """Return this process's place, as torchrun's variables say.

    Args:
        environment: The process's variables.

    Returns:
        The place; alone where WORLD_SIZE is absent or 1.

    Raises:
        ConfigError: A variable is missing or impossible.
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return ALONE
    missing = [name for name in NAMES if name not in environment]
    if missing:
        raise ConfigError(
            f"environment: {', '.join(NAMES)} must all be set for several processes, got none for "
            f"{', '.join(missing)}.",
            "start by torchrun; see docs/how-to/use-a-gpu.md for Slurm.",
        )
    try:
        rank, size, local_rank = (int(environment[name]) for name in NAMES[:3])
    except ValueError as error:
        raise ConfigError(f"environment: ranks must be whole numbers, got {error}.") from error
    if not 0 <= rank < size or local_rank < 0:
        raise ConfigError(
            f"environment: RANK must be from 0 to {size - 1}, got {rank}, LOCAL_RANK {local_rank}."
        )
    return Team(rank, size, local_rank)


def check_alone(command: str) -> None:
    """Refuse several processes of a command that works alone: they would write the same files.

    Args:
        command: Name of the command.

    Raises:
        ConfigError: There are several, and the command does not divide its work among them.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1" and command not in TEAM_COMMANDS:
        raise ConfigError(
            f"environment: WORLD_SIZE must be 1 for `medvision {command}`, got {size}.",
            f"start {', '.join(TEAM_COMMANDS)} alone by torchrun, and this command without.",
        )


@contextmanager
def join_team(environment: Mapping[str, str] | None = None) -> Iterator[Team]:
    """Join the other processes of the training, where there are any, and leave them at its end.

    Args:
        environment: Variables that say which they are; the process's own when omitted.

    Raises:
        ConfigError: A variable is missing or impossible.
        TrainingError: The others do not come.
    """
    team = read_team(os.environ if environment is None else environment)
    if team.size == 1:
        yield team
        return
    import torch.distributed

    folder = (os.environ if environment is None else environment).get(RENDEZVOUS)
    if folder is not None:
        _die_with_parent()
    _join(team, folder)
    try:
        yield team
    except StoppedError:
        _tell(STOPPED, folder)
        torch.distributed.destroy_process_group()
        raise
    # After any other error the others may be waiting for this process: its end tells them.
    if team.is_first:
        _tell(DONE, folder)
    torch.distributed.destroy_process_group()


def _die_with_parent() -> None:
    """Have the kernel kill this process when torchrun's ends, where it can.

    It has a session of its own, which a scheduler that ends a job by process group does not reach:
    left over, it would go on writing where the next attempt does.

    Source:
        prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _tell(word: str, folder: str | None) -> None:
    """Say how it ended to the process that started the others."""
    if folder is not None:
        (Path(folder) / word).touch()


def _join(team: Team, folder: str | None) -> None:
    """Wait for all processes, and open the ways between them."""
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    # By a file, where there is a folder: a server would listen on every interface.
    meeting = Path(folder) / "processes" if folder is not None else None
    try:
        store = (
            torch.distributed.FileStore(str(meeting), team.size)  # type: ignore[attr-defined]  # not in __all__
            if meeting
            else None
        )
        torch.distributed.init_process_group(
            backend, store=store, rank=team.rank, world_size=team.size, timeout=_TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        place = f"in {folder}" if folder else "at MASTER_ADDR and MASTER_PORT"
        raise TrainingError(
            f"training: all {team.size} processes must find each other, got none {place} within "
            f"{_TIMEOUT}.",
            "check that every process was started, and that the way between machines is open: one "
            "address and a free port, or one output folder on a disk that allows locks.",
        ) from error
