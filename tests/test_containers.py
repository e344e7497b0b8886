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
