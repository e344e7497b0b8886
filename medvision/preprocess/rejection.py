"""An image that cannot be used, with the reason code that its line in the table carries."""

from dataclasses import dataclass

from medvision.errors import DataError

REASONS = {
    "not-finite": "the image holds NaN or infinity",
    "constant": "all voxels are equal",
    "bad-geometry": "the affine is singular, or a spacing is zero",
    "other-channels": "a colour image among grey ones, or a grey image among colour ones",
    "other-dimensions": "a 2D image among volumes, or a volume among 2D images",
    "no-contrast": "nothing is left after scaling, cropping and sizing",
    "no-voi": "the header has no window or table for display, or it has no meaning",
    "plugin-error": "a plug-in raised an error",
    "plugin-result": "a plug-in returned what its contract does not allow",
    "bias-field": "no bias field can be told",
    "empty-crop": "no voxel is above preprocess.foreground_above",
}
"""Reason code to its meaning: the only codes that occur in preprocess/rejects.tsv."""


@dataclass(frozen=True)
class Rejection:
    """One image left out, why, and what was found."""

    image_id: str
    reason: str
    detail: str


class UnusableImageError(DataError):
    """One image cannot go through the pipeline; the rest of the cohort goes on.

    Args:
        reason: A key of `REASONS`.
        detail: What was found, in numbers.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"image: {REASONS[reason]}, got {detail}.")
        self.reason = reason
        self.detail = detail
