"""Small networks whose attributions are known, and images with a planted lesion."""

import numpy as np
import torch
from torch import nn

from medvision.explain.methods import Settings

SIDE = 16


class Linear(nn.Module):
    """Logits (-w·x, w·x): integrated gradients from 0 are exactly w x."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x):
        score = (x * self.weight).flatten(1).sum(1)
        return torch.stack([-score, score], dim=1)


class Detector(nn.Module):
    """Averages bright voxels: a network that sees the lesion and nothing else."""

    def __init__(self, spatial_dims: int = 3, threshold: float = 0.8) -> None:
        super().__init__()
        conv = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
        pool = nn.AvgPool3d if spatial_dims == 3 else nn.AvgPool2d
        self.conv = conv(1, 1, 1)
        self.act = nn.ReLU(inplace=True)
        self.cells = pool(2)
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.conv.bias.fill_(-threshold)
            self.head.weight.copy_(torch.tensor([[-100.0], [100.0]]))
            self.head.bias.copy_(torch.tensor([0.2, -0.2]))

    def forward(self, x):
        cells = self.cells(self.act(self.conv(x)))
        return self.head(cells.flatten(2).mean(2))


class Tiny(nn.Module):
    """Two convolutions, one ReLU used twice and in place, and a linear head."""

    def __init__(self, spatial_dims: int = 3, n_classes: int = 2, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        conv = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
        norm = nn.BatchNorm3d if spatial_dims == 3 else nn.BatchNorm2d
        self.first = conv(1, 4, 3, stride=2, padding=1)
        self.norm = norm(4)
        self.second = conv(4, 6, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, n_classes)

    def forward(self, x):
        x = self.act(self.norm(self.first(x)))
        x = self.act(self.second(x))
        return self.head(x.flatten(2).mean(2))


def make_settings(**changes) -> Settings:
    """Settings of the methods for images of 16 voxels a side."""
    values = {
        "steps": 8,
        "batch_size": 4,
        "baseline": 0.0,
        "blur_voxels": (4.0, 4.0, 2.0),
        "occlusion_window": (6, 6, 6),
        "occlusion_stride": (4, 4, 4),
        "occlusion_share": 1.0,
        "completeness": 0.05,
        "noise_draws": 6,
        "noise_level": 0.1,
        "shap_draws": 64,
    }
    return Settings(**{**values, **changes})


def make_lesion_image(seed: int, *, spatial_dims: int = 3, positive: bool = True):
    """Dim noise (1, 16, 16[, 16]) with its mask (16, 16, 16 or 1); a bright cube if positive."""
    rng = np.random.default_rng(seed)
    shape = (SIDE,) * spatial_dims
    array = rng.uniform(0.1, 0.5, shape).astype(np.float32)
    mask = np.zeros(shape, dtype=bool)
    corner = rng.integers(1, SIDE - 6, spatial_dims)
    if positive:
        mask[tuple(slice(c, c + 5) for c in corner)] = True
        array[mask] += 1.0
    return array[None], mask.reshape((*shape, 1)[:3])
