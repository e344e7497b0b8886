"""Ingestion in the workflow: divided or not the same bytes, nothing read twice, refusals later."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from children import run_snakemake
from click.testing import CliRunner
from dicoms import Plan, make_volume, write_series
from pipeline import TINY, digest_tree, write_config

from medvision.cli.main import main
from medvision.runtime.files import hash_file
from medvision.runtime.packs import INDEX

Values = Mapping[str, Mapping[str, object]]


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the workflow on the study in `folder`."""
    snakefile = Path(__file__).parents[2] / "Snakefile"
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2"),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml"), *options),
    ]
    return run_snakemake(command)


def configure(folder: Path, values: Values) -> Path:
    return write_config(folder, values).parent


def with_shards(total: int, **changes: object) -> Values:
    return {**TINY, "ingest": {"workers": 1, "shards": total, **changes}}


def list_jobs(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Return name and count of the jobs of a run, from Snakemake's own table."""
    table = (line.split() for line in (done.stdout + done.stderr).splitlines())
    counts = {words[0]: words[1] for words in table if len(words) == 2 and words[1].isdecimal()}
    return {name: int(count) for name, count in counts.items() if name != "total"}


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny cohort, ingested by three shards."""
    folder = configure(tmp_path_factory.mktemp("divided"), with_shards(3))
    done = snakemake(folder, "--until", "ingest")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_shards_leave_the_bytes_of_one_rule(divided: Path, tiny_study: Path) -> None:
    found = digest_tree(divided / "results" / "ingest")
    expected = digest_tree(tiny_study / "ingest")
    # The record names the number of shards.
    assert found.pop("record.json") != expected.pop("record.json")
    assert found == expected
    # Where there are several, images lie in packs: their names and bytes are the same.
    images = divided / "results" / "ingest" / "images"
    packs = [f"pack-{n}-of-3.zip" for n in (1, 2, 3)]
    assert sorted(path.name for path in images.iterdir()) == [*packs, INDEX]


@pytest.mark.slow
def test_a_study_that_is_divided_later_is_brought_into_packs_and_back(
    tmp_path: Path, tiny_study: Path
) -> None:
    """`ingest.images: auto`: the rules see the change, and no series is converted again."""
    folder = configure(tmp_path, with_shards(1))
    assert snakemake(folder, "--until", "ingest").returncode == 0
    images = tmp_path / "results" / "ingest" / "images"
    names = sorted(path.name for path in images.iterdir())
    digests = {name: hash_file(images / name) for name in names}
    assert len(names) > 20
    configure(folder, with_shards(3))
    done = snakemake(folder, "--until", "ingest")
    assert done.returncode == 0, done.stderr
    packs = [*(f"pack-{n}-of-3.zip" for n in (1, 2, 3)), INDEX]
    assert sorted(path.name for path in images.iterdir()) == packs
    assert {name: hash_file(images / name) for name in names} == digests
    logs = [path.read_text() for path in (tmp_path / "results/logs").glob("ingest-shard-*.log")]
    assert sum(": 0 of " in text for text in logs) == 3
    # A step that stands on the undivided ingestion says so.
    config = ["--config", str(folder / "config.yaml"), "--set", "ingest.shards=1"]
    stale = CliRunner().invoke(main, ["measure", *config])
    assert stale.exit_code == 12
    assert "medvision ingest" in stale.output
    configure(folder, with_shards(1))
    done = snakemake(folder, "--until", "ingest")
    assert done.returncode == 0, done.stderr
    assert {path.name: hash_file(path) for path in images.iterdir()} == digests


@pytest.mark.slow
def test_a_divided_ingestion_that_is_done_has_nothing_to_run(divided: Path) -> None:
    done = snakemake(divided, "-n", "--until", "ingest")
    assert done.returncode == 0, done.stderr
    assert list_jobs(done) == {}


@pytest.mark.slow
def test_a_rerun_keeps_index_and_images_and_reads_nothing_again(divided: Path) -> None:
    results = divided / "results"
    packs = (results / "ingest" / "images").glob("*.zip")
    times = {path: path.stat().st_mtime_ns for path in packs}
    assert len(times) == 3
    done = snakemake(divided, "--until", "ingest", "--forcerun", "ingest_index")
    assert done.returncode == 0, done.stderr
    assert list_jobs(done) == {"ingest_index": 1, "ingest_shard": 3, "ingest": 1}
    assert {path: path.stat().st_mtime_ns for path in times} == times
    logs = "".join(path.read_text() for path in (results / "logs").glob("ingest-shard-*.log"))
    assert logs.count(": 0 of ") == 3


@pytest.mark.slow
def test_another_number_of_shards_or_another_setting_runs_ingestion_again(divided: Path) -> None:
    for values, total in ((with_shards(2), 2), (with_shards(3, gap_tolerance=0.2), 3)):
        configure(divided, values)
        jobs = list_jobs(snakemake(divided, "-n", "--until", "ingest"))
        assert jobs == {"ingest_index": 1, "ingest_shard": total, "ingest": 1}
    configure(divided, with_shards(1))
    assert list_jobs(snakemake(divided, "-n", "--until", "ingest")) == {"ingest": 1}
    configure(divided, with_shards(3))


@pytest.mark.slow
def test_refused_files_stop_the_workflow_before_the_cohort_and_lose_nothing(
    tmp_path: Path,
) -> None:
    for n in range(12):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        paths = write_series(tmp_path / "scans", plan)
        if n == 0:
            paths[2].unlink()
    lines = [f"P-{n},{'yes' if n % 2 else 'no'}" for n in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["subject,label", *lines]) + "\n")
    data = {"kind": "dicom", "path": "scans", "labels": "labels.csv"}
    values = {**TINY, "data": data, "phantom": {}}
    folder = configure(tmp_path, values)
    done = snakemake(folder, "--until", "cohort")
    assert done.returncode != 0
    log = (tmp_path / "results" / "logs" / "cohort.log").read_text()
    assert "a reason that is accepted, got 4 missing-slice." in log
    # The run's last words: what failed, why, and where more is told.
    assert re.search(r"^ *cohort .* ✗ failed", done.stdout + done.stderr, re.MULTILINE)
    assert "Refused so far: 4 files (4 missing-slice)" in done.stdout + done.stderr
    assert re.search(r"more: tail -n 50 \S*results/logs/cohort.log", done.stdout + done.stderr)
    assert (tmp_path / "results" / "ingest" / "record.json").is_file()
    configure(tmp_path, {**values, "ingest": {"workers": 1, "accept": ["missing-slice"]}})
    done = snakemake(folder, "--until", "cohort")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "cohort" / "record.json").is_file()
