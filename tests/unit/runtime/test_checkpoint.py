"""Checkpoints: equal networks give equal bytes, and only whole files are read."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from medvision.domain.network_form import PLAIN, NetworkForm
from medvision.errors import WeightsError
from medvision.runtime.checkpoint import (
    ModelMeta,
    load_model,
    load_state,
    save_model,
    save_state,
)

META = ModelMeta("toy", 2, 1, ("a", "é"), "1.2.3")


def build(name, *, spatial_dims, channels, n_classes, form=PLAIN):
    assert (name, spatial_dims, channels) == ("toy", 2, 1)
    return nn.Sequential(nn.Conv2d(channels, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, n_classes))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("toy", spatial_dims=2, channels=1, n_classes=2)


def test_network_comes_back_bit_equal_and_in_evaluation_mode(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), meta=META)
    loaded, meta = load_model(path, build=build)
    assert meta == META
    assert not loaded.training
    expected = network.state_dict()
    assert all(torch.equal(expected[name], t) for name, t in loaded.state_dict().items())


def test_form_is_kept_in_the_file_and_handed_to_the_builder(tmp_path, network):
    path, form = (
        tmp_path / "model.safetensors",
        NetworkForm((0.1, 0.2), (1.0, 3.0), "acs", "folded"),
    )
    meta = ModelMeta("toy", 2, 1, ("a", "b"), "1.2.3", form)
    save_model(path, network.state_dict(), meta=meta)
    given = []

    def build_and_note(name, *, form, **sizes):
        given.append(form)
        return build(name, **sizes)

    assert load_model(path, build=build_and_note)[1] == meta
    assert given == [form]


def test_file_is_plain_safetensors_for_everyone(tmp_path, network):
    save_model(tmp_path / "model.safetensors", network.state_dict(), meta=META)
    assert load_file(tmp_path / "model.safetensors").keys() == network.state_dict().keys()


SAVE = """
import sys, torch
from pathlib import Path
from medvision.runtime.checkpoint import ModelMeta, save_model
meta = ModelMeta("toy", 2, 1, ("a", "b"), "1.2.3")
save_model(Path(sys.argv[1]), {"b": torch.ones(2), "a": torch.zeros(3)}, meta=meta)
"""


@pytest.mark.slow
def test_bytes_are_the_same_in_every_process(tmp_path):
    contents = set()
    for number in range(3):
        path = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", SAVE, str(path)], check=True)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_metadata_is_sorted_in_the_header(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), meta=META)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert size % 8 == 0
    names = list(json.loads(content[8 : 8 + size])["__metadata__"])
    assert names == sorted(META.as_text())


def test_tensor_too_few_is_refused(tmp_path, network):
    tensors = network.state_dict()
    del tensors["0.weight"]
    save_model(tmp_path / "model.safetensors", tensors, meta=META)
    with pytest.raises(WeightsError, match=r"tensors must be those of toy.*0\.weight"):
        load_model(tmp_path / "model.safetensors", build=build)


def test_file_cut_short_is_refused(tmp_path, network):
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), meta=META)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="must be a whole safetensors file"):
        load_model(path, build=build)


def test_file_of_another_program_does_not_say_what_it_is(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="must name its backbone"):
        load_model(tmp_path / "other.safetensors", build=build)


def test_state_comes_back_only_for_the_same_settings(tmp_path):
    path = tmp_path / "state.pt"
    assert load_state(path, settings_digest="a") is None
    save_state(path, {"epoch": 3, "tensor": torch.ones(2)}, settings_digest="a")
    state = load_state(path, settings_digest="a")
    assert state is not None
    assert state["epoch"] == 3
    assert load_state(path, settings_digest="b") is None


def test_failed_write_keeps_the_last_state(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"epoch": 3}, settings_digest="a")
    with pytest.raises(Exception, match="pickle"):
        save_state(path, {"epoch": lambda: None}, settings_digest="a")
    assert load_state(path, settings_digest="a") == {"epoch": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
