"""Chest radiographs with fourteen findings each: labels as ChestX-ray14 has them, to statistics."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pipeline import Values, run_all, write_config
from predicted import SETTINGS as STATISTICS
from real_data import QUICK, choose_ingest, read_jpeg, write_dicom, write_labels
from sklearn.metrics import roc_auc_score

from medvision.domain.evaluation.multilabel import evaluate_findings
from medvision.domain.labels.rows import Classes
from medvision.io.tables import read_table
from medvision.layout import Layout

pytestmark = [pytest.mark.shared, pytest.mark.slow]

WANTED = ("Effusion", "Infiltration", "Atelectasis")
N_IMAGES = 90
SETTINGS: Values = {
    **QUICK,
    "cohort": {"folds": 2, "validation_fraction": 0.25, "near_duplicates": "off"},
    "preprocess": {"intensity": "percentile", "sizing": "resize", "size": [32, 32, 1]},
    "train": {"epochs": 2, "batch_size": 8, "monitor": "auc"},
    "explain": {
        **QUICK["explain"],
        "finding": "Effusion",
        "methods": ["occlusion"],
        "occlusion_window": [8, 8, 1],
        "occlusion_stride": [8, 8, 1],
    },
}


def list_findings(row: Mapping[str, str]) -> list[str]:
    """The names of all columns that say 1; `prob_` columns are another network's."""
    return [name for name, text in row.items() if text == "1"]


@pytest.fixture(scope="module")
def table(shared_data: Path) -> list[dict[str, str]]:
    return [dict(row) for row in read_table(shared_data / "nih_cxr14" / "labels.csv")]


@pytest.fixture(scope="module")
def layout(
    table: list[dict[str, str]], shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Layout:
    """The whole way, once, on names joined by |; the eleven other findings are left out."""
    folder = tmp_path_factory.mktemp("nih")
    rows = []
    for number, row in enumerate(table[:N_IMAGES]):
        pixels = read_jpeg(shared_data / "nih_cxr14" / "images" / row["file"])
        write_dicom(folder / "in", pixels, subject=row["patient"], number=number)
        label = "|".join(list_findings(row)) or "No Finding"
        rows.append({"subject": row["patient"], "label": label})
    data = {
        "kind": "dicom",
        "path": str(folder / "in"),
        "labels": str(write_labels(folder / "labels.csv", rows)),
        "task": "multilabel",
        "findings": list(WANTED),
    }
    return Layout(
        run_all(write_config(folder, {**SETTINGS, "data": data, "ingest": choose_ingest(folder)}))
    )


def test_every_finding_is_there_and_absent_in_every_split(layout: Layout) -> None:
    for fold in "01":
        for split in ("train", "validation", "test"):
            held = [
                set(row["label"].split("|"))
                for row in read_table(layout.folds)
                if (row["fold"], row["split"]) == (fold, split)
            ]
            for name in WANTED:
                assert 0 < sum(name in label for label in held) < len(held)


def test_findings_arrive_as_the_table_has_them(layout: Layout, table: list[dict[str, str]]) -> None:
    wanted = {name: sum(row[name] == "1" for row in table[:N_IMAGES]) for name in WANTED}
    labels = [row["label"].split("|") for row in read_table(layout.cohort)]
    assert {name: sum(name in label for label in labels) for name in WANTED} == wanted


def test_the_figures_are_scikit_learns_on_the_predictions(layout: Layout) -> None:
    rows = [r for r in read_table(layout.predictions) if r["split"] == "test"]
    metrics = {r["metric"]: r for r in read_table(layout.table("evaluate", "metrics"))}
    for name in WANTED:
        # Fold by fold, weighted by its pairs: two folds have two networks.
        won, pairs = 0.0, 0
        for fold in "01":
            own = [r for r in rows if r["fold"] == fold]
            truth = np.array([int(r[f"label_{name}"]) for r in own])
            area = roc_auc_score(truth, [float(r[f"logit_{name}"]) for r in own])
            n_pairs = int(truth.sum() * (len(truth) - truth.sum()))
            won, pairs = won + area * n_pairs, pairs + n_pairs
        assert float(metrics[f"auc_{name}"]["value"]) == pytest.approx(won / pairs)


def test_the_finding_that_is_named_is_explained(layout: Layout) -> None:
    assert {row["target"] for row in read_table(layout.selection)} == {"Effusion"}


def test_another_network_s_predictions_of_all_images_have_their_known_areas(
    table: list[dict[str, str]],
) -> None:
    """A CheXNet's probabilities lie in the table: all fourteen findings of all images."""
    names = [name.removeprefix("prob_") for name in table[0] if name.startswith("prob_")]
    rows = []
    for row in table:
        place = {"arm": "transfer", "repeat": "0", "inner": "0", "seed": "0", "fold": "0"}
        odds = {name: float(row[f"prob_{name}"]) for name in names}
        rows.append(
            {
                **place,
                "part": "0",
                "split": "test",
                "image_id": row["file"],
                "subject": row["patient"],
                "label": "|".join(list_findings(row)) or "No Finding",
                **{f"probability_{name}": repr(p) for name, p in odds.items()},
                **{f"logit_{name}": repr(float(np.log(p / (1 - p)))) for name, p in odds.items()},
            }
        )
    result = evaluate_findings(
        rows,
        {},
        classes=Classes(tuple(names), None, "multilabel"),
        settings=STATISTICS,
        variables={},
    )
    found = {estimate.metric: estimate for estimate in result.estimates}
    areas = {
        name: roc_auc_score(
            [int(row[name]) for row in table], [float(row[f"prob_{name}"]) for row in table]
        )
        for name in names
    }
    for name, area in areas.items():
        assert found[f"auc_{name}"].value == pytest.approx(area)
    mean = found["auc_macro"]
    assert mean.value == pytest.approx(np.mean(list(areas.values())))
    # On the whole test set 0.84 (Rajpurkar 2017, arXiv:1711.05225); here on a part of it.
    assert mean.low is not None
    assert mean.high is not None
    assert 0.7 < mean.low < mean.value < mean.high < 0.95
