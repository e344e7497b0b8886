"""Who may read what is written is for the configuration to say, and for a command's time alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline import TINY, run, write_config

from medvision.runtime.access import UMASK, obeying_umask
from medvision.runtime.files import write_text


@pytest.fixture(autouse=True)
def lax(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that lets everybody read."""
    monkeypatch.delenv(UMASK, raising=False)
    held = os.umask(0o022)
    yield
    os.umask(held)


def read_modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_files_and_folders_have_the_umask_and_the_process_gets_its_own_back(
    tmp_path: Path,
) -> None:
    with obeying_umask("027"):
        write_text(tmp_path / "folder" / "file", "x")
    write_text(tmp_path / "after", "x")
    assert read_modes(tmp_path) == {0o750, 0o640, 0o644}


def test_the_workflows_word_goes_first(tmp_path: Path) -> None:
    with obeying_umask("027", environment={UMASK: "007"}):
        write_text(tmp_path / "file", "x")
    assert read_modes(tmp_path) == {0o660}


def test_the_umask_is_given_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), obeying_umask("077"):
        raise ZeroDivisionError
    assert os.umask(0o022) == 0o022


@pytest.mark.parametrize(("umask", "allowed"), [("027", 0o750), ("077", 0o700)])
def test_a_command_writes_nothing_that_others_may_read(
    tmp_path: Path, umask: str, allowed: int
) -> None:
    config = write_config(tmp_path, TINY)
    run(["phantom", "--config", str(config), "--set", f"output.umask='{umask}'"])
    modes = read_modes(tmp_path / "results")
    assert modes
    assert all(mode & ~allowed == 0 for mode in modes), modes
