"""A study folder up to preprocess, made of tiny cubes, for tests of what comes after."""

import json
from pathlib import Path

import numpy as np

from medvision.cli._run import open_step
from medvision.config.model import Study, build_study
from medvision.domain.split import FOLD_COLUMNS
from medvision.io.tables import write_table
from medvision.layout import Layout
from medvision.runtime.arrays import ARRAY_INDEX_COLUMNS
from medvision.runtime.files import write_json

SIDE = 16


def make_images(n_images: int, *, seed: int, spatial_dims: int = 3, labels=None):
    """Noise (N, 1, 16, 16[, 16]); images of label 1 hold a bright cube somewhere."""
    generator = np.random.default_rng(seed)
    images = generator.normal(0, 0.3, (n_images, 1, *[SIDE] * spatial_dims)).astype(np.float32)
    labels = np.arange(n_images) % 2 if labels is None else labels
    for row in np.flatnonzero(labels):
        corner = generator.integers(2, 8, spatial_dims)
        images[(row, 0, *(slice(c, c + 6) for c in corner))] += 1
    return images, labels.astype(np.int64)


def make_study(
    root: Path,
    *,
    n_images: int = 24,
    spatial_dims: int = 3,
    n_inner: int = 1,
    outside: tuple[int, int] = (0, 0),
    **sections,
) -> Study:
    """Write cohort and preprocess outputs with their records, and return the configuration.

    `outside` is the number of images of an external cohort, behind the others, and their seed.
    """
    values = {
        "output": {"path": str(root)},
        "model": {"weights": "none"},
        "train": {"epochs": 2, "batch_size": 4},
        "compute": {"device": "cpu"},
    }
    for name, fields in sections.items():
        values[name] = {**values.get(name, {}), **fields}
    study = build_study(values)
    images, labels = make_images(n_images, seed=0, spatial_dims=spatial_dims)
    n_external, seed = outside
    if n_external:
        others, own = make_images(n_external, seed=100 + seed, spatial_dims=spatial_dims)
        # Another seed turns the labels over as well.
        images, labels = np.concatenate([images, others]), np.append(labels, (own + seed) % 2)
    names = [f"sub-{row:010x}_img-{row:012x}" for row in range(len(images))]
    _write_cohort(study, names=names, labels=labels, n_inner=n_inner, n_external=n_external)
    _write_arrays(study, names=names, images=images)
    return study


def write_images(study: Study, images, *, labels, sides=None) -> None:
    """Write cohort and preprocess outputs of given images (N, C, I, J), each of its own subject.

    `sides` are those of the images in the one fold; without, there are two, dealt by turns.
    """
    names = [f"sub-{row:010x}_img-{row:012x}" for row in range(len(images))]
    _write_cohort(study, names=names, labels=labels, n_inner=1, n_external=0, sides=sides)
    _write_arrays(study, names=names, images=images)


def _write_cohort(
    study: Study, *, names, labels, n_inner: int, n_external: int, sides=None
) -> None:
    layout, n_parts = Layout(study.output.path), 1 if sides else 2
    with open_step("cohort", study) as step:
        rows = [
            {
                "fold": part * n_inner + inner,
                "repeat": 0,
                "part": part,
                "inner": inner,
                "image_id": name,
                "subject": name.partition("_")[0],
                "label": ["benign", "nodule"][label],
                "split": "external"
                if row >= len(names) - n_external
                else sides[row]
                if sides
                else _name_split(row // 2, part, inner=inner),
            }
            for part in range(n_parts)
            for inner in range(n_inner)
            for row, (name, label) in enumerate(zip(names, labels, strict=True))
        ]
        write_table(step.write(layout.folds), rows, columns=FOLD_COLUMNS)
        held = [
            {"image_id": name, "subject": name.partition("_")[0], "group": name.partition("_")[0]}
            for name in names
        ]
        write_table(step.write(layout.cohort), held, columns=("image_id", "subject", "group"))
        write_table(step.write(layout.leakage), [], columns=("image_a", "image_b"))
        summary = {
            "classes": ["benign", "nodule"],
            "positive": "nodule",
            "n_folds": n_parts * n_inner,
        }
        write_json(step.write(layout.cohort_summary), summary)


def _name_split(pair: int, part: int, *, inner: int) -> str:
    """Return the side of a pair of subjects: each inner training validates on another quarter."""
    place = (pair + 2 * part) % 4
    return "test" if place == 0 else "validation" if place == 1 + inner else "train"


def _write_arrays(study: Study, *, names, images) -> None:
    layout = Layout(study.output.path)
    with open_step("preprocess", study) as step:
        np.save(step.write(layout.array_shard("1-of-1")), images)
        affine = json.dumps(np.eye(4).tolist())
        rows = [
            {
                "row": row,
                "shard": "1-of-1",
                "image_id": name,
                "scale": 1,
                "offset": 0,
                "source_shape": "x".join(map(str, (*images.shape[2:], 1)[:3])),
                "source_affine": affine,
                "tensor_affine": affine,
            }
            for row, name in enumerate(names)
        ]
        write_table(step.write(layout.array_index), rows, columns=ARRAY_INDEX_COLUMNS)
        meta = {
            "spatial_dims": images.ndim - 2,
            "channels": images.shape[1],
            "shape": list(images.shape),
            "steps": [],
        }
        write_json(step.write(layout.array_meta), meta)
