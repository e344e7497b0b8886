"""Starting weights that are missing, foreign, broken or dangerous; and those that are good."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from bad_inputs import check_refusal
from click.testing import Result
from pipeline import call
from toy_study import make_study

from medvision.layout import Layout
from medvision.learn.backbones import build_backbone
from medvision.runtime.checkpoint import ModelMeta, save_model


def train(root: Path, weights: Path | str, *, backbone: str = "small") -> Result:
    sections = {
        "model": {"weights": str(weights), "backbone": backbone},
        "train": {"epochs": 1},
    }
    study = make_study(root / "study", **sections)
    arm = "scratch" if weights == "none" else "transfer"
    options = ["--arm", arm, "--fold", "0"]
    return call(["train", "--config", study.model_dump_json(), *options])


def write_weights(path: Path, backbone: str) -> Path:
    network = build_backbone(backbone, spatial_dims=3, channels=1, n_classes=2)
    meta = ModelMeta(backbone, 3, 1, ("a", "b"), "0")
    save_model(path, network.state_dict(), meta=meta)
    return path


class Evil:
    """Unpickled carelessly, this leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_weights_that_are_not_there_are_refused(tmp_path: Path) -> None:
    check_refusal(
        train(tmp_path, tmp_path / "none.safetensors"),
        8,
        "model.weights: path must exist, got",
        f"relative to the working directory, {Path.cwd()}",
    )


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    check_refusal(
        train(tmp_path, tmp_path),
        8,
        "model.weights: folder must be a study's output with a trained model",
        "name the folder that holds the other study's train/",
    )


def test_weights_of_another_network_are_refused_in_a_few_lines(tmp_path: Path) -> None:
    result = train(tmp_path, write_weights(tmp_path / "r.safetensors", "resnet18"))
    check_refusal(
        result,
        8,
        "share of matching backbone tensors must be >= 0.5, got 0:",
        "choose the backbone that the weights were made with",
    )
    assert len(result.output) < 600


@pytest.mark.parametrize("size", [0, 5, 5000])
def test_a_safetensors_file_cut_short_is_refused(size: int, tmp_path: Path) -> None:
    path = write_weights(tmp_path / "w.safetensors", "small")
    path.write_bytes(path.read_bytes()[:size])
    result = train(tmp_path, path)
    check_refusal(result, 8, "w.safetensors: weights must be a whole safetensors file", "again")


@pytest.mark.parametrize("size", [0, 5, 700])
def test_a_pickled_file_cut_short_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:size])
    check_refusal(train(tmp_path, path), 8, "w.pt: weights must ")


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_code_in_a_pickled_file_is_refused_and_never_run(writer: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    content = {"conv.weight": torch.zeros(3), "more": Evil(mark)}
    path.write_bytes(pickle.dumps(content)) if writer == "pickle" else torch.save(content, path)
    result = train(tmp_path, path)
    check_refusal(
        result,
        8,
        "w.pt: weights must hold tensors only, got code or unknown objects.",
        "convert the file to safetensors",
    )
    assert not mark.exists()
    assert "Warning" not in result.output


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(b"weights")
    check_refusal(train(tmp_path, path), 8, "w.h5: weights must be .safetensors, .pt, .pth or .tar")


def test_a_network_too_deep_for_the_arrays_is_refused_before_any_epoch(tmp_path: Path) -> None:
    result = train(tmp_path, "none", backbone="densenet121")
    check_refusal(
        result,
        2,
        "model.backbone: network must be shallow enough for arrays of 16x16x16 voxels",
        "choose model.backbone small, or enlarge preprocess.size",
    )
    assert not list((tmp_path / "study" / "train").rglob("*.pt"))


def test_another_studys_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert train(other, "none").exit_code == 0
    result = train(tmp_path, other / "study")
    assert result.exit_code == 0, result.output
    assert "100 % of the backbone" in result.output
    assert Layout(tmp_path / "study").model("transfer", 0, seed=0).is_file()
