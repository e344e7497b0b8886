"""The machine that a map was computed on, as far as its last digits depend on it."""

import platform
from pathlib import Path

from medvision.domain.record import JsonValue

_CPU_INFO = Path("/proc/cpuinfo")
_UNKNOWN = "unknown"


def describe_machine() -> dict[str, JsonValue]:
    """Return processor, vector instructions and threads: equal ones give equal bits.

    With the versions of the software, which a record holds anyway. Nothing here names the
    machine or its owner.
    """
    import torch

    return {
        "processor": _name_processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def _name_processor() -> str:
    """Return the model of the processor."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine() or _UNKNOWN
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine() or _UNKNOWN
