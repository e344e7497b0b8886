"""Images trained on per second, end to end: medvision against MONAI's MedNIST tutorial, in one run.

The tutorial (Project-MONAI/tutorials, 2d_classification/mednist_tutorial) loads each JPEG, scales,
rotates, flips and zooms it by itself with MONAI's transforms, and trains by a plain loop with Adam.
Here the same net sees the same images from an array, changed in batches: rotation, flip and zoom
drawn from the same ranges. The floor takes the same steps on one batch over and over: it loads
nothing, changes nothing and checks nothing. The array is a store in memory, as the tutorial's files
are in the system's cache. Seconds are the process's CPU seconds at one thread, since a wall clock
would time whatever else the machine does; the ways take turns.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import DataLoader, Dataset
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
from medvision.learn.loop import Position, build_engine, run_epoch
from medvision.learn.placement import place_batch, place_network
from medvision.learn.settings import TrainSettings

CPU = torch.device("cpu")
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


Epoch = Callable[[], None]
Grids = NDArray[np.float32]
Labels = NDArray[np.int64]


class Files(Dataset):
    """The tutorial's data set: a path and a label each."""

    def __init__(self, paths: Sequence[Path], labels: Labels) -> None:
        super().__init__(list(paths), TUTORIAL)
        self.labels = labels

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        """Return one changed image and its label."""
        return TUTORIAL(str(self.data[row])), int(self.labels[row])


TUTORIAL = Compose(
    [
        LoadImage(image_only=True),
        EnsureChannelFirst(),
        ScaleIntensity(),
        RandRotate(range_x=np.pi / 12, prob=0.5, keep_size=True),
        RandFlip(spatial_axis=0, prob=0.5),
        RandZoom(min_zoom=0.9, max_zoom=1.1, prob=0.5),
    ]
)


def list_images(folder: Path, count: int) -> tuple[list[Path], NDArray[np.int64]]:
    """List as many images of each class, and their labels."""
    paths, labels = [], []
    for label, name in enumerate(CLASSES):
        chosen = sorted((folder / name).iterdir())[: count // len(CLASSES)]
        paths += chosen
        labels += [label] * len(chosen)
    return paths, np.array(labels)


def build_net(name: str) -> nn.Module:
    """Build the net that both train; the seed makes them start alike."""
    torch.manual_seed(0)
    return build_backbone(name, spatial_dims=2, channels=1, n_classes=len(CLASSES))


def train_tutorial(name: str, paths: Sequence[Path], labels: Labels) -> Epoch:
    """Return an epoch of the tutorial's loop."""
    net = build_net(name)
    loader = DataLoader(Files(paths, labels), batch_size=BATCH, shuffle=True, num_workers=0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-5)
    loss_function = nn.CrossEntropyLoss()

    def run() -> None:
        net.train()
        for images, targets in loader:
            optimizer.zero_grad()
            loss = loss_function(net(images), targets)
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def train_here(name: str, arrays: Grids, labels: Labels, *, is_changed: bool) -> Epoch:
    """Return an epoch of medvision's loop, with random changes or without."""
    engine = build_engine(
        place_network(build_net(name), CPU, n_axes=arrays.ndim),
        CPU,
        settings=TrainSettings(
            epochs=1,
            batch_size=BATCH,
            learning_rate=1e-5,
            weight_decay=0.01,
            imbalance="none",
            monitor="loss",
            patience=1,
            amp="off",
        ),
        class_weights=np.ones(len(CLASSES)),
        blocks=(),
    )
    rows = np.arange(len(labels))
    examples = Examples(arrays, rows=rows, labels=labels, subjects=tuple(map(str, rows)))
    generator = torch.Generator().manual_seed(0)

    def change(images: Tensor, generator: torch.Generator) -> Tensor:
        drawn = draw_parameters(generator, n_images=len(images), spatial_dims=2, **AUGMENT)
        return apply_parameters(images, drawn)

    def run() -> None:
        run_epoch(
            engine,
            examples,
            position=Position(torch.randperm(len(labels), generator=generator).numpy()),
            frozen=(),
            transform=change if is_changed else None,
            generator=generator,
            rate=lambda _: 1e-5,
            should_stop=lambda: False,
        )

    return run


def train_on_one_batch(name: str, arrays: Grids, labels: Labels) -> Epoch:
    """Return as many steps as an epoch has, on images that are there already."""
    net = place_network(build_net(name), CPU, n_axes=arrays.ndim)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-5, fused=True)
    images = place_batch(torch.from_numpy(arrays[:BATCH]), CPU)
    targets = torch.from_numpy(labels[:BATCH])

    def run() -> None:
        net.train()
        for _ in range(-(-len(labels) // BATCH)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images), targets)
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def main() -> None:
    """Take turns, so that what else the machine does meets all alike; print the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of MedNIST")
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--nets", nargs="+", default=["small", "resnet18", "densenet121"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    paths, labels = list_images(arguments.data, arguments.images)
    pixels = [np.asarray(Image.open(path), dtype=np.float32).T for path in paths]
    arrays = np.array([(p - p.min()) / max(float(np.ptp(p)), 1.0) for p in pixels])[:, None]
    print("| net | tutorial, images/s | medvision | ratio | without changes | floor | overhead |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.nets:
        ways = [
            train_tutorial(name, paths, labels),
            train_here(name, arrays, labels, is_changed=True),
            train_here(name, arrays, labels, is_changed=False),
            train_on_one_batch(name, arrays, labels),
        ]
        seconds = [float(np.median(taken)) for taken in time_in_turns(ways, arguments.epochs)]
        tutorial, here, bare, floor = (len(labels) / taken for taken in seconds)
        print(
            f"| {name} | {tutorial:.0f} | {here:.0f} | {here / tutorial:.2f} | {bare:.0f} "
            f"| {floor:.0f} | {100 * (seconds[2] / seconds[3] - 1):.1f} % |",
            flush=True,
        )


def time_in_turns(ways: Sequence[Epoch], epochs: int) -> list[list[float]]:
    """Return CPU seconds of each way's epochs, the first of which warms up and is left out."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(epochs + 1):
        for way, taken in zip(ways, seconds, strict=True):
            start = time.process_time()
            way()
            taken.append(time.process_time() - start)
    return [taken[1:] for taken in seconds]


if __name__ == "__main__":
    main()
