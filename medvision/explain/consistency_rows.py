"""The rows of cascade and stability, as their two tables hold them."""

from dataclasses import dataclass

from medvision.explain.likeness import Likeness


@dataclass(frozen=True)
class CascadePoint:
    """One method's map of one image at one stage, beside that of the trained network.

    Args:
        image_id: The image.
        subject: Its subject.
        method: Method of the map.
        stage: How far down the weights are random.
        layer: Deepest layer drawn anew.
        n_layers: Layers drawn anew so far.
        ssim: Structural similarity to the trained network's map, without sign.
        rank_correlation: Spearman's correlation with it, with sign.
        entropy: How evenly this map is spread, 0 to 1.
        reason: Why figures are missing, where they are.
    """

    image_id: str
    subject: str
    method: str
    stage: int
    layer: str
    n_layers: int
    ssim: float | None
    rank_correlation: float | None
    entropy: float | None
    reason: str


@dataclass(frozen=True)
class Consistency:
    """The rows of two tables, each in the order of the selection."""

    cascade: list[CascadePoint]
    likenesses: list[Likeness]
