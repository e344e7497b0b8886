"""pyproject.toml, constraints.txt and environment.yml say the same."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def read_pins(checkout: Path) -> dict[str, str]:
    lines = (checkout / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def read_requirements(checkout: Path) -> list[Requirement]:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts if not text.startswith("medvision")]


def test_every_requirement_is_pinned_to_a_version_it_allows(checkout: Path) -> None:
    pins = read_pins(checkout)
    for requirement in read_requirements(checkout):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow {pin}"


def test_environment_yml_points_at_the_project_and_the_constraints(checkout: Path) -> None:
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["--constraint constraints.txt", "--editable .[viewer]"]


def test_environment_yml_takes_a_python_that_the_project_supports(checkout: Path) -> None:
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    python = next(
        str(e).partition("=")[2]
        for e in environment["dependencies"]
        if str(e).startswith("python=")
    )
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(python)
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]


def test_environment_yml_names_the_torch_that_is_pinned(checkout: Path) -> None:
    named = re.search(r"torch==([\d.]+)", (checkout / "environment.yml").read_text())
    assert named is not None
    assert named.group(1) == read_pins(checkout)["torch"]


def test_jobs_in_conda_get_the_same_python_and_versions(checkout: Path) -> None:
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    jobs = yaml.safe_load((checkout / "workflow" / "envs" / "medvision.yaml").read_text())
    *names, pip = jobs["dependencies"]
    assert names == environment["dependencies"][:-1]
    assert pip["pip"] == [
        "--constraint ${MEDVISION_HOME}/constraints.txt",
        "${MEDVISION_HOME}[viewer]",
    ]
