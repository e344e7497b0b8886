"""Benchmarks: each can be imported, and those of the intervals run."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEERS = ("imagehash", "torchio")
"""Libraries that a benchmark holds this project against, and that nothing else needs."""

IMPORT_ALL = f"""
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {PEERS}:
            raise
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of benchmarks, of which some import others."""
    # In a process of its own: a benchmark is named coverage, as a package of the tests is.
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)


def test_every_benchmark_can_be_imported_where_what_it_is_held_against_is_there() -> None:
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    assert "external_gap" in names
    # The folder comes first on the path, as it does for a benchmark that is run.
    found = run("-c", IMPORT_ALL, *names)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("command", [("external_gap.py",), ("coverage.py", "--subjects", "30")])
def test_the_simulations_of_intervals_run(command: tuple[str, ...]) -> None:
    found = run(*command, "--runs", "1")
    assert found.returncode == 0, found.stderr
    assert "AUC" in found.stdout
