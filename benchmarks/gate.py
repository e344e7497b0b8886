"""What the gate says of real images, of a generator, and of faults planted on it: PneumoniaMNIST.

A hundred train images of each class, fifty for validation, a generator as in `synthesis.py`. Judged
by the real command: real images that nobody else has, what the generator drew, the same under the
other class's name, one drawn image of each class again and again, and train images as they are.
Saliency is not asked.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from planted_drawn import draw_generated, gate, plant_drawn, read_train
from synthetic_generators import Cohort, swap_labels
from toy_study import write_images

from medvision.config.model import Study, build_study
from medvision.domain.synthesis.synthetic import name_gate
from medvision.io.tables import read_table
from medvision.layout import Layout

N_STUDY, N_NEW = 200, 50
"""Images of each class in the study (half of them train), and beside it."""

SETTINGS = {
    "model": {"weights": "none"},
    "train": {"epochs": 20, "batch_size": 16},
    "compute": {"device": "cpu", "threads": 1},
    "gate": {"explained": 0},
}


def read_images(path: Path) -> tuple[Cohort, Cohort]:
    """Return the study's images and further ones, the classes by turns."""
    with np.load(path) as held:
        images = held["train_images"].astype(np.float32)[:, np.newaxis].swapaxes(2, 3) / 255
        labels = held["train_labels"][:, 0].astype(np.intp)
    rng = np.random.default_rng(0)
    n = N_STUDY + N_NEW
    own = [rng.choice(np.flatnonzero(labels == label), n, replace=False) for label in (0, 1)]
    order = np.stack(own, axis=1)
    parts = (order[:N_STUDY].reshape(-1), order[N_STUDY:].reshape(-1))
    first, second = (Cohort(images[part], labels[part], np.arange(len(part))) for part in parts)
    return first, second


def collapse(drawn: Cohort) -> Cohort:
    """Return the first drawn image of each class again and again, with a little noise."""
    first = [int(np.flatnonzero(drawn.labels == label)[0]) for label in (0, 1)]
    images = drawn.images[[first[label] for label in drawn.labels]]
    noise = np.random.default_rng(1).normal(0, 0.01, images.shape).astype(np.float32)
    return Cohort(images + noise, drawn.labels, drawn.clusters)


def judge(study: Study, made: Cohort) -> str:
    """Plant images, judge them by the real command, and return a line of the table."""
    plant_drawn(study, made)
    return judge_drawn(study)


def judge_drawn(study: Study) -> str:
    """Judge what was drawn by the real command, and return a line of the table."""
    result = gate(study)
    if result.exit_code:
        sys.exit(result.output)
    folder = Layout(study.output.path).step(name_gate(0))
    said = json.loads((folder / "gate.json").read_text())
    shut = [
        f"{row['criterion']} ({row['statistic']}, {row['space']})"
        for row in read_table(folder / "criteria.tsv")
        if row["verdict"] in ("refused", "undecided")
    ]
    state = "open" if said["is_open"] else "shut"
    counts = f"{said['n_drawn']} | {said['n_refused']} | {said['n_accepted']}"
    return f"{state} | {counts} | {', '.join(shut) or '-'}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="pneumoniamnist.npz")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    n_steps = options.steps
    gan = {"generator": "gan", "width": 16, "steps": n_steps, "grid_steps": n_steps}
    gan["checkpoint_steps"] = min(250, n_steps)
    own, new = read_images(options.file)
    with tempfile.TemporaryDirectory() as folder:
        study = build_study(
            {**SETTINGS, "synthesise": gan, "output": {"path": f"{folder}/results"}}
        )
        write_images(study, own.images, labels=own.labels)
        print("images | gate | judged | refused one by one | accepted | not passed")
        print("new real images |", judge(study, new), flush=True)
        drawn = draw_generated(study)
        print("drawn |", judge_drawn(study))
        print("drawn, classes swapped |", judge(study, swap_labels(drawn)))
        print("drawn, collapsed |", judge(study, collapse(drawn)))
        train = read_train(study)
        chosen = np.random.default_rng(2).integers(0, len(train.images), len(drawn.images))
        copies = Cohort(train.images[chosen], train.labels[chosen], np.arange(len(chosen)))
        print("train images |", judge(study, copies))


if __name__ == "__main__":
    main()
