"""The gate with a published network as its fixed one: real ImageNet weights of SqueezeNet."""

import hashlib
import json
from pathlib import Path

import pytest
import toy_study
from planted_drawn import draw_new, gate, make_judged, plant_drawn, read_train
from synthetic_generators import copy_train

from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.runtime.files import read_json

pytestmark = pytest.mark.shared

FILE = "squeezenet1_1_imagenet_torchvision.pt"


@pytest.fixture
def weights(shared_data: Path, tmp_path: Path, monkeypatch) -> str:
    """The real file, on a shelf of its own under a name that describes its network."""
    shelf = tmp_path / "shelf"
    place = shelf / "squeezenet1_1-imagenet-copy" / FILE
    place.parent.mkdir(parents=True)
    place.symlink_to(shared_data / "weights" / FILE)
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(shelf))
    return "squeezenet1_1-imagenet-copy"


def make(root: Path, weights: str):
    return make_judged(
        root,
        preprocess={"intensity": "percentile"},
        gate={"extractor": weights, "repeats": 40},
    )


def test_copies_are_found_in_the_features_of_a_published_network(
    weights: str, shared_data: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(toy_study, "SIDE", 32)
    study = make(tmp_path, weights)
    plant_drawn(study, copy_train(read_train(study), n=32, alteration="noise"))
    result = gate(study)
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    folder = Layout(study.output.path).step("gate/fold-0")
    networks = {
        row["space"]: row for row in json.loads((folder / "gate.json").read_text())["networks"]
    }
    assert networks["fixed"]["name"] == f"squeezenet1_1 with the weights {weights}"
    rows = read_table(folder / "criteria.tsv")
    found = {r["criterion"]: r["verdict"] for r in rows if r["space"] == "fixed"}
    assert found["membership"] == "refused"
    record = read_json(folder / "record.json")
    content = (shared_data / "weights" / FILE).read_bytes()
    assert record["reads"]["source:extractor"] == hashlib.sha256(content).hexdigest()


def test_images_too_small_for_the_published_network_end_it_before_a_training(
    weights: str, tmp_path: Path, monkeypatch
) -> None:
    study = make(tmp_path, weights)
    plant_drawn(study, draw_new(8, seed=77))
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code == 2
    assert "images must be large enough for squeezenet1_1" in result.output


def test_volumes_take_no_published_network(weights: str, tmp_path: Path, monkeypatch) -> None:
    study = make_judged(tmp_path, spatial_dims=3, n_images=16, gate={"extractor": weights})
    plant_drawn(study, draw_new(8, seed=77, spatial_dims=3))
    monkeypatch.setattr("medvision.cli.gate.fit_seed", None)
    result = gate(study)
    assert result.exit_code == 2
    assert "gate.extractor: value must be none for volumes" in result.output
