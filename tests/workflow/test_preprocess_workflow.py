"""Preprocessing in the workflow: divided or not the same bytes, whatever was stored before."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import TINY, digest_tree, write_config

Values = Mapping[str, Mapping[str, object]]


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow up to preprocessing on the study in `folder`."""
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2"),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
        *("--until", "preprocess", *options),
    ]
    return run_snakemake(command)


def configure(folder: Path, **changes: object) -> Path:
    values: Values = {**TINY, "preprocess": {**TINY["preprocess"], "shards": 2, **changes}}
    return write_config(folder, values).parent


@pytest.mark.slow
def test_shards_by_jobs_are_gathered_and_come_out_the_same_again(tmp_path: Path) -> None:
    folder = configure(tmp_path / "divided")
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    divided = digest_tree(folder / "results" / "preprocess")
    log = folder / "results" / "logs" / "preprocess.log"
    assert " 0 to compute" in log.read_text()
    again = snakemake(folder, "-n")
    assert again.returncode == 0
    assert "rule preprocess" not in again.stdout + again.stderr
    configure(folder, dtype="float32")
    assert snakemake(folder).returncode == 0
    configure(folder)
    assert snakemake(folder).returncode == 0
    assert digest_tree(folder / "results" / "preprocess") == divided


@pytest.mark.slow
def test_an_edited_plug_in_is_seen_and_its_arrays_are_computed_anew(tmp_path: Path) -> None:
    folder = configure(tmp_path / "study", plugins=["add:one"])
    source = "def one(array, affine):\n    return array + 1, affine\n"
    (folder / "add.py").write_text(source)
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    before = digest_tree(folder / "results" / "preprocess")
    assert "rule preprocess" not in (again := snakemake(folder, "-n")).stdout + again.stderr
    (folder / "add.py").write_text(source.replace("+ 1", "+ 9"))
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    assert digest_tree(folder / "results" / "preprocess") != before


@pytest.mark.slow
def test_any_file_of_a_plug_in_that_is_a_package_is_watched(tmp_path: Path) -> None:
    folder = configure(tmp_path / "study", plugins=["lobes:one"])
    package = folder / "lobes"
    package.mkdir()
    (package / "__init__.py").write_text("from lobes.rule import one\n")
    (package / "rule.py").write_text("def one(array, affine):\n    return array + 1, affine\n")
    graph = snakemake(folder, "--filegraph", "preprocess")
    assert graph.returncode == 0, graph.stderr
    assert "lobes/__init__.py" in graph.stdout
    assert "lobes/rule.py" in graph.stdout
