"""Toy films with a marker in a corner, and a study of them whose lesions have masks."""

from pathlib import Path

import numpy as np
import toy_study

from medvision.cli._run import Step, open_step
from medvision.cli._synthetic.mix import Drawn
from medvision.cli._training.fitting import Job
from medvision.cli._training.learning import prepare_device, read_learning_data
from medvision.cli._training.starting import find_start
from medvision.config.model import Study
from medvision.domain.synthesis.synthetic import name_gate, name_image
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

SIDE, MARKER, LESION, BRIGHT = 16, 4, 6, 2
SETTINGS = {
    "spatial_dims": 2,
    "train": {"epochs": 8, "batch_size": 8, "learning_rate": 0.005},
    "synthesise": {"generator": "gan"},
    "gate": {"explained": 24, "methods": ("integrated_gradients",)},
    "explain": {
        "occlusion_window": (4, 4, 1),
        "occlusion_stride": (2, 2, 1),
        "steps": 8,
        "random_orders": 10,
        "deletion_steps": 5,
        "baseline": 0.0,
    },
}


def draw_films(seed: int, n: int, *, is_shortcut: bool = False):
    """Return noise (n, 1, 16, 16), labels and masks; class 1 has a bright square.

    The marker is bright or dark by chance, as markers on films are. A shortcut: it is bright in
    class 1 alone, and the square is there or not by chance.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.normal(0, 0.3, (n, 1, SIDE, SIDE)).astype(np.float32)
    masks = np.zeros((n, SIDE, SIDE), dtype=bool)
    for row, label in enumerate(labels):
        i, j = rng.integers(MARKER, SIDE - LESION, 2)
        by_chance = bool(rng.integers(2))
        if by_chance if is_shortcut else label:
            masks[row, i : i + LESION, j : j + LESION] = True
        images[row, 0][masks[row]] += 1
        if label if is_shortcut else by_chance:
            images[row, 0, :MARKER, :MARKER] += BRIGHT
    return images, labels.astype(np.int64), masks


def name_drawn(images, labels, _masks) -> Drawn:
    """Return films as if a generator had drawn them."""
    names = tuple(name_image(0, int(label), number=n) for n, label in enumerate(labels))
    return Drawn(images, names, tuple(("benign", "nodule")[label] for label in labels))


def make_films(root: Path, monkeypatch, *, n_images: int = 96, **sections) -> Study:
    """Write a study of films up to preprocess, with a mask of every lesion."""
    images, labels, masks = draw_films(0, n_images)
    monkeypatch.setattr(toy_study, "make_images", lambda *_, **__: (images, labels))
    values = {name: {**held} for name, held in SETTINGS.items() if name != "spatial_dims"}
    for name, fields in sections.items():
        values[name] = {**values.get(name, {}), **fields}
    study = toy_study.make_study(root / "results", n_images=n_images, spatial_dims=2, **values)
    layout = Layout(study.output.path)
    rows = read_table(layout.cohort)
    with open_step("cohort", study, keeps=layout.step("cohort")) as step:
        for path in (layout.folds, layout.leakage, layout.cohort_summary):
            step.write(path)
        for row, mask in zip(rows, masks, strict=True):
            row["mask"] = row["image_id"] if mask.any() else ""
            if mask.any():
                grid, path = mask[..., None].astype(np.float32), layout.mask(row["image_id"])
                write_nifti(step.write(path), grid, affine=np.eye(4), is_placed=False)
        write_table(step.write(layout.cohort), rows, columns=[*rows[0]])
    return study


def open_gate(study: Study):
    """Open the gate's step of fold 0."""
    return open_step(name_gate(0), study, upstream=("cohort", "preprocess"))


def open_job(step: Step) -> Job:
    """Return the job of fold 0 on real images."""
    device, data = prepare_device(step), read_learning_data(step)
    arm = step.study.arms[0]
    return Job(step, step.study, data, arm, 0, device, find_start(step, data, arm=arm))
