"""Collecting: which builds of which wheels, and what is refused before anything is taken over."""

import platform
import tarfile
from pathlib import Path

import pytest
from airgaps import write_archive, write_wheel

from airgap import older
from airgap.assemble import lay_folder, name_archive, pack_folder
from airgap.collect import TEXTS, check_build, find_weights, parse_glibc, read_pin
from airgap.wheels import (
    CollectError,
    find_needed_glibc,
    find_oldest_glibc,
    measure_installed,
    read_wheel,
    read_wheels,
)
from medvision.errors import WeightsError
from medvision.learn.registry import get_source
from medvision.learn.shelf import place_file

HERE = (2, 36)
KNEE = """\
title: ResNet-18, knee radiographs
backbone: resnet18
dimensions: 2
layout: torchvision
file: knee.pth
url: null
sha256: null
sha256_prefix: null
licence: internal
citation: null
input: {channels: 1, scaling: range, range: [0.0, 1.0], mean: [0.41], sd: [0.22]}
norm: usual
head: 4 grades of arthrosis
notes: null
facts: the training's own record
"""


@pytest.mark.parametrize(
    ("tag", "needed"),
    [
        ("py3-none-any", None),
        ("cp311-cp311-manylinux_2_28_x86_64", (2, 28)),
        ("cp311-abi3-manylinux_2_34_x86_64", (2, 34)),
        ("cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64", (2, 17)),
        ("cp311-cp311-manylinux_2_5_x86_64.manylinux1_x86_64.manylinux_2_28_x86_64", (2, 5)),
        ("cp311-cp311-manylinux2010_x86_64", (2, 12)),
        ("cp311-cp311-linux_x86_64", HERE),
        ("cp311-cp311-macosx_11_0_arm64", None),
    ],
)
def test_a_wheels_name_tells_the_oldest_c_library_that_it_runs_on(
    tag: str, needed: tuple[int, int] | None, tmp_path: Path
) -> None:
    wheel = read_wheel(write_wheel(tmp_path, "thing", tag=tag))
    assert find_oldest_glibc(wheel, here=HERE) == needed


def test_the_archive_needs_what_its_most_demanding_wheel_needs(tmp_path: Path) -> None:
    for number, minor in enumerate((17, 34, 28)):
        write_wheel(tmp_path, f"thing{number}", tag=f"cp311-cp311-manylinux_2_{minor}_x86_64")
    write_wheel(tmp_path, "pure")
    assert find_needed_glibc(read_wheels(tmp_path), here=HERE) == (2, 34)


def test_two_wheels_of_one_project_are_refused(tmp_path: Path) -> None:
    write_wheel(tmp_path, "thing", version="1.0")
    write_wheel(tmp_path, "thing", version="1.1")
    with pytest.raises(
        CollectError, match="each project must have one wheel, got several of thing"
    ):
        read_wheels(tmp_path)


def test_a_file_that_only_looks_like_a_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thing.whl").write_bytes(b"")
    with pytest.raises(CollectError, match=r"thing\.whl: name must be a wheel's"):
        read_wheels(tmp_path)


def test_a_requirement_names_its_file_by_digest(tmp_path: Path) -> None:
    wheel = read_wheel(write_wheel(tmp_path, "python_thing", version="2.0+cpu"))
    assert wheel.requirement == f"python-thing==2.0+cpu --hash=sha256:{wheel.sha256}"
    assert measure_installed([wheel]) > 0


@pytest.mark.parametrize("missing", ["medvision", "torch", "pip"])
def test_an_archive_without_its_main_parts_is_not_made(missing: str, tmp_path: Path) -> None:
    for name in {"medvision", "torch", "pip"} - {missing}:
        write_wheel(tmp_path / "wheels", name)
    with pytest.raises(CollectError, match=f"wheels: {missing} must be among them"):
        lay_folder(
            tmp_path / "archive", wheels=read_wheels(tmp_path / "wheels"), weights=[], texts={}
        )


def test_a_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectError, match=r"every part must exist, got no .*nowhere"):
        lay_folder(tmp_path, wheels=[], weights=[], texts={"docs": tmp_path / "nowhere"})


def test_the_archives_name_tells_python_processor_and_build_of_torch() -> None:
    target = {"version": "1.2", "torch": "2.13.0+cu128", "abi": "cpython-312", "machine": "x86_64"}
    assert name_archive(target) == "medvision-1.2-cp312-x86_64-cu128"
    assert name_archive({**target, "torch": "2.13.0"}) == "medvision-1.2-cp312-x86_64-torch"


def test_the_tar_holds_all_below_one_folder_and_the_installer_may_be_run(tmp_path: Path) -> None:
    pack_folder(write_archive(tmp_path), tmp_path / "made.tar")
    with tarfile.open(tmp_path / "made.tar") as tar:
        members = {member.name: member for member in tar}
    assert {name.split("/")[0] for name in members} == {"the archive"}
    assert members["the archive/install.sh"].mode == 0o755
    assert members["the archive/SHA256SUMS"].mode == 0o644
    assert {member.uid for member in members.values()} == {0}


@pytest.mark.parametrize(
    ("version", "index"),
    [
        ("2.13.0", "https://download.pytorch.org/whl/cpu"),
        ("2.13.0+cpu", "https://download.pytorch.org/whl/cu128"),
        ("2.13.0+cu126", "https://download.pytorch.org/whl/cu128/"),
    ],
)
def test_another_build_of_torch_than_asked_for_is_refused(version: str, index: str) -> None:
    with pytest.raises(CollectError, match="build must be c"):
        check_build(version, index)


@pytest.mark.parametrize(
    ("version", "index"),
    [
        ("2.13.0+cpu", "https://download.pytorch.org/whl/cpu"),
        ("2.13.0+cu128", "https://download.pytorch.org/whl/cu128"),
        ("2.13.0", ""),
        ("2.13.0", None),
        ("2.13.0", "https://mirror.example.org/simple"),
    ],
)
def test_the_build_asked_for_or_any_where_none_is_named_will_do(
    version: str, index: str | None
) -> None:
    check_build(version, index)


@pytest.mark.parametrize("text", ["2", "new", "2.x", ""])
def test_a_c_library_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(CollectError, match="version must be like"):
        parse_glibc(text)


def test_a_wheel_without_an_older_build_is_named_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = write_wheel(tmp_path, "fresh", tag="cp311-cp311-manylinux_2_34_x86_64")
    write_wheel(tmp_path, "old", tag="cp311-cp311-manylinux_2_17_x86_64")
    monkeypatch.setattr(older, "list_command", lambda *_: ["false"])
    with pytest.raises(CollectError, match=r"builds for glibc 2\.28 must be .* none of fresh 1\.0"):
        older.replace_newer(tmp_path, limit=(2, 28), here=HERE)
    assert new.is_file()
    assert len(read_wheels(tmp_path)) == 2


def test_only_builds_within_the_limit_are_asked_for(tmp_path: Path) -> None:
    wheel = read_wheel(write_wheel(tmp_path, "fresh", tag="cp311-abi3-manylinux_2_34_x86_64"))
    command = older.list_command(wheel, (2, 28))
    asked = [text for text in command if text.startswith("manylinux")]
    machine = platform.machine()
    assert asked[0] == f"manylinux_2_28_{machine}"
    assert {f"manylinux_2_29_{machine}", f"manylinux_2_34_{machine}"}.isdisjoint(asked)
    assert {f"manylinux_2_5_{machine}", f"manylinux2014_{machine}"} <= set(asked)
    assert command[-1] == "fresh==1.0"


def test_what_goes_along_is_in_the_checkout(checkout: Path) -> None:
    assert all((checkout / name).exists() for name in TEXTS)
    assert read_pin("torch").startswith("torch==")


def test_weights_go_along_verified_with_a_description_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path))
    (tmp_path / "knee.yaml").write_text(KNEE)
    (tmp_path / "given.pth").write_bytes(b"tensors")
    shelf_file = place_file(
        get_source("knee", tmp_path), tmp_path / "given.pth", tmp_path, pin=None
    )
    assert shelf_file.trust == "noted"
    found = find_weights("knee")
    assert found.file.read_bytes() == b"tensors"
    assert found.description == tmp_path / "knee.yaml"
    found.file.write_bytes(b"others")
    with pytest.raises(WeightsError):
        find_weights("knee")
    with pytest.raises(WeightsError, match="no-such-source"):
        find_weights("no-such-source")
