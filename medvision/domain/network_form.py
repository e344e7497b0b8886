"""What a network has besides its backbone: how it takes images in, and two kinds of layers."""

from dataclasses import dataclass
from typing import Literal

Convolution = Literal["full", "acs"]
Norm = Literal["usual", "folded"]


@dataclass(frozen=True)
class NetworkForm:
    """What must be known, besides name and sizes, to build a network again.

    Args:
        mean: Per inner channel, what is taken from the image; empty where images enter as they are.
        sd: Per inner channel, what the image is then divided by; as many as `mean`.
        convolution: full; or acs, 2D kernels laid in three planes of a volume.
        norm: usual; or folded, BatchNorm that never learns statistics of batches.
    """

    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    convolution: Convolution = "full"
    norm: Norm = "usual"

    def count_inner(self, channels: int) -> int:
        """Return the channels that the first convolution sees of images with `channels`."""
        return len(self.mean) or channels


PLAIN = NetworkForm()
"""A network that takes images as they are, with the layers of its paper."""
