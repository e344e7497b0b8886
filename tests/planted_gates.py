"""Drawn images and a gate's verdict on them, planted as their steps write both."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from medvision.cli._run import open_step
from medvision.cli._steps import list_folds
from medvision.cli._training.learning import read_learning_data
from medvision.config.model import Study
from medvision.domain.synthesis.criterion import COLUMNS, PASSED, REFUSED, Criterion, close_gate
from medvision.domain.synthesis.synthetic import SYNTHETIC_COLUMNS, name_gate, name_image, name_step
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout
from medvision.runtime.files import write_json

GATE_COLUMNS = ("image_id", "row", "label", "accepted", "reason")
CLASSES = ("benign", "nodule")
CRITERION = Criterion(
    *("fidelity", "labels", "agreement", 0.9, 0.8, 1.0, 8, 0.9, 0.8, "planted"),
    verdict=PASSED,
    reason="planted",
)
COPY = "near copy in backbone: 0.1 from train image 0, real subjects are at least 0.2 apart"
OPEN = "all 2 criteria passed"
SHUT = "1 of 2 criteria not passed: fidelity (refused)"


def plant_drawn(study: Study, fold: int = 0, *, per_class: int = 4, seed: int = 7) -> Path:
    """Write images as a generator would have drawn them; return their folder."""
    layout = Layout(study.output.path)
    shape = np.load(layout.array_shard("1-of-1"), mmap_mode="r").shape[1:]
    generator = np.random.default_rng(seed + fold)
    images = generator.normal(0, 0.3, (2 * per_class, *shape)).astype(np.float32)
    images[per_class:, :, 4:10, 4:10] += 1
    with open_step(name_step(fold), study, upstream=("cohort", "preprocess")) as step:
        read_learning_data(step)
        folder = layout.step(step.name)
        np.save(step.write(folder / "images.npy"), images)
        rows = [
            {
                "image_id": name_image(fold, row // per_class, number=row % per_class),
                "row": row,
                "label": CLASSES[row // per_class],
                "seed": row,
                "fold": fold,
                "synthetic": True,
            }
            for row in range(len(images))
        ]
        write_table(step.write(folder / "images.tsv"), rows, columns=SYNTHETIC_COLUMNS)
        write_json(step.write(folder / "images.json"), {"synthetic": True, "fold": fold})
    return folder


def plant_gate(
    study: Study, fold: int = 0, *, is_open: bool = True, refused: tuple[int, ...] = ()
) -> Path:
    """Write the verdict on what was drawn; return its folder."""
    layout, drawn = Layout(study.output.path), name_step(fold)
    upstream = ("cohort", "preprocess", drawn)
    with open_step(name_gate(fold), study, upstream=upstream) as step:
        read_learning_data(step)
        folder = layout.step(step.name)
        step.read(layout.step(drawn) / "images.npy")
        table = read_table(step.read(layout.step(drawn) / "images.tsv"))
        rows = [
            {
                "image_id": row["image_id"],
                "row": row["row"],
                "label": row["label"],
                "accepted": is_open and n not in refused,
                "reason": COPY if n in refused else "" if is_open else "the gate is shut",
            }
            for n, row in enumerate(table)
        ]
        write_table(step.write(folder / "images.tsv"), rows, columns=GATE_COLUMNS)
        n_accepted = sum(bool(row["accepted"]) for row in rows)
        criteria = [
            replace(CRITERION, verdict=PASSED if is_open else REFUSED),
            Criterion(
                *("memorisation", "backbone", "share of copies", len(refused) / len(rows)),
                *(0, 1, len(rows), 0.1, 1, "planted", PASSED, "planted"),
            ),
        ]
        verdict = close_gate(criteria, [])
        summary = {
            "is_open": verdict.is_open,
            "reason": verdict.reason,
            "n_drawn": len(rows),
            "n_accepted": n_accepted,
            "n_refused": len(refused),
        }
        write_json(step.write(folder / "gate.json"), summary)
        step.facts |= summary
        held = [asdict(own) for own in criteria]
        write_table(step.write(folder / "criteria.tsv"), held, columns=COLUMNS)
    return folder


def plant_all(study: Study, **verdict) -> None:
    """Write images and verdict of every fold."""
    for fold in list_folds(Layout(study.output.path)):
        plant_drawn(study, fold)
        plant_gate(study, fold, **verdict)
