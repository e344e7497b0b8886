"""What is collected is what was committed: no file of the maintainer's own goes along."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from airgaps import write_wheel

from airgap import collect
from airgap.checkout import export_commit
from airgap.wheels import CollectError

OWN = "SBATCH-ACCOUNT-OF-OURS"
WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *WHO, "-C", str(folder), *words], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout of a commit, with a site file that nobody committed."""
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    folder = tmp_path / "clone"
    for name in ("config/config.yaml", "docs/a.md", "workflow/profiles/slurm/config.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("published\n")
    for name in ("constraints.txt", "CHANGELOG.md", "LICENSE", "README.md"):
        (folder / name).write_text("published\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    (folder / "config" / "site.yaml").write_text(OWN)
    (folder / "workflow" / "profiles" / "slurm" / "own.yaml").write_text(OWN)
    return folder


def write_wheels(folder: Path, **_: object) -> None:
    for name in ("medvision", "torch", "pip"):
        write_wheel(folder, name)


def test_the_archive_holds_no_file_that_is_not_committed(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "CHECKOUT", clone)
    monkeypatch.setattr(collect, "collect_wheels", write_wheels)
    asked = collect.build_parser().parse_args(["--into", str(tmp_path / "dist")])
    (tmp_path / "work").mkdir()
    archive = collect.collect(asked, tmp_path / "work")
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2] for member in tar}
    assert {"config/config.yaml", "demo/config/config.yaml"} <= names
    assert "profiles/slurm/config.yaml" in names
    assert OWN.encode() not in archive.read_bytes()


def test_the_projects_own_wheel_is_built_of_the_committed_files(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[object] = []

    def take(folder: Path, **asked: object) -> None:
        sources.append(asked["source"])
        write_wheels(folder)

    monkeypatch.setattr(collect, "CHECKOUT", clone)
    monkeypatch.setattr(collect, "collect_wheels", take)
    (tmp_path / "work").mkdir()
    asked = collect.build_parser().parse_args(["--into", str(tmp_path / "dist")])
    collect.collect(asked, tmp_path / "work")
    (source,) = sources
    assert isinstance(source, Path)
    assert (source / "config" / "config.yaml").is_file()
    assert not (source / "config" / "site.yaml").exists()


@pytest.mark.parametrize("is_staged", [False, True])
def test_a_tracked_file_that_was_changed_is_refused_by_name(
    clone: Path, tmp_path: Path, is_staged: bool
) -> None:
    (clone / "config" / "config.yaml").write_text(OWN)
    if is_staged:
        git(clone, "add", ".")
    with pytest.raises(CollectError, match=r"must be as committed, .*config/config\.yaml") as got:
        export_commit(clone, tmp_path / "out")
    assert OWN not in str(got.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_history_is_refused(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    with pytest.raises(CollectError, match="must be a clone by git, got: "):
        export_commit(tmp_path, tmp_path / "out")


def test_a_machine_without_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CollectError, match="git: program must be installed"):
        export_commit(tmp_path, tmp_path / "out")
