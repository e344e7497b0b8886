"""One scan of one subject: its voxels as stored, its mask, and the identifiers it travels under."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.phantom.render import HuGrid, MaskGrid, render_scan
from medvision.phantom.scanner import Grid, build_grid
from medvision.phantom.streams import build_generator, build_uid
from medvision.phantom.structures import Nodule
from medvision.phantom.subject import Chest, Subject, draw_chest

StoredGrid = NDArray[np.int16] | NDArray[np.uint16]
"""(I, J, K) of stored values; HU = slope × stored + intercept."""


@dataclass(frozen=True)
class Scan:
    """One series as the scanner made it."""

    subject: Subject
    visit: int
    study_uid: str
    series_uid: str
    grid: Grid
    stored: StoredGrid
    mask: MaskGrid
    chest: Chest

    @property
    def nodules(self) -> tuple[Nodule, ...]:
        """Return the nodules that the scan shows."""
        return self.chest.nodules

    @property
    def hu(self) -> HuGrid:
        """Return the intensities (I, J, K) in HU that the stored values stand for."""
        scanner = self.subject.scanner
        scaled = self.stored.astype(np.float64) * scanner.slope + scanner.intercept
        return scaled.astype(np.float32)


def draw_scan(seed: int, subject: Subject, *, visit: int, size: tuple[int, int, int]) -> Scan:
    """Scan a subject.

    Args:
        seed: Seed of the cohort.
        subject: Who is scanned.
        visit: 0 for the first study; each visit has its own position and noise.
        size: Typical number of voxels (i, j, k).

    Returns:
        Scan, the same at every call.
    """
    generator = build_generator(seed, "scan", subject.index, visit)
    x, y, z = (float(value) for value in generator.normal(0, 2.0, 3).round(2))
    grid = build_grid(subject.scanner, size, centre_mm=(x, y, z))
    chest = draw_chest(seed, subject)
    hu, mask = render_scan(chest.anatomy, chest.structures, grid=grid)
    noise = generator.standard_normal(grid.shape, dtype=np.float32)
    hu += np.float32(subject.scanner.noise_hu) * noise
    return Scan(
        subject=subject,
        visit=visit,
        study_uid=build_uid(seed, "study", subject.index, visit),
        series_uid=build_uid(seed, "series", subject.index, visit),
        grid=grid,
        stored=_store(hu, subject=subject),
        mask=mask,
        chest=chest,
    )


def _store(hu: HuGrid, *, subject: Subject) -> StoredGrid:
    """Turn HU into the scanner's integers."""
    scanner = subject.scanner
    units = np.rint((hu - np.float32(scanner.intercept)) / np.float32(scanner.slope))
    low, high, kind = (-2048, 2047, np.int16) if scanner.signed else (0, 4095, np.uint16)
    stored: StoredGrid = np.clip(units, low, high).astype(kind)
    return stored
