"""The device is the one asked for, or an error says why not."""

import pytest
import torch

from medvision.errors import ConfigError
from medvision.runtime.device import choose_device, describe_device, limit_threads


def test_cpu_is_always_there():
    assert describe_device(choose_device("cpu")) == "cpu"


def test_auto_takes_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_missing_gpu_is_an_error_with_a_hint(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"must be visible.*compute.device to auto"):
        choose_device("cuda")


def test_threads_are_limited():
    before = torch.get_num_threads()
    try:
        limit_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        limit_threads(before)
