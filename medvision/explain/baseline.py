"""What stands for absence: one intensity, or the image itself without its detail."""

from typing import Literal

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from medvision.runtime.files import hash_bytes

Baseline = float | Literal["blur"]
"""A scaled intensity, or `blur`."""

BlurVoxels = tuple[float, float, float]
"""Standard deviation of the blur along (i, j, k), in array voxels."""


def build_baseline(image: Tensor, *, baseline: Baseline, blur_voxels: BlurVoxels) -> Tensor:
    """Return the image that an attribution is measured against.

    A constant puts holes of air into tissue, images that no network was trained on; a blurred
    copy loses the lesion and keeps the body around it.

    Args:
        image: (1, C, I, J) or (1, C, I, J, K) float32.
        baseline: An intensity, or `blur`.
        blur_voxels: Standard deviation along each axis; 2D uses the first two.

    Returns:
        Tensor of the image's shape and device.

    Source:
        Constant: Sundararajan et al. 2017, arXiv:1703.01365. Blurred: Fong and Vedaldi 2017,
        doi:10.1109/ICCV.2017.371.
    """
    if baseline != "blur":
        return torch.full_like(image, baseline)
    sd = (0.0, 0.0, *blur_voxels)[: image.ndim]
    blurred = gaussian_filter(image.detach().cpu().double().numpy(), sd, mode="nearest")
    return torch.from_numpy(blurred).to(image)


def hash_baseline(baseline: Tensor) -> str:
    """Return the sha256 of a baseline's numbers: (C, I, J[, K]) little-endian, in C order.

    Args:
        baseline: (1, C, I, J) or (1, C, I, J, K), as `build_baseline` returns it.
    """
    values = baseline.detach().cpu().numpy()
    return hash_bytes(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
