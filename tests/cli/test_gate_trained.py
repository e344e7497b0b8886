"""`medvision gate` before generators that were really trained to copy, collapse or mislabel."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import synthetic_generators
from planted_drawn import SETTINGS, draw_generated, gate, plant_drawn
from synthetic_generators import Cohort, draw_cohort, swap_labels
from toy_study import make_images, write_images

from medvision.config.model import Study, build_study
from medvision.domain.synthesis.synthetic import name_gate
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import read_json

pytestmark = pytest.mark.slow

N_IMAGES, N_TRAIN, N_VALIDATION = 96, 12, 24

SMALL = {"minimum_subjects": 3, "width": 8, "batch_size": 8}
COPYING = {
    **SMALL,
    "steps": 1500,
    "latent": 16,
    "changes": [],
    "generator_rate": 0.004,
    "discriminator_rate": 0.006,
    "r1_weight": 0.03,
    "ratio": 4,
}
COLLAPSING = {**SMALL, "steps": 300, "generator_rate": 0.02, "discriminator_rate": 0.0005}
LEARNING = {
    **SMALL,
    "steps": 600,
    "changes": ["intensity", "translation"],
    "generator_rate": 0.006,
    "discriminator_rate": 0.008,
}


def make(root: Path, own: Cohort, gan: Mapping[str, object], *, sides=None) -> Study:
    """Write a study of some images, whose generator is trained as told."""
    watched = {"grid_steps": gan["steps"], "checkpoint_steps": 100}
    values = {
        **SETTINGS,
        "synthesise": {"generator": "gan", **gan, **watched},
        "model": {"weights": "none"},
        "compute": {"device": "cpu", "threads": 1},
        "output": {"path": str(root)},
    }
    study = build_study(values)
    write_images(study, own.images, labels=own.labels, sides=sides)
    return study


def draw_cubes() -> Cohort:
    """Noise, and a bright cube somewhere in images of the second class."""
    images, labels = make_images(N_IMAGES, seed=0, spatial_dims=2)
    return Cohort(images, labels.astype(np.intp), np.arange(N_IMAGES))


def judge(study: Study) -> dict[tuple[str, str, str], dict[str, str]]:
    """Judge what was drawn, and return the criteria; the gate must be shut."""
    result = gate(study)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    folder = Layout(study.output.path).step(name_gate(0))
    assert read_json(folder / "gate.json")["is_open"] is False
    rows = read_table(folder / "criteria.tsv")
    return {(row["criterion"], row["space"], row["statistic"]): row for row in rows}


def list_verdicts(rows, criterion: str) -> set[str]:
    return {row["verdict"] for (name, *_), row in rows.items() if name == criterion}


def test_a_generator_that_learnt_its_train_images_by_heart_is_refused_for_copies(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(synthetic_generators.SIDES, 2, 16)
    sides = ["train"] * N_TRAIN + ["validation"] * N_VALIDATION
    sides += ["test"] * (N_IMAGES - len(sides))
    study = make(tmp_path, draw_cohort(5, n_subjects=N_IMAGES), COPYING, sides=sides)
    draw_generated(study)
    rows = judge(study)
    copies = rows["memorisation", "pixels", "share of copies"]
    assert copies["verdict"] == "refused", copies
    members = rows["membership", "pixels", "area of train against validation"]
    assert members["verdict"] == "refused", members
    # They look like chests, which is why their quality would have let them through.
    assert "refused" not in list_verdicts(rows, "quality")


def test_a_generator_that_collapsed_in_training_is_refused_for_its_lack_of_variety(
    tmp_path,
) -> None:
    study = make(tmp_path, draw_cubes(), COLLAPSING)
    draw_generated(study)
    rows = judge(study)
    for name in ("benign", "nodule"):
        for space in ("backbone", "fixed"):
            width = rows["diversity", space, f"width of class {name}"]
            assert width["verdict"] == "refused", width
            assert float(width["value"]) < 0.3
    assert list_verdicts(rows, "memorisation") == {"passed", "described"}


def test_a_generator_that_learnt_swapped_labels_is_refused_by_the_classifier(tmp_path) -> None:
    own = draw_cubes()
    drawn = draw_generated(make(tmp_path / "swapped", swap_labels(own), LEARNING))
    right = make(tmp_path / "right", own, LEARNING)
    plant_drawn(right, drawn)
    assert list_verdicts(judge(right), "fidelity") == {"refused"}
    # The same images under the right names are no fault of this kind.
    plant_drawn(right, swap_labels(drawn))
    assert list_verdicts(judge(right), "fidelity") == {"passed"}
