"""Disks fill up or become read-only under a run; what was half written is never used."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.disks import Disk, small_disk
from cluster.runs import Run
from cluster.slurm import wait_for

# Of the profile's two: the disk is as full for each of them.
NO_RETRY = ("--retries", "0")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The disk on which a run's parts are written."""
    with small_disk(tmp_path / "run" / "parts", size="256k") as disk:
        yield disk


def test_a_disk_that_fills_up_fails_the_jobs_and_once_there_is_room_the_run_goes_on(
    undisturbed: Run, start: type[Run], disk: Disk
) -> None:
    run = start()
    disk.fill()
    assert run.start(*NO_RETRY).finish(240) == 1, run.log
    assert "No space left on device" in run.log
    assert run.result is None
    disk.free()
    assert run.start(*NO_RETRY).finish(240) == 0, run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []


def test_a_disk_that_becomes_read_only_keeps_halves_that_are_not_used(
    undisturbed: Run, start: type[Run], disk: Disk
) -> None:
    # Snakemake 9.27 notes a failed job as finished before it deletes what that wrote; where it may
    # not delete, a half that bears an output's name is taken for whole. The product's bear none.
    run = start(pause=20, faults={"1": "careful", "2": "careful"})
    run.start(*NO_RETRY)

    def list_halves() -> list[str]:
        return [path.read_text() for path in disk.folder.glob(".part-*")]

    wait_for(lambda: list_halves() == ["half", "half"], seconds=120, what=f"halves\n{run.log}")
    disk.turn("ro")
    assert run.finish(240) == 1, run.log
    assert "Read-only file system" in run.log
    assert run.result is None
    assert list_halves() == ["half", "half"], "nobody could delete them"
    disk.turn("rw")
    run.pause = 1
    assert run.start(*NO_RETRY).finish(240) == 0, run.log
    assert run.is_equal(undisturbed)
    assert run.list_overlaps() == []
