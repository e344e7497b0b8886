"""Checks of the machine: Python, packages, cores, memory, GPU; without importing torch."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from medvision.cli._doctor.findings import Finding, Status
from medvision.config.model import Study
from medvision.runtime.progress import say_size

_PYTHON = ((3, 11), (3, 14))
_REQUIREMENT = re.compile(r"^(?P<name>[\w.-]+)\s*(?:>=\s*(?P<lowest>[\d.]+))?")
_ENOUGH_MEMORY = 4e9
_QUERY_S = 20


def check_machine(study: Study | None) -> Iterator[Finding]:
    """Yield what the machine offers.

    Args:
        study: The configuration, where it could be read: says which device is wanted.
    """
    yield _check_python()
    yield _check_packages()
    yield _check_cores(study)
    yield _check_memory()
    yield _check_gpu(study)
    if study is not None:
        yield from _check_team(study)


def _check_python() -> Finding:
    """Compare the running Python with the supported ones."""
    lowest, beyond = _PYTHON
    if lowest <= sys.version_info[:2] < beyond:
        return Finding("Python", "ok", platform.python_version())
    hint = "use Python 3.11, 3.12 or 3.13."
    return Finding("Python", "fail", platform.python_version(), hint)


def _check_packages() -> Finding:
    """Compare installed versions with the least that this package's own metadata asks for."""
    try:
        requirements = importlib.metadata.requires("medvision") or []
    except importlib.metadata.PackageNotFoundError:
        hint = "install it with `pip install -e .` in the checkout."
        return Finding("Packages", "fail", "medvision is not installed", hint)
    needed = [text for text in requirements if "extra ==" not in text]
    faults = [fault for text in needed if (fault := _find_fault(text))]
    if faults:
        hint = "install with `pip install -c constraints.txt -e .`."
        return Finding("Packages", "fail", ", ".join(faults), hint)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "monai")]
    return Finding("Packages", "ok", f"{len(needed)} present, {', '.join(versions)}")


def _find_fault(requirement: str) -> str | None:
    """Return what is wrong with one required package, if anything."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return None
    name, lowest = match["name"], match["lowest"]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    if lowest and _parse_version(version) < _parse_version(lowest):
        return f"{name} {version} is older than {lowest}"
    return None


def _parse_version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version."""
    release = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in release[0].split(".")) if release else ()


def _check_cores(study: Study | None) -> Finding:
    """Compare the cores that this process may use with the threads wanted."""
    n_cores = _count_cores()
    if study is not None and study.compute.threads > n_cores:
        found = f"{n_cores}, compute.threads is {study.compute.threads}"
        return Finding("Cores", "warn", found, f"set compute.threads to {n_cores} or less.")
    return Finding("Cores", "ok", str(n_cores))


def _count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_memory() -> Finding:
    """Read the machine's memory."""
    try:
        n_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Finding("Memory", "warn", "unknown on this system", "4 GB or more are needed.")
    if n_bytes < _ENOUGH_MEMORY:
        hint = "4 GB or more are needed for volumes; lower preprocess.size and train.batch_size."
        return Finding("Memory", "warn", say_size(n_bytes), hint)
    return Finding("Memory", "ok", say_size(n_bytes))


def _check_gpu(study: Study | None) -> Finding:
    """Look for an NVIDIA GPU, and for a torch that can use it."""
    wanted = study.compute.device if study is not None else "auto"
    names = _list_gpus()
    if wanted == "cpu":
        return Finding("GPU", "ok", "not wanted: compute.device is cpu")
    if not names and wanted == "cuda":
        hint = "set compute.device to auto or cpu, or check the driver with nvidia-smi."
        return Finding("GPU", "fail", "none visible, compute.device is cuda", hint)
    if not names:
        return _judge_cpu_only(study)
    if _parse_local_build() == "cpu":
        hint = "install the CUDA build of torch; see docs/how-to/use-a-gpu.md."
        status: Status = "fail" if wanted == "cuda" else "warn"
        return Finding("GPU", status, f"{names[0]}, but torch is the CPU build", hint)
    return Finding("GPU", "ok", ", ".join(names))


def _check_team(study: Study) -> Iterator[Finding]:
    """Compare the processes that divide a training with what this machine has for each."""
    compute = study.compute
    n, n_cores = compute.processes_per_node, _count_cores()
    n_gpus = 0 if compute.device == "cpu" or _parse_local_build() == "cpu" else len(_list_gpus())
    if compute.nodes > 1:
        hint = "ask `medvision doctor --profile slurm`, or set compute.nodes to 1."
        yield Finding("Processes", "fail", f"compute.nodes is {compute.nodes}, here is 1", hint)
    if n_gpus and n > n_gpus:
        found = f"compute.processes_per_node is {n}, GPUs are {n_gpus}"
        yield Finding("Processes", "fail", found, "each takes a GPU of its own: ask for as many.")
    elif n > 1 and n * compute.threads > n_cores:
        found = f"{n} of {compute.threads} threads on {n_cores} cores"
        yield Finding("Processes", "warn", found, "lower compute.threads or processes_per_node.")


def _judge_cpu_only(study: Study | None) -> Finding:
    """Say whether the network is one that a CPU can train."""
    backbone = study.model.backbone if study is not None else "small"
    if backbone == "small":
        return Finding("GPU", "ok", "none; the CPU is used")
    hint = "use model.backbone: small, or a machine with a GPU."
    return Finding("GPU", "warn", f"none, and {backbone} trains slowly on a CPU", hint)


def _list_gpus() -> list[str]:
    """Return the names of visible GPUs: by nvidia-smi, else by their device files."""
    command = shutil.which("nvidia-smi")
    if command is not None:
        query = [command, "--query-gpu=name", "--format=csv,noheader"]
        try:
            done = subprocess.run(
                query, capture_output=True, text=True, timeout=_QUERY_S, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return []
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))


def _parse_local_build() -> str:
    """Return the part of torch's version after the plus sign, such as cpu or cu128."""
    try:
        return importlib.metadata.version("torch").partition("+")[2]
    except importlib.metadata.PackageNotFoundError:
        return ""
