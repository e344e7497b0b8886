"""How many jobs a stage is worth: never so many that starting them is more than its share."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.cli._doctor.shards import (
    MOST_STARTUP,
    STARTUP_S,
    check_shards,
    count_shards,
    estimate_work,
)
from medvision.config.model import Study, build_study
from medvision.layout import Layout


@given(st.floats(0, 1e9), st.integers(1, 3))
def test_start_up_stays_within_its_share_and_one_more_shard_would_not(
    work_s: float, n_jobs: int
) -> None:
    n = count_shards(work_s, n_jobs=n_jobs)
    if n > 1:
        assert n * n_jobs * STARTUP_S <= MOST_STARTUP * work_s * (1 + 1e-9)
    if n < 1000:
        assert (n + 1) * n_jobs * STARTUP_S > MOST_STARTUP * work_s


def make_study(folder: Path, **changes: dict[str, object]) -> Study:
    (folder / "archive").mkdir(parents=True, exist_ok=True)
    (folder / "archive" / "one").write_bytes(bytes(2_000_000))
    (folder / "labels.csv").write_text("subject,label\n" + "a,1\n" * 4)
    data = {"kind": "dicom", "path": folder / "archive", "labels": folder / "labels.csv"}
    return build_study({"data": data, "output": {"path": folder / "results"}, **changes})


def write_run(layout: Layout, *, n_images: int, cpu_s: dict[str, object]) -> None:
    """What an earlier run leaves: its images, and Snakemake's benchmarks."""
    layout.manifest.parent.mkdir(parents=True)
    layout.manifest.write_text("image_id\n" + "x\n" * n_images)
    folder = layout.root / "benchmarks"
    folder.mkdir()
    for name, seconds in cpu_s.items():
        (folder / f"{name}.tsv").write_text(f"s\tcpu_time\n1\t{seconds}\n")


def test_what_was_measured_before_counts_for_as_many_images_as_there_are_now(
    tmp_path: Path,
) -> None:
    study = make_study(tmp_path)
    layout = Layout(tmp_path / "results")
    cpu_s = {"ingest": 10, "ingest-index": "NA", "ingest-shard-1-of-2": 30, "measure": 7}
    write_run(layout, n_images=2, cpu_s=cpu_s)
    # Two images then, four rows now.
    assert estimate_work("ingest", study, layout) == (80.0, "as measured before")
    assert estimate_work("measure", study, layout)[0] == 14.0
    assert estimate_work("preprocess", study, layout) == (None, "")


def test_before_any_run_the_size_of_the_archive_counts(tmp_path: Path) -> None:
    work_s, source = estimate_work("ingest", make_study(tmp_path), Layout(tmp_path / "results"))
    assert work_s == pytest.approx(2 * 0.007)
    assert source == "by the size of the archive"


def test_too_many_shards_warn_and_say_what_they_cost(tmp_path: Path) -> None:
    study = make_study(tmp_path, ingest={"shards": 8})
    cpu_s = {"ingest": 300, "measure": 60, "measure-shard-1-of-8": 40}
    write_run(Layout(tmp_path / "results"), n_images=4, cpu_s=cpu_s)
    first, *_ = check_shards(study)
    assert first.status == "warn"
    assert "worth up to 2" in first.found
    assert "starting 16 jobs is 20% of the work" in first.hint
    study = make_study(tmp_path / "small", ingest={"shards": 8})
    write_run(Layout(tmp_path / "small" / "results"), n_images=4, cpu_s={"ingest": 1.9})
    first, *_ = check_shards(study)
    assert "starting 16 jobs is 41 times the work" in first.hint


def test_a_shard_that_outlasts_its_time_warns(tmp_path: Path) -> None:
    cpu_s = {"measure": 40 * 3600}
    write_run(Layout(tmp_path / "results"), n_images=4, cpu_s=cpu_s)
    study = make_study(tmp_path, ingest={"workers": 2})
    (late,) = [found for found in check_shards(study) if found.found.startswith("measure")]
    assert late.status == "warn"
    assert "each job about 20 hours, and asks for 4 hours" in late.found
    study = make_study(tmp_path, ingest={"workers": 2, "shards": 8})
    assert not [found for found in check_shards(study) if found.found.startswith("measure")]
