"""What the gate says of generators really trained to copy, to collapse, and on the wrong class.

PneumoniaMNIST; each is trained by `medvision synthesise` and judged by `medvision gate`, which is
not asked about saliency. One learns ten train images of each class by heart, in a study that has no
others; new real images are judged there too. The others are held against a study of a hundred train
images of each class, as `gate.py` has it: settings that let it collapse, and swapped labels, whose
images are judged under the right names too.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gate import SETTINGS, judge, judge_drawn, read_images
from numpy.typing import NDArray
from planted_drawn import draw_generated, read_train
from synthesis import measure_apart
from synthetic_generators import Cohort, swap_labels
from toy_study import write_images

from medvision.config.model import Study, build_study
from medvision.synthesis.board import render_sheet, write_sheet

N_FEW, N_VALIDATION = 10, 50
"""Images of each class in the study of few: train, and validation."""

N_SHOWN = 8
"""Images of each class in a picture."""

SHORT = {
    "generator": "gan",
    "width": 16,
    "steps": 500,
    "generator_rate": 0.004,
    "discriminator_rate": 0.004,
}
COLLAPSING = {**SHORT, "generator_rate": 0.02, "discriminator_rate": 0.0005}
COPYING = {**SHORT, "steps": 1500, "changes": [], "r1_weight": 0.01, "ratio": 10}


@dataclass(frozen=True)
class Room:
    """The cohort, a folder of studies, and one of pictures of what was drawn."""

    own: Cohort
    new: Cohort
    studies: Path
    pictures: Path

    def open(
        self,
        name: str,
        gan: Mapping[str, object],
        *,
        own: Cohort | None = None,
        sides: list[str] | None = None,
    ) -> Study:
        """Write a study of the cohort's images, or of others in their place."""
        steps = int(str(gan["steps"]))
        watched = {"grid_steps": steps, "checkpoint_steps": min(250, steps)}
        sections = {"synthesise": {**gan, **watched}, "output": {"path": f"{self.studies}/{name}"}}
        study = build_study({**SETTINGS, **sections})
        held = own or self.own
        write_images(study, held.images, labels=held.labels, sides=sides)
        return study

    def train(self, name: str, study: Study) -> Cohort:
        """Train the generator of a study, and show what it drew above the nearest train images."""
        started = time.process_time()
        drawn = draw_generated(study)
        print(f"# {name}: {time.process_time() - started:.0f} CPU seconds", flush=True)
        sheet = render_sheet(pair_nearest(drawn, read_train(study)), flip_axes=())
        write_sheet(self.pictures / f"{name}.png", sheet)
        return drawn


def pair_nearest(drawn: Cohort, train: Cohort) -> NDArray[np.float32]:
    """Return the first drawn images of each class, and below each the nearest train image."""
    rows = []
    for label in (0, 1):
        own = drawn.images[drawn.labels == label][:N_SHOWN]
        rows += [own, train.images[measure_apart(own, train.images).argmin(axis=1)]]
    return np.stack(rows)


def deal_few(n_images: int) -> list[str]:
    """Return the side of each image, the classes by turns, with few to train on."""
    pairs = np.arange(n_images) // 2
    place = np.searchsorted([N_FEW, N_FEW + N_VALIDATION], pairs, side="right")
    return [("train", "validation", "test")[n] for n in place]


def judge_new(room: Room) -> Iterator[str]:
    """Judge new real images in the study of few train images."""
    study = room.open("new", COPYING, sides=deal_few(len(room.own.images)))
    yield f"new real images, {N_FEW} train images of each class | {judge(study, room.new)}"


def judge_copies(room: Room) -> Iterator[str]:
    """Judge a generator that learns few train images by heart."""
    study = room.open("copies", COPYING, sides=deal_few(len(room.own.images)))
    room.train("copies", study)
    yield f"{N_FEW} train images of each class learnt by heart | {judge_drawn(study)}"


def judge_collapsed(room: Room) -> Iterator[str]:
    """Judge a generator that runs ahead of a discriminator which hardly learns."""
    study = room.open("collapsed", COLLAPSING)
    room.train("collapsed", study)
    yield f"collapsed | {judge_drawn(study)}"


def judge_swapped(room: Room) -> Iterator[str]:
    """Judge a generator that learnt swapped labels, and its images under the right names."""
    # Its images are planted where labels are right: what a generator has read must be what the
    # gate reads, so that it cannot be judged where it was trained.
    drawn = room.train("swapped", room.open("swapped", SHORT, own=swap_labels(room.own)))
    study = room.open("right", SHORT)
    yield f"swapped labels learnt | {judge(study, drawn)}"
    yield f"the same images under the right names | {judge(study, swap_labels(drawn))}"


CASES: dict[str, Callable[[Room], Iterator[str]]] = {
    "new": judge_new,
    "copies": judge_copies,
    "collapsed": judge_collapsed,
    "swapped": judge_swapped,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="pneumoniamnist.npz")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--pictures", type=Path, default=Path("bad-generators"))
    options = parser.parse_args()
    own, new = read_images(options.file)
    print("images | gate | judged | refused one by one | accepted | not passed")
    with tempfile.TemporaryDirectory() as folder:
        room = Room(own, new, Path(folder), options.pictures)
        for name in options.cases:
            for line in CASES[name](room):
                print(line, flush=True)


if __name__ == "__main__":
    main()
