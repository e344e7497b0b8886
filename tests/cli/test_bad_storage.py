"""Output folders that cannot be written or fill up: told as such, and harmless afterwards."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_inputs import check_refusal, step, write_study
from pipeline import TINY, call, digest_tree, list_commands, run, write_config

from medvision.layout import Layout

Mount = Callable[..., Path]
RULE = "the output folder must be writable, it "


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a small file system where the output goes; needs the right to do so."""
    mounted: list[Path] = []

    def attach(folder: Path, options: str) -> Path:
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("this machine has no command mount")
        if done.returncode:
            pytest.skip("this account may not mount a file system")
        mounted.append(folder)
        return folder

    yield attach
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def check_harmless(results: Path) -> None:
    """Insist that nothing is half-written and that no step passes as done."""
    assert [path for path in results.rglob("*") if path.name.startswith(".part-")] == []
    assert list(results.rglob("record.json")) == []


@pytest.mark.parametrize("place", ["results", "results/deeper/still"])
def test_an_output_below_a_file_is_refused(place: str, tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    (folder / "results").write_text("a file")
    result = step("ingest", folder, f"output.path={folder / place}")
    check_refusal(result, 11, f"{RULE}has a file where a folder must be", "another output.path")
    assert (folder / "results").read_text() == "a file"


def test_an_output_on_a_read_only_disk_is_refused(tmp_path: Path, mount: Mount) -> None:
    folder = write_study(tmp_path)
    mount(folder / "results", "ro,size=1m")
    check_refusal(step("ingest", folder), 11, f"{RULE}is read-only", "choose another output.path")


def test_an_output_that_this_account_may_not_write_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = write_study(tmp_path)
    (folder / "results").mkdir(mode=0o500)
    check_refusal(step("ingest", folder), 11, f"{RULE}may not be written")


def test_a_full_disk_is_told_and_a_rerun_with_space_completes(tmp_path: Path, mount: Mount) -> None:
    folder = write_study(tmp_path)
    results = mount(folder / "results", "size=48k")
    result = step("ingest", folder)
    check_refusal(result, 11, f"{RULE}has no space left", "free space", "a rerun goes on")
    check_harmless(results)
    check_refusal(step("cohort", folder), 12, "step ingest must be complete, got no record of it")
    subprocess.run(["mount", "-o", "remount,size=8m", str(results)], check=True)
    for command in ("ingest", "measure", "cohort", "preprocess"):
        assert step(command, folder).exit_code == 0


def call_with_limit(arguments: list[str], *, n_bytes: int) -> tuple[int, str]:
    """Run a command in a child whose files may not grow beyond a size; return code and output."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        result = call(arguments)
        os.write(writing, result.output.encode()[-4000:])
        os._exit(result.exit_code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as stream:
        output = stream.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output


STAGES = (
    *("phantom", "ingest", "measure", "cohort", "preprocess", "pretrain", "train"),
    *("predict", "evaluate", "plan", "explain", "control", "shortcuts", "report", "audit"),
)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_may_not_write_enough_leaves_nothing_and_completes_later(
    stage: str, tiny_study: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, TINY)
    results = shutil.copytree(tiny_study, tmp_path / "results")
    (command, *_) = (line for line in list_commands(config) if line[0] == stage)
    exit_code, output = call_with_limit(command, n_bytes=300)
    assert exit_code == 11, output
    assert f"{RULE}may not hold a file of this size." in output
    assert "Traceback" not in output
    step_name = {"train": "train/transfer/fold-0", "control": "control/permuted/fold-0"}.get(
        stage, stage
    )
    layout = Layout(results)
    assert not layout.record(step_name).exists()
    assert [p for p in layout.step(step_name).rglob(".part-*") if p.is_file()] == []
    run(command)
    if stage != "audit":
        run(["audit", "seal", "--config", str(config)])
    assert digest_tree(results) == digest_tree(tiny_study)
