"""TensorBoard's view of a training, for the eyes only: event files hold clocks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medvision.learn.resume import HistoryValue


@contextmanager
def open_board(folder: Path) -> Iterator[Callable[[Mapping[str, HistoryValue]], None]]:
    """Yield a function that adds an epoch's row to TensorBoard's event files.

    The files are no part of the record, since they hold the time and the machine's name.

    Args:
        folder: Where the event files go; a resumed run adds a further one.
    """
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def add(row: Mapping[str, HistoryValue]) -> None:
        for name, value in row.items():
            if name != "epoch" and value is not None:
                writer.add_scalar(name, value, int(row["epoch"] or 0))
        writer.flush()

    try:
        yield add
    finally:
        writer.close()
