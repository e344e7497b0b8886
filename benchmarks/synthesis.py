"""What a generator draws after few labels and few minutes: PneumoniaMNIST, one CPU thread.

It learns from a hundred train images of each class with the settings of the configuration, but for
width and steps. What it draws is held beside held-out real images: how near the nearest train image
is, how much images of a class differ, and whether a linear classifier of the real train images
takes a drawn one for its class. It judges nothing: it is to see that something is learnt, and not
copied.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from medvision.config.synthesise import SynthesiseSection
from medvision.synthesis.board import render_sheet, write_sheet
from medvision.synthesis.images import RealImages
from medvision.synthesis.sample import draw_image
from medvision.synthesis.settings import GanSettings
from medvision.synthesis.train import Trained, Watch, train_gan

CLASSES = ("normal", "pneumonia")
DRAWN = 100
_BY_THE_COMMAND = {"generator", "ratio", "minimum_subjects", "seed"}

Images = NDArray[np.float32]


@dataclass(frozen=True)
class Held:
    """Images (n, 1, 28, 28) in [0, 1], columns first, and their classes."""

    images: Images
    labels: NDArray[np.int64]

    def of(self, label: int) -> Images:
        """Return the images of a class."""
        chosen: Images = self.images[self.labels == label]
        return chosen


def read_split(path: Path, name: str) -> Held:
    """Return one official split."""
    with np.load(path) as held:
        images = held[f"{name}_images"].astype(np.float32)[:, np.newaxis] / 255
        labels = held[f"{name}_labels"][:, 0].astype(np.int64)
    return Held(images.swapaxes(2, 3), labels)


def choose_few(held: Held, each: int) -> Held:
    """Draw as many images of each class."""
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.choice(np.flatnonzero(held.labels == label), each, replace=False) for label in (0, 1)]
    )
    return Held(held.images[rows], held.labels[rows])


def train(few: Held, *, steps: int, width: int, folder: Path) -> Trained:
    """Train a generator, and write samples on the way."""
    images = torch.from_numpy(np.ascontiguousarray(few.images))
    real = RealImages(
        load=lambda positions: images[torch.from_numpy(positions)],
        labels=few.labels,
        names=tuple(f"sub-{row}_" for row in range(len(few.labels))),
        shape=tuple(images.shape[1:]),
        n_classes=len(CLASSES),
    )
    section = SynthesiseSection(steps=steps, width=width, grid_steps=500)
    values = {name: v for name, v in dict(section).items() if name not in _BY_THE_COMMAND}

    def show(step: int, drawn: Images) -> None:
        write_sheet(folder / f"step-{step:06d}.png", render_sheet(drawn, flip_axes=()))

    def tell(row: Mapping[str, object]) -> None:
        print(", ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    return train_gan(
        real,
        settings=GanSettings(**values),
        seed=0,
        device=torch.device("cpu"),
        state=None,
        watch=Watch("training", on_row=tell, on_grid=show),
    )


def measure_apart(images: Images, others: Images) -> NDArray[np.floating]:
    """Return how far each image is from each of others: root mean squared difference."""
    flat, other = images.reshape(len(images), -1), others.reshape(len(others), -1)
    return np.sqrt(np.square(flat[:, None] - other[None]).mean(axis=-1))


def measure_nearest(images: Images, others: Images) -> NDArray[np.floating]:
    """Return how far each image is from the nearest of others."""
    return measure_apart(images, others).min(axis=1)


def measure_spread(images: Images) -> float:
    """Return the median distance of two images."""
    apart = measure_apart(images, images)
    return float(np.median(apart[np.triu_indices(len(images), 1)]))


def report(trained: Trained, few: Held, held_out: Held, *, folder: Path) -> None:
    """Print the figures, and show drawn images above their nearest train images."""
    rng = np.random.default_rng(1)
    drawn = [
        np.stack(
            [
                draw_image(trained.generator, trained.scale, label=label, seed=1000 * label + n)
                for n in range(DRAWN)
            ]
        )
        for label in (0, 1)
    ]
    rows = []
    for label, name in enumerate(CLASSES):
        real = held_out.of(label)
        real = real[rng.choice(len(real), DRAWN, replace=False)]
        for kind, images in (("drawn", drawn[label]), ("held-out", real)):
            low, middle = np.percentile(measure_nearest(images, few.images), [1, 50])
            spread = measure_spread(images)
            print(f"{name} {kind}: nearest {low:.3f} (1 %), {middle:.3f} (50 %); pair {spread:.3f}")
        flat = drawn[label][:8].reshape(8, -1)
        apart = np.square(flat[:, None] - few.images.reshape(len(few.images), -1)[None]).mean(-1)
        rows += [drawn[label][:8], few.images[apart.argmin(axis=1)]]
    write_sheet(folder / "nearest.png", render_sheet(np.stack(rows), flip_axes=()))
    model = LogisticRegression(C=0.01, max_iter=2000)
    model.fit(few.images.reshape(len(few.images), -1), few.labels)
    for kind, sets in (("drawn", drawn), ("held-out", [held_out.of(0), held_out.of(1)])):
        found = [
            np.mean(model.predict(images.reshape(len(images), -1)) == label)
            for label, images in enumerate(sets)
        ]
        print(f"taken for their class, {kind}: {np.mean(found):.3f} (mean of both classes)")


def main() -> None:
    """Train, draw and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="pneumoniamnist.npz, 28×28")
    parser.add_argument("--each", type=int, default=100, help="train images of each class")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path("synthesis"), help="for pictures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    few = choose_few(read_split(options.file, "train"), options.each)
    start = time.process_time()
    trained = train(few, steps=options.steps, width=options.width, folder=options.folder)
    print(f"{time.process_time() - start:.0f} CPU seconds")
    report(trained, few, read_split(options.file, "val"), folder=options.folder)


if __name__ == "__main__":
    main()
