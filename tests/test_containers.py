"""The container recipes say what the project says: version, Python, licence, and who runs."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from medvision import __version__


@pytest.fixture
def dockerfile(checkout: Path) -> str:
    return (checkout / "containers" / "Dockerfile").read_text()


@pytest.fixture
def definition(checkout: Path) -> str:
    return (checkout / "containers" / "medvision.def").read_text()


def read_labels(text: str) -> dict[str, str]:
    """Return the OCI labels, as a Dockerfile or an Apptainer definition writes them."""
    pairs = re.findall(r'(org\.opencontainers\.image\.[\w.]+)[= ]"?(.*?)"?(?: \\)?$', text, re.M)
    return dict(pairs)


def test_both_recipes_name_the_projects_version(dockerfile: str, definition: str) -> None:
    assert f"\nARG VERSION={__version__}\n" in dockerfile
    assert read_labels(dockerfile)["org.opencontainers.image.version"] == "${VERSION}"
    assert read_labels(definition)["org.opencontainers.image.version"] == __version__
    assert f"medvision {__version__}:" in definition


def test_both_recipes_name_the_projects_licence(
    dockerfile: str, definition: str, checkout: Path
) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    for text in (dockerfile, definition):
        assert read_labels(text)["org.opencontainers.image.licenses"] == project["license"]
    assert project["description"] in read_labels(dockerfile)["org.opencontainers.image.description"]


def test_the_base_image_has_the_python_of_the_environments(dockerfile: str, checkout: Path) -> None:
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    python = next(
        entry.partition("=")[2]
        for entry in environment["dependencies"]
        if isinstance(entry, str) and entry.startswith("python=")
    )
    base = re.search(r"^ARG BASE=\S+/python:([\d.]+)-slim-\w+$", dockerfile, re.M)
    assert base is not None
    assert base[1] == python


def test_versions_come_from_the_archive_alone(dockerfile: str, definition: str) -> None:
    assert "install.sh /opt/medvision" in dockerfile
    assert not re.search(r"\bpip install\b|apt-get|curl|wget", dockerfile)
    assert "Bootstrap: oci-archive" in definition
    assert "%post" not in definition


def test_the_image_does_not_run_as_root(dockerfile: str) -> None:
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", last_stage, re.M)
    assert [int(part) > 0 for part in users[-1].split(":")] == [True, True]
    assert f"useradd --uid {users[-1].partition(':')[0]} " in last_stage


def test_whoever_runs_it_has_a_name_and_a_home_to_write_to(dockerfile: str) -> None:
    assert "--home-dir /study" in dockerfile
    assert re.search(r"^ENV HOME=/study \\$", dockerfile, re.M)
    assert "\n    LOGNAME=medvision " in dockerfile
    assert "\nWORKDIR /study\n" in dockerfile


def test_the_image_says_whether_it_is_healthy(dockerfile: str) -> None:
    asked = re.search(r"^HEALTHCHECK .*\\\n +CMD (.*)$", dockerfile, re.M)
    assert asked is not None
    assert "import medvision.cli.main, torch" in asked[1]


def test_both_images_find_commands_and_weights_at_the_same_place(
    dockerfile: str, definition: str
) -> None:
    for text in (dockerfile, definition):
        assert "PATH=/opt/medvision/venv/bin:$PATH" in text
        assert re.search(r"MEDVISION_WEIGHTS=\S*/opt/medvision/weights", text)
        assert "PYTHONNOUSERSITE=1" in text


def make_image(checkout: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `make image` with a builder that prints what it is asked."""
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    command = ["make", "-C", str(checkout), "image", "BUILDER=echo", f"DIST={folder}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_image_is_made_of_one_archive(checkout: Path, tmp_path: Path) -> None:
    assert "must be one, got none" in make_image(checkout, tmp_path).stderr
    names = [f"medvision-{__version__}-cp311-x86_64-{build}.tar" for build in ("cpu", "cu128")]
    for name in names:
        (tmp_path / name).touch()
    done = make_image(checkout, tmp_path)
    assert done.returncode != 0
    assert all(name in done.stderr for name in names)
    named = make_image(checkout, tmp_path, f"ARCHIVE={names[1]}")
    assert f"--build-arg ARCHIVE={names[1]} --build-arg REVISION=" in named.stdout
    (tmp_path / names[1]).unlink()
    assert f"ARCHIVE={names[0]} " in make_image(checkout, tmp_path).stdout


def test_hadolint_finds_nothing(checkout: Path) -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("hadolint is not here; the extra dev brings it")
    done = subprocess.run(
        ["hadolint", checkout / "containers" / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
