"""Claims on `medvision status` while a run goes on: what failed, what is at work, what is left."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pipeline import write_config
from snakemake.persistence.db import LockORM
from sqlmodel import Session, create_engine, delete
from studies import configure, write_study

from medvision.cli._marks import write_mark
from medvision.cli._status.job_state import Standing, judge_job
from medvision.cli._status.jobs import Job, list_jobs
from medvision.cli._status.last_run import read_last_run
from medvision.cli._status.pace import Took, count_beside, estimate_left, sum_spent
from medvision.cli.main import main
from medvision.config.model import Study, build_study
from medvision.layout import Layout
from medvision.runtime.files import read_json, write_json, write_text

SPACE = {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
DIVIDED = ("ingest.shards=4", "preprocess.shards=2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Snakemake was started in, with its own folder and no lock."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "log").mkdir(parents=True)
    return tmp_path


def lock(folder: Path) -> None:
    """A run goes on."""
    write_text(folder / ".snakemake" / "locks" / "0.input.lock", "")


def lock_in_database(folder: Path) -> Session:
    """A run goes on whose locks are where the profile slurm has Snakemake keep them."""
    engine = create_engine(f"sqlite:///{folder / '.snakemake' / 'metadata.db'}")
    LockORM.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(LockORM(namespace="here", file_path="cohort.tsv", lock_type="output"))
        session.commit()
    return session


def say(folder: Path, *overrides: str, flags: Sequence[str] = ()) -> str:
    config = json.dumps(configure(folder / "results", *overrides).model_dump(mode="json"))
    result = CliRunner().invoke(main, ["status", "--config", config, *flags])
    assert result.exit_code == 0, result.output
    return result.output


def find_job(study: Study, layout: Layout, name: str) -> Job:
    (job,) = (job for job in list_jobs(study, layout) if job.name == name)
    return job


def stand(folder: Path, name: str, *overrides: str) -> Standing:
    study, layout = configure(folder / "results", *overrides), Layout(folder / "results")
    job = find_job(study, layout, name)
    return judge_job(job, study, layout, last_run=read_last_run(Path(".snakemake")))


def write_log(folder: Path, name: str, *lines: str) -> Path:
    path = folder / "results" / "logs" / f"{name}.log"
    write_text(path, "\n".join([*lines, ""]))
    return path


def write_benchmark(job: Job, *, seconds: float, end_s: float, cpu_s: object = 1.0) -> None:
    write_text(job.benchmark, f"s\tcpu_time\n{seconds}\t{cpu_s}\n")
    os.utime(job.benchmark, (end_s, end_s))


# How far a job is.


def test_a_job_is_at_work_while_the_locks_are_rows_of_snakemakes_database(folder: Path) -> None:
    session = lock_in_database(folder)
    write_log(folder, "cohort", "cohort: started")
    assert stand(folder, "cohort").state == "at work"
    session.exec(delete(LockORM))
    session.commit()
    assert stand(folder, "cohort").state == "failed"


def test_a_database_that_cannot_be_read_does_not_say_that_the_run_is_over(folder: Path) -> None:
    write_text(folder / ".snakemake" / "metadata.db", "no database")
    write_log(folder, "cohort", "cohort: started")
    assert stand(folder, "cohort").state == "at work"


def test_a_job_whose_log_ends_in_an_error_has_failed_and_says_where_to_look(folder: Path) -> None:
    lock(folder)
    log = write_log(folder, "cohort", "cohort: started", "error: cohort: x must be y.", "hint: z")
    output = say(folder)
    assert re.search(r"cohort +1 +\? +✗ failed", output)
    assert "Failed: 1 job." in output
    assert "cohort: x must be y." in output
    assert f"more: tail -n 50 {log}" in output


def test_what_an_unknown_error_quotes_is_not_told(folder: Path) -> None:
    lines = ("Traceback (most recent call last)", "OSError: cannot read /scans/DOE^JANE.dcm")
    write_log(folder, "measure", lines[0] + ":", lines[1])
    write_log(folder, "cohort", *lines)
    output = say(folder)
    assert "error: OSError, which is told in full in the log" in output
    assert "DOE" not in output


def test_a_job_without_an_end_is_at_work_while_a_run_goes_on_and_else_lost(folder: Path) -> None:
    write_log(folder, "measure", "reading: started")
    assert stand(folder, "measure").state == "failed"
    assert "killed, or out of memory or time" in stand(folder, "measure").error
    lock(folder)
    assert stand(folder, "measure").state == "at work"
    assert "✗ failed" in say(folder, flags=["--ended"])


def test_a_job_that_ended_well_and_whose_outputs_are_gone_is_left_to_do(folder: Path) -> None:
    log = write_log(folder, "measure", "measure: done")
    study, layout = configure(folder / "results"), Layout(folder / "results")
    end_s = log.stat().st_mtime
    write_benchmark(find_job(study, layout, "measure"), seconds=3, end_s=end_s)
    assert stand(folder, "measure").state == "left"


def write_leader(
    folder: Path, log: Path, *, at_s: float, message: str, further: str = "", rule: str = "measure"
) -> None:
    """What Snakemake writes of a failed job into its own log; of a queued one SLURM's log too."""
    clock = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(at_s))
    lines = [
        *("Execute 1 jobs...", f"[{clock}]", f"Error in rule {rule}:", f"    message: {message}"),
        *(
            "    jobid: 7",
            "    output: a, b",
            f"    log: {log}{further} (check log file(s) for error details)",
        ),
    ]
    name = f"{folder}/.snakemake/log/2026-01-01T000000.0.snakemake.log"
    write_text(Path(name), "\n".join([*lines, ""]))


def test_a_job_that_the_scheduler_killed_has_its_reason_until_it_is_tried_again(
    folder: Path,
) -> None:
    lock(folder)
    log = write_log(folder, "measure", "reading: started")
    at_s = log.stat().st_mtime
    message = "SLURM-job '6' failed, SLURM status is: 'OUT_OF_MEMORY'. For further details see x."
    write_leader(folder, log, at_s=at_s, message=message)
    found = stand(folder, "measure")
    assert (found.state, found.error) == ("failed", message.partition(". ")[0])
    write_leader(folder, log, at_s=at_s, message="None")
    assert stand(folder, "measure").error.startswith("ended without a word")
    os.utime(log, (at_s + 5, at_s + 5))
    assert stand(folder, "measure").state == "at work"


def test_a_queued_job_that_was_killed_before_it_spoke_shows_what_slurm_said(folder: Path) -> None:
    lock(folder)
    log = write_log(folder, "measure", "reading: started")
    at_s = log.stat().st_mtime
    message = "SLURM-job '40' failed, SLURM status is: 'FAILED'. Detailed reason unavailable"
    said = folder / ".snakemake" / "slurm_logs" / "rule_measure" / "40.log"
    write_text(said, "slurmstepd: error: Exceeded job memory limit\n")
    write_leader(folder, log, at_s=at_s, message=message, further=f", {said}")
    output = say(folder)
    assert re.search(r"measure +1 +\? +✗ failed", output)
    assert "SLURM-job '40' failed, SLURM status is: 'FAILED'" in output
    assert f"more: tail -n 50 {log} {said}" in output
    write_text(log, "error: measure: x must be y.\n")
    write_leader(folder, log, at_s=log.stat().st_mtime, message=message, further=f", {said}")
    assert f"more: tail -n 50 {log}\n" in say(folder)
    # Killed while it started: Snakemake leaves an empty log, or none.
    for spoil in (lambda: write_text(log, ""), log.unlink):
        spoil()
        assert stand(folder, "measure").state == "failed"
        assert f"more: tail -n 50 {said}\n" in say(folder)


REFUSAL = """\
SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nope
sbatch: error: see /home/doe jane/why.txt, account/partition is not yours
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    sbatch call:
        sbatch --output /home/doe/.snakemake/slurm_logs/%j.log"""


@pytest.mark.parametrize("has_log", [False, True])
def test_a_job_that_slurm_refused_has_failed_in_slurms_words(
    folder: Path,
    has_log: bool,
) -> None:
    lock(folder)
    log = write_log(folder, "cohort", "error: cohort: of an earlier attempt.")
    at_s = log.stat().st_mtime + 9
    if not has_log:
        log.unlink()
    write_leader(folder, log, at_s=at_s, message=REFUSAL)
    found = stand(folder, "cohort")
    assert found.state == "failed"
    assert found.error == (
        "SLURM refused it: invalid partition specified: nope; see …, account/partition is not "
        "yours; Batch job submission failed: Invalid partition name specified"
    )
    output = say(folder)
    assert "doe" not in output
    assert "jane" not in output
    assert "more: medvision doctor --profile slurm" in output
    assert f"tail -n 50 {log}" not in output


def test_a_job_that_is_done_again_and_refused_has_failed(folder: Path) -> None:
    lock(folder)
    study, layout = configure(folder / "results"), Layout(folder / "results")
    log = write_log(folder, "measure", "measure: done")
    end_s = log.stat().st_mtime
    write_benchmark(find_job(study, layout, "measure"), seconds=3, end_s=end_s)
    # Of the run before the one that ended well.
    write_leader(folder, log, at_s=end_s - 60, message=REFUSAL)
    assert stand(folder, "measure").state == "left"
    write_leader(folder, log, at_s=end_s + 60, message=REFUSAL)
    found = stand(folder, "measure")
    assert (found.state, found.at_s) == ("failed", pytest.approx(end_s + 60, abs=1))
    assert "Failed: 1 job." in say(folder)


def test_a_job_of_other_settings_that_is_refused_has_failed_until_it_is_done(
    folder: Path,
) -> None:
    write_study(folder / "results")
    layout = Layout(folder / "results")
    log = folder / "results" / "logs" / "evaluate.log"
    at_s = layout.record("evaluate").stat().st_mtime + 60
    write_leader(folder, log, at_s=at_s, message=REFUSAL)
    assert stand(folder, "evaluate", "evaluate.n_resamples=500").state == "failed"
    os.utime(layout.record("evaluate"), (at_s + 5, at_s + 5))
    assert stand(folder, "evaluate").state == "done"


def test_a_lost_record_below_what_is_done_comes_with_what_has_it_made_again(folder: Path) -> None:
    write_study(folder / "results")
    layout = Layout(folder / "results")
    layout.record("evaluate").unlink()
    # The bundle is not there: Snakemake finds by itself what it needs.
    assert say(folder).endswith("Next: evaluate.\n")
    held = read_json(layout.record("report"))
    study = configure(folder / "results")
    write_json(layout.record("audit"), {**held, "parameters": study.settings("audit")})
    assert f"add --forcerun {layout.record('evaluate')} to its command." in say(folder)


def test_shards_are_counted_and_so_is_what_they_refused(folder: Path) -> None:
    layout = Layout(folder / "results")
    lock(folder)
    study = configure(folder / "results", *DIVIDED)
    write_mark(layout.ingest_shard("index"), {"files": 9}, study=study, step="ingest")
    told = ({"missing-slice": 2}, {"missing-slice": 1, "truncated": 4})
    for number, refused in enumerate(told, start=1):
        mark = layout.ingest_shard(f"{number}-of-4")
        write_mark(mark, {"jobs": 3, "refused": {**refused}}, study=study, step="ingest")
    write_log(folder, "ingest-shard-3-of-4", "converting: started")
    output = say(folder, *DIVIDED)
    # Index and two shards are done, one is at work; a shard and what gathers all are left.
    assert re.search(r"ingest +3 +1 +2 +\? +… at work", output)
    assert "Refused so far: 7 files (4 truncated, 3 missing-slice), 0 images." in output
    # A shard of other settings must be done again.
    again = say(folder, *DIVIDED, "ingest.gaps=resample")
    assert re.search(r"ingest +1 +5 +\? +! other settings", again)
    assert re.search(r"ingest +3 +1 +2 ", say(folder, *DIVIDED, "train.epochs=7"))
    write_text(layout.ingest_shard("1-of-4"), "{")
    assert re.search(r"ingest +2 +1 +3 +\? +! unreadable", say(folder, *DIVIDED))


def test_logs_and_benchmarks_are_those_of_the_rules(tmp_path: Path, checkout: Path) -> None:
    values: dict[str, dict[str, object]] = {
        "cohort": {"folds": 2, "inner_folds": 2},
        "ingest": {"shards": 2},
        "preprocess": {"shards": 2},
        "tune": {"trials": 2, "workers": 2, "space": SPACE},
        "scorecard": {"sources": ["pretrain"]},
        "synthesise": {"generator": "gan"},
    }
    config = write_config(tmp_path, values)
    command = [sys.executable, "-m", "snakemake", "-np", "-s", str(checkout / "Snakefile")]
    command += ["--directory", str(tmp_path), "--configfile", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = set(re.findall(r"> (\S+\.log) 2>&1", done.stdout + done.stderr))
    study = build_study(yaml.safe_load(config.read_text()))
    jobs = list_jobs(study, Layout(tmp_path / "results"))
    assert {str(job.log) for job in jobs} == told
    rules = "".join(path.read_text() for path in (checkout / "workflow" / "rules").glob("*.smk"))
    named = re.findall(r"log_of\((.+)\),\n +benchmark:\n +benchmark_of\((.+)\)\n", rules)
    assert len(named) == rules.count("    benchmark:")
    assert all(benchmark == log.replace("/", "-") for log, benchmark in named)


# How long it takes.


def make_jobs(folder: Path, states: Sequence[str]) -> list[Standing]:
    """Jobs of one kind in the given states."""
    found = []
    for n, state in enumerate(states):
        log, benchmark = folder / f"x-{n}.log", folder / f"x-{n}.tsv"
        job = Job(f"x-{n}", "x", folder / f"{n}.json", is_part=True, log=log, benchmark=benchmark)
        found.append(Standing(job, state))
    return found


def test_shards_that_are_left_take_the_mean_of_the_others_as_many_side_by_side(
    tmp_path: Path,
) -> None:
    jobs = make_jobs(tmp_path, ["done"] * 4 + ["left"] * 6)
    # Two at a time, with a night in between that counts for nothing.
    for job, end_s in zip(jobs, (100, 100, 50_100, 50_100), strict=False):
        write_benchmark(job.job, seconds=100, end_s=end_s)
    assert estimate_left(jobs) == pytest.approx(300)
    assert estimate_left(jobs[:4]) == 0
    assert estimate_left(jobs[4:]) is None


def test_a_log_that_tells_the_time_left_is_believed(tmp_path: Path) -> None:
    jobs = make_jobs(tmp_path, ["at work"])
    write_text(jobs[0].job.log, "epoch 1, 0:20:00 left\nepoch 2, 1:00:05 left\n")
    assert estimate_left(jobs) == 3605


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=6),
)
def test_jobs_side_by_side_are_counted_as_second_by_second(spans: list[tuple[int, int]]) -> None:
    took = [Took(float(n), 0.0, float(start + n)) for start, n in spans]
    seconds = [s for start, n in spans for s in range(start, start + n)]
    assert count_beside(took) == pytest.approx(len(seconds) / len(set(seconds)))


def test_gpu_hours_are_those_of_each_process_and_of_what_is_done_alone(tmp_path: Path) -> None:
    study, layout = write_study(tmp_path), Layout(tmp_path)
    last_run = read_last_run(tmp_path / ".snakemake")
    path = layout.record("train/scratch/fold-0")
    record = read_json(path)
    assert isinstance(record, dict)
    write_json(path, {**record, "device": "NVIDIA H200", "facts": {"processes": 4}})
    for name in ("train/scratch-fold-0", "predict", "audit"):
        write_benchmark(find_job(study, layout, name), seconds=1800, end_s=9, cpu_s="NA")
    jobs = [judge_job(job, study, layout, last_run=last_run) for job in list_jobs(study, layout)]
    spent = sum_spent(jobs, layout)
    assert (spent.job_hours, spent.cpu_hours, spent.gpu_hours) == (1.0, 0.0, 2.0)
