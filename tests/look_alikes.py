"""Images alike from afar and different in detail, and the ways in which a copy may be altered."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage


def make_images(n: int, *, seed: int, n_axes: int = 2) -> list[np.ndarray]:
    """Blobs within one outline: alike from afar, different in detail, as bodies are."""
    rng = np.random.default_rng(seed)
    side = 96 if n_axes == 2 else 40
    line = np.linspace(-1, 1, side)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[line] * n_axes, indexing="ij")))
    noise = [rng.normal(size=(side,) * n_axes) for _ in range(n)]
    blurred = [ndimage.gaussian_filter(each, side / (24 if n_axes == 2 else 12)) for each in noise]
    return [100 * (radius < 0.9) + 40 * each / each.std() for each in blurred]


def turn(image: np.ndarray, degrees: float) -> np.ndarray:
    return ndimage.rotate(image, degrees, reshape=False, order=1, cval=float(image.min()))


def crop(image: np.ndarray, share: float) -> np.ndarray:
    edge = round(image.shape[0] * (1 - share) / 2)
    return image[(slice(edge, -edge or None),) * image.ndim]


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "equal": lambda image: image,
    "rotated 5": lambda image: turn(image, 5),
    "rotated 15": lambda image: turn(image, 15),
    "rotated 90": np.rot90,
    "flipped": lambda image: image[::-1],
    "cropped to 95 %": lambda image: crop(image, 0.95),
    "cropped to 90 %": lambda image: crop(image, 0.9),
    "brighter": lambda image: 1.3 * image + 20,
    "half the size": lambda image: ndimage.zoom(image, 0.5, order=1),
    "larger": lambda image: ndimage.zoom(image, 1.5, order=1),
}
