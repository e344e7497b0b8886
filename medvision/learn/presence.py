"""Which workers of a search are at work: a locked file each, which a killed process lets go."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from medvision.errors import ConfigError

Claiming = Callable[[], AbstractContextManager[None]]
"""Opens the lock under which presence is judged, so that no look is taken for a worker."""


@contextmanager
def taking_presence(folder: Path, worker: int, *, claiming: Claiming) -> Iterator[None]:
    """Be known as a worker until the end of the block, or of the process.

    The system lets a lock go when its process ends, however that happens; a network file system
    does so too where it passes `flock` on (NFS 4, NFS 3 with lockd). Where it knows no locks,
    nobody is taken for gone.

    Args:
        folder: Folder of the search's journal.
        worker: Number of this process.
        claiming: The lock that all processes of the search share.

    Raises:
        ConfigError: A process with the same number is at work.
    """
    with _path(folder, worker).open("a") as handle:
        with claiming():
            try:
                fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"--worker: worker must be a number that no process at work has, got {worker}.",
                    "give each process of one search another number.",
                ) from error
            except OSError:
                pass
        yield


def is_at_work(folder: Path, worker: int) -> bool:
    """Tell whether the process of a worker lives; call it under the claiming lock.

    Args:
        folder: Folder of the search's journal.
        worker: Number of another process.
    """
    path = _path(folder, worker)
    if not path.is_file():
        return False
    with path.open("a") as handle:
        try:
            fcntl.flock(handle.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _path(folder: Path, worker: int) -> Path:
    """Return the file that a worker locks."""
    return folder / f"worker-{worker}"
