"""A full memory names the setting to lower; other errors pass as they are."""

import pytest
import torch

from medvision.errors import TrainingError
from medvision.learn.memory import name_memory_faults

FULL = (
    MemoryError(),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
)


def fail(error, section="train"):
    with name_memory_faults(section=section, batch_size=32, accumulation=2):
        raise error


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_full_memory_names_the_setting(error):
    with pytest.raises(TrainingError, match="memory must be enough for 32 images") as caught:
        fail(error)
    assert "train.batch_size (now 32)" in caught.value.hint
    assert "train.accumulation (now 2)" in caught.value.hint


def test_the_source_task_s_own_setting_is_named():
    with pytest.raises(TrainingError) as caught:
        fail(MemoryError(), section="pretrain")
    assert "pretrain.batch_size" in caught.value.hint
    assert "accumulation" not in caught.value.hint


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("can't allocate")])
def test_other_errors_are_not_hidden(error):
    with pytest.raises(type(error), match=str(error)):
        fail(error)


def test_an_allocation_that_cannot_be_is_told_as_such():
    with (
        pytest.raises(TrainingError, match="memory"),
        name_memory_faults(section="train", batch_size=2, accumulation=1),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)
