"""How alike two maps are, as a row of the table of stability."""

import math
from dataclasses import dataclass
from typing import Literal

from medvision.domain.attribution import compute_similarity, is_empty
from medvision.domain.explanation.map_statistics import compute_rank_correlation
from medvision.domain.volume import FloatGrid

Comparison = Literal[
    "input_noise", "reseed", "other_seed", "other_fold", "agreement", "other_image"
]

EMPTY_MAP = "the map is zero everywhere"


@dataclass(frozen=True)
class Likeness:
    """One map held against another.

    Args:
        image_id: The image.
        subject: Its subject.
        method: Method of the map.
        comparison: What the other map differs in.
        against: Which of those it is: a draw, a network, a method, an image.
        split: Of other networks, the part in which they had the subject; "" otherwise.
        ssim: Structural similarity, without sign.
        rank_correlation: Spearman's correlation, with sign.
        reason: Why figures are missing, where they are.
    """

    image_id: str
    subject: str
    method: str
    comparison: Comparison
    against: str
    split: str
    ssim: float | None
    rank_correlation: float | None
    reason: str


def measure_likeness(a: FloatGrid, b: FloatGrid | str) -> tuple[float | None, float | None, str]:
    """Return (SSIM, rank correlation, reason) of two maps.

    Args:
        a: Map (I, J, K).
        b: Map (I, J, K) on the same grid, or why there is none.

    Returns:
        Figures are None, and the reason says why, where the second map is missing or either is
        empty; a map without an order of voxels has no rank correlation.
    """
    if isinstance(b, str):
        return None, None, b
    if is_empty(a) or is_empty(b):
        return None, None, EMPTY_MAP
    if a.shape != b.shape:
        return None, None, "the two maps lie on different grids"
    correlation = compute_rank_correlation(a, b)
    known = math.isfinite(correlation)
    reason = "" if known else "a map of one value has no order of voxels"
    return compute_similarity(a, b), correlation if known else None, reason
