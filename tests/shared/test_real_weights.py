"""Two real files of ImageNet weights, loaded by the configuration and by hand."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from toy_study import make_study

from medvision.cli.main import main
from medvision.domain.network_form import NetworkForm
from medvision.io.tables import read_table
from medvision.layout import Layout
from medvision.learn.backbones import build_backbone, head_names
from medvision.learn.entrance import build_form
from medvision.learn.registry import read_sources
from medvision.learn.sources import read_weights
from medvision.learn.transfer import load_weights

pytestmark = pytest.mark.shared

FILES = {
    "squeezenet1_1": ("squeezenet1_1_imagenet_torchvision.pt", "squeezenet1_1-imagenet-copy"),
    "mobilenet_v2": ("mobilenet_v2_imagenet.pt", "mobilenet_v2-imagenet-folded"),
}


@pytest.mark.parametrize("backbone", FILES)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_every_tensor_of_the_real_file_is_taken_but_the_head(
    shared_data: Path, backbone: str, spatial_dims: int
) -> None:
    file, name = FILES[backbone]
    source = read_sources(Path("/nowhere"))[name]
    form = build_form(source, intensity="window", channels=1)
    network = build_backbone(
        backbone, spatial_dims=spatial_dims, channels=1, n_classes=2, form=form
    )
    report = load_weights(
        network,
        read_weights(shared_data / "weights" / file),
        head=head_names(backbone),
        minimum_match=1,
        adapt_3d="inflate",
    )
    assert report.match == 1
    assert {row.status for row in report.rows} <= {"loaded", "adapted", "skipped-head"}
    assert (report.count("adapted") == 0) == (spatial_dims == 2)


def train(root: Path, path: Path, backbone: str, **model: object) -> Layout:
    study = make_study(
        root,
        n_images=16,
        spatial_dims=2,
        model={"backbone": backbone, "weights": str(path), "policy": "linear", **model},
        preprocess={"intensity": "percentile"},
        train={"epochs": 1, "batch_size": 4},
    )
    for arm in ("transfer", "scratch"):
        arguments = ["train", "--config", study.model_dump_json(), "--fold", "0", "--arm", arm]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    return Layout(root)


def test_the_form_is_found_by_digest_and_sealed_with_both_arms(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "weights" / FILES["mobilenet_v2"][0]
    layout = train(tmp_path, path, "mobilenet_v2")
    norms = {"transfer": "folded", "scratch": "usual"}
    for arm, norm in norms.items():
        with safe_open(layout.model(arm, 0, seed=0), framework="pt") as file:
            held = json.loads(file.metadata()["form"])
        assert held == {
            "mean": [0.5] * 3,
            "sd": [0.5] * 3,
            "convolution": "full",
            "norm": norm,
        }
    summary = json.loads((layout.seed("transfer", 0, seed=0) / "summary.json").read_text())
    assert summary["weights_source"] == "mobilenet_v2-imagenet-folded"
    assert summary["weights_match"] == 1


def test_a_frozen_backbone_keeps_the_files_numbers_through_training(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "weights" / FILES["mobilenet_v2"][0]
    layout = train(tmp_path, path, "mobilenet_v2")
    given = read_weights(path)
    held = read_weights(layout.model("transfer", 0, seed=0))
    for name, tensor in held.items():
        if not name.startswith("classifier"):
            assert torch.equal(tensor, given[name]), name
    rows = read_table(layout.seed("transfer", 0, seed=0) / "weights.tsv")
    assert {row["status"] for row in rows} == {"loaded", "skipped-head"}


def test_real_stem_sees_grey_as_its_copies_in_three_colours(shared_data: Path) -> None:
    tensors = read_weights(shared_data / "weights" / FILES["squeezenet1_1"][0])
    form = NetworkForm((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    original = build_backbone("squeezenet1_1", spatial_dims=2, channels=3, n_classes=1000)
    adapted = build_backbone("squeezenet1_1", spatial_dims=2, channels=1, n_classes=1000, form=form)
    for network in (original, adapted):
        network.load_state_dict(tensors)
    grey = torch.rand(1, 1, 96, 96)
    mean, sd = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (form.mean, form.sd))
    with torch.no_grad():
        expected = original.eval()((grey.expand(-1, 3, -1, -1) - mean) / sd)
        assert torch.equal(adapted.eval()(grey), expected)
