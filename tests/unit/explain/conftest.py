"""One thread for small networks: handing them around costs more than computing them."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    """Limit torch, which may have been imported before the environment could tell it."""
    torch.set_num_threads(1)
