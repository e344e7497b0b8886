"""The rule of the training starts the processes that the configuration asks for."""

import json
import sys
from pathlib import Path

import pytest
from children import run_snakemake
from pipeline import TINY, list_commands, run, write_config

from medvision.layout import Layout

CHECKOUT = Path(__file__).parents[2]
STUDY = {
    **TINY,
    "model": {"weights": "none"},
    "compute": {"processes_per_node": 2, "device": "cpu"},
}


@pytest.mark.slow
def test_the_rule_trains_by_two_processes_of_one_machine(tmp_path: Path) -> None:
    config = write_config(tmp_path, STUDY)
    for arguments in list_commands(config):
        if arguments[0] == "train":
            break
        run(arguments)
    layout = Layout(tmp_path / "results")
    record = layout.record("train/scratch/fold-0")
    done = run_snakemake(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(CHECKOUT / "Snakefile")),
            *("--directory", str(tmp_path), "--configfile", str(config), "--cores", "2"),
            str(record),
        ]
    )
    log = layout.root / "logs" / "train" / "scratch-fold-0.log"
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
    assert json.loads(record.read_text())["facts"]["processes"] == 2
    assert log.read_text().count("training by 2 processes on 1 nodes") == 1
    assert log.read_text().count("training scratch, fold 0, seed 0: done") == 1
