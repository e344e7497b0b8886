"""The installer: what it refuses, in words, and that it needs no network."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from airgaps import find_cut, run, run_installer, write_archive, write_wheel

from airgap.assemble import list_sums, pack_folder
from airgap.install import InstallError, check_archive, check_folder, check_glibc, check_machine


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("made"))


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    """A copy of the archive that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "an archive"))


def find_one(archive: Path, pattern: str) -> Path:
    return next(archive.glob(pattern))


def test_it_installs_everything_without_a_network(archive: Path, tmp_path: Path) -> None:
    if not find_cut():
        pytest.skip("unshare cannot cut the network here")
    folder = tmp_path / "a place"
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PYTHONPATH": str(tmp_path)}
    (tmp_path / "venv.py").write_text("raise SystemExit('the user\\'s own module ran')")
    done = run_installer(archive, str(folder), cut=True, **unreachable)
    assert done.returncode == 0, done.stderr
    used = run(
        ["sh", "-c", f'. "{folder}/activate" && medvision --version && env'], {"PYTHONPATH": ""}
    )
    assert "medvision, version 9.9" in used.stdout
    assert f"MEDVISION_WEIGHTS={folder / 'weights'}\n" in used.stdout
    assert (folder / "demo" / "config" / "config.yaml").is_file()
    assert (folder / "weights" / "net.yaml").read_text() == "title: ours\n"
    words = (folder / "weights" / "said.txt").read_text().split("\n")
    target = json.loads((archive / "target.json").read_text())
    placed = str(archive / "weights" / "net" / "net.pth")
    assert words == ["weights", "add", "net", placed, "--sha256", target["weights"]["net"]]


def test_the_network_is_cut_in_these_tests() -> None:
    if not find_cut():
        pytest.skip("unshare cannot cut the network here")
    done = run([*find_cut(), "cat", "/proc/net/dev"], {})
    names = [line.split(":")[0].strip() for line in done.stdout.splitlines() if ":" in line]
    assert names == ["lo"]


def tamper(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a wheel of one other bit": (
        lambda archive: tamper(find_one(archive, "wheels/torch-*")),
        "wheels/torch-2.0+cpu-py3-none-any.whl: sha256 must be",
    ),
    "an edited configuration": (
        lambda archive: (archive / "demo/config/config.yaml").write_text("data: {}\n"),
        "demo/config/config.yaml: sha256 must be",
    ),
    "a missing wheel": (
        lambda archive: find_one(archive, "wheels/torch-*").unlink(),
        "wheels/torch-2.0+cpu-py3-none-any.whl: file must be in the archive, got none",
    ),
    "an added wheel": (
        lambda archive: write_wheel(archive / "wheels", "torch", version="2.0+evil"),
        "wheels/torch-2.0+evil-py3-none-any.whl: file must be listed in SHA256SUMS",
    ),
    "a link out of the archive": (
        lambda archive: (archive / "wheels" / "more").symlink_to("/tmp"),
        "wheels/more: file must be listed in SHA256SUMS",
    ),
    "no list of digests": (
        lambda archive: (archive / "SHA256SUMS").unlink(),
        "SHA256SUMS: file must lie beside install.sh, got none",
    ),
    "an empty list of digests": (
        lambda archive: (archive / "SHA256SUMS").write_text(""),
        "SHA256SUMS: lines must be digest and path",
    ),
    "a list that names what lies outside": (
        lambda archive: (archive / "SHA256SUMS").write_text(f"{'0' * 64}  ../net.pth\n"),
        "SHA256SUMS: lines must be digest and path, got ['../net.pth']",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS)
def test_an_archive_that_is_not_as_it_was_packed_is_refused(
    spoil: Callable[[Path], object], words: str, archive: Path, tmp_path: Path
) -> None:
    spoil(archive)
    done = run_installer(archive, str(tmp_path / "place"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert not (tmp_path / "place").exists()


def test_a_requirement_without_its_wheel_is_named_even_where_the_list_agrees(archive: Path) -> None:
    find_one(archive, "wheels/torch-*").unlink()
    (archive / "SHA256SUMS").write_text(list_sums(archive))
    with pytest.raises(InstallError, match=r"torch==2\.0\+cpu must have its wheel in wheels/"):
        check_archive(archive)


def test_another_python_is_refused_in_words(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "python3.9"
    other.write_text("#!/bin/sh\necho 3.9\n")
    other.chmod(0o755)
    done = run_installer(archive, str(tmp_path / "place"), PYTHON=str(other))
    wanted = json.loads((archive / "target.json").read_text())["python"]
    assert done.returncode == 1
    assert f"error: Python: version must be {wanted}, got 3.9 ({other})." in done.stderr
    assert f"PYTHON=/path/to/python{wanted}" in done.stderr


def test_no_python_is_said_so(archive: Path, tmp_path: Path) -> None:
    done = run_installer(archive, PYTHON=str(tmp_path / "none"))
    assert done.returncode == 1
    assert f"got no {tmp_path / 'none'} at all" in done.stderr


def test_install_sh_alone_says_that_the_rest_is_missing(archive: Path) -> None:
    (archive / "target.json").unlink()
    done = run_installer(archive)
    assert done.returncode == 1
    assert "unpack the whole archive" in done.stderr


@pytest.mark.parametrize(
    ("field", "value"), [("abi", "cpython-399"), ("system", "Plan9"), ("machine", "vax")]
)
def test_another_machine_is_refused(field: str, value: str, made: Path) -> None:
    target = json.loads((made / "target.json").read_text())
    check_machine(target)
    with pytest.raises(InstallError, match=f"this machine: {field} must be {value}, got "):
        check_machine({**target, field: value})


@pytest.mark.parametrize(("name", "version"), [("glibc", "2.17"), ("", ""), ("glibc", "1.99")])
def test_an_older_c_library_or_another_is_refused(name: str, version: str) -> None:
    with pytest.raises(InstallError, match=r"glibc must be 2\.28 or newer"):
        check_glibc(name, version, needed=[2, 28])


@pytest.mark.parametrize("version", ["2.28", "2.36", "2.100", "3.0"])
def test_the_c_library_needed_or_a_newer_one_will_do(version: str) -> None:
    check_glibc("glibc", version, needed=[2, 28])


def test_a_folder_in_use_is_refused_and_left_alone(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = run_installer(archive, str(tmp_path / "mine"))
    assert done.returncode == 1
    assert "folder must be empty or new, got one in use" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"free space must be 1300000000\.0 GB, got "):
        check_folder(tmp_path / "place", {"installed_bytes": 10**18})
    assert not (tmp_path / "place").exists()


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    archive = write_archive(tmp_path, needs="numpy")
    place = tmp_path / "place"
    done = run_installer(archive, str(place))
    assert done.returncode == 1
    assert "numpy" in done.stderr
    assert "nothing is left installed" in done.stderr
    assert not place.exists()


def test_a_check_alone_installs_nothing(archive: Path, tmp_path: Path) -> None:
    done = run_installer(archive, str(tmp_path / "place"), "--check")
    assert done.returncode == 0, done.stderr
    assert "nothing was installed" in done.stdout
    assert not (tmp_path / "place").exists()


def test_the_same_content_makes_the_same_archive(archive: Path, tmp_path: Path) -> None:
    pack_folder(archive, tmp_path / "first.tar")
    for path in archive.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    pack_folder(archive, tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    assert not list(tmp_path.glob(".*.partial"))


def test_the_list_of_digests_is_what_sha256sum_reads(archive: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not here")
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=archive, check=False).returncode == 0
