"""Occlusion from coarse to fine: a lattice of boxes first, then those where it found most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from medvision.domain.volume import FloatGrid
from medvision.explain.grids import to_grid
from medvision.explain.methods.scene import Scene, Triple

Falls = NDArray[np.float64]
"""(A, B, C) float64: by how much the logit falls for the box at each place; 2D has C = 1."""


@dataclass(frozen=True)
class Lattice:
    """Where the boxes lie.

    Args:
        window: Voxels (i, j, k) of a box; at the far edge a box may be smaller.
        starts: First voxel of the boxes along each axis.
    """

    window: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def shape(self) -> Triple:
        """Return the number of boxes along each axis."""
        i, j, k = (len(starts) for starts in self.starts)
        return i, j, k

    def cut(self, place: Sequence[int]) -> tuple[slice, slice, slice]:
        """Return the voxels of the box at a place (a, b, c)."""
        i, j, k = (
            slice(starts[n], starts[n] + size)
            for starts, n, size in zip(self.starts, place, self.window, strict=True)
        )
        return i, j, k


def build_lattice(shape: Triple, *, window: Triple, stride: Triple) -> Lattice:
    """Place boxes a stride apart until the far edge is covered, as Captum's Occlusion does.

    Args:
        shape: Voxels (i, j, k) of the array.
        window: Voxels of a box, none larger than the array.
        stride: Voxels from one box to the next.
    """
    i, j, k = (
        tuple(range(0, max(length - size, 0) + step, step)) if length > size else (0,)
        for length, size, step in zip(shape, window, stride, strict=True)
    )
    return Lattice(window, (i, j, k))


def search_falls(scene: Scene, lattice: Lattice, *, share: float) -> tuple[Falls, int]:
    """Occlude a share of the boxes, and interpolate what the others would give.

    Every second box along each axis comes first; then, of the rest, those between the largest
    falls and rises.

    Args:
        scene: What is explained.
        lattice: The boxes.
        share: Share of the boxes that are computed, at least those of the coarse lattice.

    Returns:
        (falls, n): the fall of the logit for each box; how many were computed.

    Source:
        none: own definition.
    """
    coarse = [_take_every_second(n) for n in lattice.shape]
    known = np.zeros(lattice.shape, dtype=bool)
    known[np.ix_(*coarse)] = True
    falls = np.zeros(lattice.shape)
    falls[known] = _occlude(scene, lattice, np.argwhere(known))
    guess = _interpolate(falls[np.ix_(*coarse)], coarse, lattice.shape)
    chosen = _choose(guess, known, n=round(share * known.size))
    if chosen.any():
        falls[chosen] = _occlude(scene, lattice, np.argwhere(chosen))
    return np.where(known | chosen, falls, guess), int((known | chosen).sum())


def spread_falls(falls: Falls, lattice: Lattice, *, shape: Triple) -> FloatGrid:
    """Return at each voxel the mean fall over the boxes that cover it, (I, J, K) float32."""
    total, count = np.zeros(shape), np.zeros(shape)
    for place in np.ndindex(*lattice.shape):
        box = lattice.cut(place)
        total[box] += falls[place]
        count[box] += 1
    return np.divide(total, count, out=np.zeros(shape), where=count > 0).astype(np.float32)


def _take_every_second(n: int) -> list[int]:
    """Return every second place of n, and the last."""
    return sorted({*range(0, n, 2), n - 1})


def _interpolate(falls: Falls, coarse: Sequence[Sequence[int]], shape: Triple) -> Falls:
    """Return the falls between the coarse places, linear along each axis."""
    axes = [axis for axis, places in enumerate(coarse) if len(places) > 1]
    if not axes:
        return np.broadcast_to(falls, shape).copy()
    known = [np.array(coarse[axis], dtype=float) for axis in axes]
    wanted = np.moveaxis(np.indices([shape[axis] for axis in axes]), 0, -1)
    held = falls.reshape([len(coarse[axis]) for axis in axes])
    found: Falls = RegularGridInterpolator(known, held)(wanted)
    return found.reshape(shape)


def _choose(guess: Falls, known: NDArray[np.bool_], *, n: int) -> NDArray[np.bool_]:
    """Choose the places of the largest guesses until n are known; equals by their order."""
    size = np.where(known, -1.0, np.abs(guess)).ravel()
    n_more = min(max(n - int(known.sum()), 0), int((~known).sum()))
    chosen = np.zeros(known.size, dtype=bool)
    chosen[np.argsort(-size, kind="stable")[:n_more]] = True
    return chosen.reshape(known.shape)


def _occlude(scene: Scene, lattice: Lattice, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the fall of the logit for the boxes at places (n, 3)."""
    falls: list[float] = []
    forward, axes = scene.pad(), scene.image.shape[2:]
    cuts = range(scene.settings.batch_size, len(places), scene.settings.batch_size)
    for part in np.array_split(places, cuts):
        gone = np.zeros((len(part), *to_grid(scene.image[0, 0]).shape), dtype=bool)
        for row, place in zip(gone, part, strict=True):
            row[lattice.cut(place)] = True
        hidden = torch.from_numpy(gone).to(scene.image.device).reshape(len(part), 1, *axes)
        with torch.no_grad():
            logits = forward(torch.where(hidden, scene.baseline, scene.image))[:, scene.target]
        falls += (scene.output - logits.double()).tolist()
    return np.array(falls)
