"""What goes on of the volumes of a fourth axis."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medvision.domain.volume import NumberGrid

VolumeMode = Literal["first", "mean", "each", "4d"]


def choose_volumes(values: NumberGrid, *, mode: VolumeMode) -> Iterator[tuple[str, NumberGrid]]:
    """Yield what goes on of several volumes, each with its name in the manifest.

    Args:
        values: (I, J, K, T), or (I, J, K, T, 3) of colour; of the mode first the first volume
            is enough.
        mode: first, mean, each or 4d.

    Yields:
        (name, array): the number of a volume from 1, `mean`, or `all`; (I, J, K[, 3]), of `all`
        the values as they are.
    """
    if mode == "4d":
        yield "all", values
    elif mode == "mean":
        yield "mean", _compute_mean(values)
    else:
        for t in range(1 if mode == "first" else values.shape[3]):
            yield str(t + 1), values[:, :, :, t]


def _compute_mean(values: NumberGrid) -> NumberGrid:
    """Return the mean over the volumes: float32, or rounded to uint8 for colour."""
    # numpy sums volume by volume into one of float64.
    mean: NDArray[np.float64] = np.mean(values, axis=3, dtype=np.float64)
    whole: NumberGrid = np.rint(mean).astype(np.uint8)
    return whole if values.ndim == 5 else mean.astype(np.float32)
