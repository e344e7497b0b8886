"""`medvision doctor` on a real SLURM: what a site file promises, and what the cluster has."""

import os
from pathlib import Path

import pytest
import yaml
from cluster.runs import SITE, call
from cluster.slurm import Cluster
from fake_slurm import write_answer
from pipeline import TINY, write_config


def configure(folder: Path, site: object = SITE) -> None:
    """Write a tiny study with a site file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(site))
    ingest = {"workers": 1, "shards": 2}
    values = {**TINY, "ingest": ingest, "cluster": {"site": str(folder / "site.yaml")}}
    write_config(folder, values)


def test_doctor_finds_a_healthy_cluster_and_asks_its_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path)
    write_answer(tmp_path / "bin", "nvidia-smi", "GPU 0: fake\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    words = ("medvision", "doctor", "--config", "config.yaml", "--profile", "slurm", "--probe")
    done = call(cluster, tmp_path, *words)
    assert done.returncode == 0, done.stdout
    for said in ("cpu: 3 nodes, up to 2 GPUs a node", "gpu: 1 node, 2 GPUs a node", "1 GPU"):
        assert said in done.stdout
    assert "sees output folder and Python" in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "night"}, "night is not there"),
        ({"name": "cpu", "runtime": 600}, "runtime is 600 in the site file, the cluster has 60"),
        (
            {"name": "gpu", "gpus": 2, "gpu_type": "a100"},
            "of type a100 in the site file, nodes have 0",
        ),
    ],
)
def test_doctor_finds_what_a_site_file_promises_and_the_cluster_has_not(
    cluster: Cluster, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    configure(tmp_path, {"partitions": [changes]})
    done = call(
        cluster, tmp_path, *("medvision", "doctor", "--config", "config.yaml", "--profile", "slurm")
    )
    assert done.returncode == 1
    assert words in done.stdout
