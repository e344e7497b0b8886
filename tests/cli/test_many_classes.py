"""Three classes, two seeds and a signed plan, the whole way, and computed again by an audit."""

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from forgeries import edit_plan, refit
from pipeline import TINY, call, run, run_all, write_config
from recomputing import copy_bundle

from medvision.io.tables import read_table
from medvision.layout import Layout

CLASSES = ("benign", "malignant", "none")


@dataclass(frozen=True)
class Run:
    """A finished study, and the key that it was signed with."""

    layout: Layout
    key: Path

    def table(self, name: str):
        return read_table(self.layout.table("explain", name))

    def verify(self, bundle: Path | None = None, *, key: Path | None = None, level=2) -> Result:
        words = ["audit", "verify", str(bundle or self.layout.bundle), "--level", str(level)]
        words += ["--study", str(self.layout.root), "--public-key", str(key or self.key)]
        return call(words)


def write_labels(folder: Path) -> Path:
    """Give each subject of a phantom's archive one of three labels, by turns."""
    with (folder / "labels.csv").open() as stream:
        subjects = sorted({row["subject"] for row in csv.DictReader(stream)})
    path = folder / "three.csv"
    lines = [f"{name},{CLASSES[n % 3]}" for n, name in enumerate(subjects)]
    path.write_text("\n".join(["subject,label", *lines, ""]))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("three-classes")
    values = dict(TINY)
    phantom = {**values.pop("phantom"), "subjects": 18, "nifti_fraction": 0.0, "faults": False}
    run(["phantom", "--config", str(write_config(folder / "source", {"phantom": phantom}))])
    archive = folder / "source/results/phantom"
    run(["audit", "keygen", str(folder / "auditor.pem")])
    values |= {
        "data": {
            "kind": "dicom",
            "path": archive / "archive",
            "labels": write_labels(archive),
        },
        "model": {"weights": "none"},
        "train": {**TINY["train"], "seeds": [0, 1]},
        "explain": {
            **TINY["explain"],
            "methods": ["integrated_gradients", "layer_gradcam"],
            "stability_images": 1,
            "cascade_images": 1,
        },
        "audit": {"signing_key": folder / "auditor.pem"},
    }
    root = run_all(write_config(folder, values))
    return Run(Layout(root), folder / "auditor.pub.pem")


@pytest.mark.slow
def test_the_map_of_another_class_is_that_of_the_next_likely_one(finished: Run) -> None:
    predictions = {
        (row["image_id"], row["arm"], row["fold"], row["seed"]): row
        for row in read_table(finished.layout.predictions)
        if row["split"] == "test"
    }
    rows = [row for row in finished.table("checks") if row["check"] == "class_sensitivity"]
    judged = [row for row in rows if row["statistic"]]
    assert judged
    cases = {row["image_id"]: row for row in read_table(finished.layout.selection)}
    for row in judged:
        case = cases[row["image_id"]]
        held = predictions[case["image_id"], case["arm"], case["fold"], case["seed"]]
        shares = {name: float(held[f"probability_{name}"]) for name in CLASSES}
        others = {name: value for name, value in shares.items() if name != case["target"]}
        assert f"with the map of {max(others, key=others.__getitem__)}," in row["reason"]


@pytest.mark.slow
def test_each_method_has_its_control_of_another_class(finished: Run) -> None:
    methods = {row["method"] for row in read_table(finished.layout.attributions)}
    held = defaultdict(set)
    for row in finished.table("verdicts"):
        held[row["method"]].add(row["image_id"])
    for method in methods:
        assert held[f"control_other_class.{method}"] == held[method]


@pytest.mark.slow
def test_maps_are_held_against_those_of_networks_of_another_seed(finished: Run) -> None:
    rows = [row for row in finished.table("stability") if row["comparison"] == "other_seed"]
    assert rows
    for row in rows:
        assert -1 <= float(row["rank_correlation"]) <= 1
    summary = json.loads(finished.layout.explain_summary.read_text())
    assert "other_seed" in json.dumps(summary["consistency"])
    assert "a network trained with another seed" in finished.layout.report_html.read_text()


@pytest.mark.slow
def test_the_page_names_all_three_classes_and_their_explanations(finished: Run) -> None:
    page = finished.layout.report_html.read_text()
    targets = {row["target"] for row in read_table(finished.layout.selection)}
    assert targets <= set(CLASSES)
    for name in targets:
        assert f"Explained class: <b>{name}</b>" in page


@pytest.mark.slow
@pytest.mark.parametrize("level", [2, 5])
def test_the_bundle_is_computed_again(finished: Run, level: int) -> None:
    result = finished.verify(level=level)
    assert result.exit_code == 0, result.output
    assert "signed by the key" in " ".join(result.output.split())


@pytest.mark.slow
def test_another_key_is_not_the_signers(finished: Run, tmp_path: Path) -> None:
    run(["audit", "keygen", str(tmp_path / "other.pem")])
    result = finished.verify(key=tmp_path / "other.pub.pem")
    assert result.exit_code == 10
    assert "FAIL signature" in result.output
    assert "FAIL plan" in result.output


@pytest.mark.slow
def test_a_plan_edited_after_it_was_signed_is_found(finished: Run, tmp_path: Path) -> None:
    audited = copy_bundle(finished.layout.root, tmp_path)
    edit_plan(audited.bundle, lambda plan: plan["settings"].update(random_orders=9))
    refit(audited.bundle)
    result = finished.verify(audited.bundle)
    assert result.exit_code == 10
    assert "FAIL plan" in result.output
