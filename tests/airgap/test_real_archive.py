"""The real archive: installed and run where there is no network (`make test-bundle`)."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from airgaps import Done, find_cut
from packaging.utils import canonicalize_name
from pipeline import TINY

pytestmark = [pytest.mark.bundle, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The installation, made of the archive with the network cut."""
    named = os.environ.get("MEDVISION_ARCHIVE")
    if not named:
        pytest.skip("MEDVISION_ARCHIVE names no folder with an archive; `make test-bundle` does")
    if not find_cut():
        pytest.skip("unshare cannot cut the network here")
    (archive,) = Path(named).glob("*.tar")
    folder = tmp_path_factory.mktemp("airgap")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    installer = folder / archive.stem / "install.sh"
    done = offline(f'sh "{installer}" "{folder / "place"}"', folder)
    assert done.returncode == 0, done.stderr
    yield folder / "place"
    shutil.rmtree(folder)


def offline(line: str, folder: Path) -> Done:
    """Run a shell line in a folder, without a network and without the checkout's packages."""
    own = {"PYTHON": sys.executable, "PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [*find_cut(), "sh", "-c", line]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)


def test_what_is_installed_is_what_was_tested(place: Path, checkout: Path) -> None:
    pins = [line.split("==") for line in (checkout / "constraints.txt").read_text().split("\n")[1:]]
    tested = {canonicalize_name(pin[0]): pin[1] for pin in pins if len(pin) == 2}
    code = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    done = offline(f"{place}/venv/bin/python -c '{code}'", place)
    found = dict(line.split() for line in done.stdout.splitlines())
    found = {canonicalize_name(name): text.partition("+")[0] for name, text in found.items()}
    own = {"medvision", "pip"}
    assert len(found) > 100
    assert {name: version for name, version in found.items() if name not in own} == {
        name: version for name, version in tested.items() if name in found
    }


def test_nothing_is_missing_for_pip(place: Path) -> None:
    done = offline(f"{place}/venv/bin/python -m pip check", place)
    assert done.returncode == 0, done.stdout


def test_a_study_is_written_and_its_machine_is_found_fit(place: Path) -> None:
    line = ". ./activate && medvision init mine && cd demo && medvision doctor"
    done = offline(line, place)
    assert done.returncode == 0, done.stderr
    assert "Ready to run" in done.stdout
    assert (place / "mine" / "Snakefile").is_file()


def test_the_pipeline_runs_there_and_its_bundle_verifies(place: Path) -> None:
    study = place / "demo"
    values = {**TINY, "data": {"kind": "phantom"}, "output": {"path": "tiny"}}
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(values))
    done = offline(
        ". ../activate && snakemake --cores 2 && medvision audit verify tiny/audit/bundle", study
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (study / "tiny" / "report" / "report.html").is_file()
