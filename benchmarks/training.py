"""Images trained on per second, end to end: medvision against MONAI's MedNIST tutorial, in one run.

The tutorial (Project-MONAI/tutorials, 2d_classification/mednist_tutorial) loads each JPEG, scales,
rotates, flips and zooms it by itself with MONAI's transforms, and trains by a plain loop with Adam.
Here the same net sees the same images from a store, changed in batches: rotation, flip and zoom drawn
from the same ranges. Both use the same threads. The floor trains on one batch over and over and so
loads nothing.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import DenseNet121, resnet18
from monai.transforms import (
    Compose,
    EnsureChannelFirst,
    LoadImage,
    RandFlip,
    RandRotate,
    RandZoom,
    ScaleIntensity,
)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from medvision.augment.batch import apply_parameters, draw_parameters
from medvision.learn.backbones import build_backbone
from medvision.learn.dataset import Examples
from medvision.learn.loop import build_engine, run_epoch

BATCH = 300
CLASSES = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
AUGMENT = {
    "flip_axes": (0,),
    "shift_voxels": 0,
    "rotate_degrees": 15.0,
    "zoom": 0.1,
    "noise_sd": 0.0,
    "gain": 0.0,
}
NETS = {"densenet121": "densenet121", "resnet18": "resnet18", "small": "small"}


class Files(Dataset):
    """The tutorial's data set: a path and a label each."""

    def __init__(
        self, paths: Sequence[Path], labels: NDArray[np.int64], transform: Compose
    ) -> None:
        super().__init__(list(paths), transform)
        self.labels = labels

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Return one changed image and its label."""
        return self.transform(str(self.data[row])), int(self.labels[row])


def list_images(folder: Path, count: int) -> tuple[list[Path], NDArray[np.int64]]:
    """List as many images of each class, and their labels."""
    paths, labels = [], []
    for label, name in enumerate(CLASSES):
        chosen = sorted((folder / name).iterdir())[: count // len(CLASSES)]
        paths += chosen
        labels += [label] * len(chosen)
    return paths, np.array(labels)


def build_net(name: str) -> nn.Module:
    """Build the net that both train."""
    if name == "small":
        return build_backbone("small", spatial_dims=2, channels=1, n_classes=len(CLASSES))
    if name == "resnet18":
        return resnet18(spatial_dims=2, n_input_channels=1, num_classes=len(CLASSES))
    return DenseNet121(spatial_dims=2, in_channels=1, out_channels=len(CLASSES))
