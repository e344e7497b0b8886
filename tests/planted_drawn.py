"""Drawn images planted in a study as `medvision synthesise` writes them, and chests to study."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from synthetic_generators import Cohort
from toy_study import make_images, make_study

from medvision.cli._run import open_step
from medvision.cli._training.learning import read_learning_data
from medvision.cli.main import main
from medvision.config.model import Study
from medvision.domain.split import FOLD_COLUMNS
from medvision.domain.synthesis.synthetic import SYNTHETIC_COLUMNS, name_image, name_step
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json


def plant_drawn(study: Study, made: Cohort, *, fold: int = 0, classes=("benign", "nodule")) -> None:
    """Write images as if the generator of a fold had drawn them."""
    folder = Layout(study.output.path).step(name_step(fold))
    order = np.argsort(made.labels, kind="stable")
    with open_step(name_step(fold), study, upstream=("cohort", "preprocess")) as step:
        read_learning_data(step)
        np.save(step.write(folder / "images.npy"), made.images[order].astype("<f4"))
        rows = [
            {
                "image_id": name_image(fold, int(made.labels[place]), number=row),
                "row": row,
                "label": classes[made.labels[place]],
                "seed": row,
                "fold": fold,
                "synthetic": True,
            }
            for row, place in enumerate(order)
        ]
        write_table(step.write(folder / "images.tsv"), rows, columns=SYNTHETIC_COLUMNS)
        write_json(step.write(folder / "images.json"), {"synthetic": True, "fold": fold})


SETTINGS = {
    "synthesise": {"generator": "gan", "minimum_subjects": 3},
    "train": {"epochs": 12, "batch_size": 8},
    "gate": {"repeats": 60, "explained": 0},
}


def make_judged(root: Path, *, n_images: int = 96, **sections) -> Study:
    """A study of toy images whose network learns what tells the classes apart."""
    values = {**SETTINGS, **sections}
    return make_study(root / "results", n_images=n_images, **{"spatial_dims": 2, **values})


def read_train(study: Study, *, fold: int = 0) -> Cohort:
    """Return the stored train images of a fold."""
    layout = Layout(study.output.path)
    rows = [
        row
        for row in read_table(layout.folds, required=FOLD_COLUMNS)
        if (row["fold"], row["split"]) == (str(fold), "train")
    ]
    places = [int(row["image_id"].rpartition("-")[2], 16) for row in rows]
    images = np.load(layout.array_shard("1-of-1"))[places]
    labels = np.array([row["label"] == "nodule" for row in rows], dtype=np.intp)
    return Cohort(images, labels, np.arange(len(images)))


def draw_new(n_images: int, *, seed: int, spatial_dims: int = 2) -> Cohort:
    """Return images of subjects that the study does not hold: an honest generator's."""
    images, labels = make_images(n_images, seed=seed, spatial_dims=spatial_dims)
    return Cohort(images, labels.astype(np.intp), np.arange(n_images))


def draw_generated(study: Study, *, fold: int = 0) -> Cohort:
    """Train the generator of a fold by `medvision synthesise`, and return what it drew."""
    arguments = ["synthesise", "--fold", str(fold), "--config", study.model_dump_json()]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    folder = Layout(study.output.path).step(name_step(fold))
    labels = [row["label"] == "nodule" for row in read_table(folder / "images.tsv")]
    return Cohort(
        np.load(folder / "images.npy"), np.array(labels, dtype=np.intp), np.arange(len(labels))
    )


def gate(study: Study, *, fold: int = 0) -> Result:
    """Run `medvision gate` in this process."""
    arguments = ["gate", "--fold", str(fold), "--config", study.model_dump_json()]
    return CliRunner().invoke(main, arguments)
