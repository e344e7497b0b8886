"""Where the arrays of a search lie, and how its work is spread over those who see them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")

CoarseStack = NDArray[np.float16]
"""(N, S, S) or (N, S, S, S) float16: coarse detail of each thumbnail."""

DTYPES = {"rows": "i8", "coarse": "f2", "described": "f2", "points": "f4", "neighbours": "i4"}
"""Array to the type of its values; thumbnails, uint8, are there from the start."""


class Arrays:
    """The arrays of a search, each opened when it is first asked for.

    Args:
        open_array: Returns an array by its name.

    Attributes:
        thumbnails: (M, 64, 64) or (M, 32, 32, 32): all there are.
        rows: (N,): which of them are compared, in the order in which all other arrays have them.
        coarse: (N, S / 2, ...): coarse detail of each.
        described: (N, S / 2, ...): what is described of each, where that is not its coarse detail.
        points: (windows, N, axes): the description of each window of each.
        neighbours: (tables, N, 2 × reach): numbers of points near each in the order of a table.
    """

    thumbnails: NDArray[np.uint8]
    rows: NDArray[np.int64]
    coarse: CoarseStack
    described: CoarseStack
    points: NDArray[np.float32]
    neighbours: NDArray[np.int32]

    def __init__(self, open_array: Callable[[str], NDArray[np.generic]]) -> None:
        self._open_array = open_array

    def __getattr__(self, name: str) -> NDArray[np.generic]:
        """Open an array that was not asked for before."""
        if name not in Arrays.__annotations__:
            raise AttributeError(name)
        array = self._open_array(name)
        setattr(self, name, array)
        return array


class Room(Protocol):
    """A place of arrays and of those who work on them."""

    @property
    def arrays(self) -> Arrays:
        """The arrays, as this process sees them."""

    def make(self, name: str, shape: tuple[int, ...]) -> None:
        """Make an array, of any content; `spread` work fills it."""

    def spread(
        self, work: Callable[[Arrays, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item, in the order of the items.

        Args:
            work: Importable by name, or a partial of such a function. What it changes of the
                arrays, no other item looks at.
            items: What it is applied to; taken as they are needed.
        """


class OwnRoom:
    """Arrays in the memory of this process, which does all work itself.

    Args:
        held: Name to an array that is there from the start.
    """

    def __init__(self, **held: NDArray[np.generic]) -> None:
        self._held = dict(held)
        self.arrays = Arrays(self._held.__getitem__)

    def make(self, name: str, shape: tuple[int, ...]) -> None:
        """Make an array."""
        self._held[name] = np.empty(shape, dtype=DTYPES[name])

    def spread(
        self, work: Callable[[Arrays, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item."""
        for item in items:
            yield work(self.arrays, item)
