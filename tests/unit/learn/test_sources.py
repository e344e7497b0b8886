"""Weights files: tensors are read, code never runs."""

import os

import pytest
import torch
from safetensors.torch import save_file

from medvision.errors import WeightsError
from medvision.learn.sources import read_weights
from medvision.learn.weights_path import find_weights

TENSORS = {"a.weight": torch.arange(3.0), "a.bias": torch.zeros(1)}


def test_safetensors_and_pickled_tensors_read_the_same(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors")
    torch.save({"state_dict": TENSORS, "epoch": 3}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        read = read_weights(tmp_path / name)
        assert read.keys() == TENSORS.keys()
        assert torch.equal(read["a.weight"], TENSORS["a.weight"])


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_pickled_file_is_refused_and_does_not_run(tmp_path):
    torch.save({"state_dict": TENSORS, "more": Attack(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="must hold tensors only"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_whole_pickled_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="must hold tensors only"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_file_cut_short_is_refused(tmp_path, name):
    path = tmp_path / name
    torch.save(TENSORS, path) if name.endswith("pt") else save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="must"):
        read_weights(path)


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}])
def test_file_without_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="must hold named tensors"):
        read_weights(tmp_path / "w.pt")


def test_unknown_kind_is_refused(tmp_path):
    with pytest.raises(
        WeightsError, match=r"must be \.safetensors, \.pt, \.pth or \.tar, got \.onnx"
    ):
        read_weights(tmp_path / "w.onnx")


def test_study_folder_means_the_first_seed_of_its_transfer_arm(tmp_path):
    for arm, seed in (("scratch", 1), ("transfer", 10), ("transfer", 2)):
        path = tmp_path / "train" / arm / "fold-0" / f"seed-{seed}" / "model.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    found = find_weights(tmp_path)
    assert found.relative_to(tmp_path).parts[1:4] == ("transfer", "fold-0", "seed-2")


def test_folder_without_a_model_and_missing_path_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="must be a study's output"):
        find_weights(tmp_path)
    with pytest.raises(WeightsError, match="path must exist"):
        find_weights(tmp_path / "nowhere")
