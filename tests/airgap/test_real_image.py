"""The real image: built without a network by Buildah, on a base of debootstrap."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from airgaps import Done, find_cut

from medvision import __version__

pytestmark = [pytest.mark.bundle, pytest.mark.slow, pytest.mark.timeout(5400)]

STORAGE = '[storage]\ndriver = "vfs"\ngraphroot = "{0}/images"\nrunroot = "{0}/run"\n'
IMAGE = f"localhost/medvision:{__version__}"
STRANGER = "12345"
"""A user whom the image does not know."""


def offline(folder: Path, *command: str) -> Done:
    """Run a command without a network, with images in a folder of the test."""
    own = {"CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"), "BUILDAH_ISOLATION": "chroot"}
    return subprocess.run(
        [*find_cut(), *command],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def must(done: Done) -> str:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def find_base(folder: Path) -> Path:
    """A root file system with Debian's Python: one that is named, else made by debootstrap."""
    if named := os.environ.get("MEDVISION_ROOTFS"):
        return Path(named)
    command = ["debootstrap", "--variant=minbase", "--include=python3,libpython3-stdlib"]
    subprocess.run([*command, "bookworm", str(folder / "base")], check=True, capture_output=True)
    return folder / "base"


@pytest.fixture(scope="module")
def container(
    tmp_path_factory: pytest.TempPathFactory, checkout: Path
) -> Iterator[tuple[Path, str]]:
    """The image, and a container of it."""
    named = os.environ.get("MEDVISION_ARCHIVE")
    if not named:
        pytest.skip("MEDVISION_ARCHIVE names no folder with an archive; `make test-bundle` does")
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0 or not find_cut():
        pytest.skip(f"the image is built as root, with unshare; missing: {missing}")
    folder = tmp_path_factory.mktemp("image")
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    empty = must(offline(folder, "buildah", "from", "scratch"))
    must(offline(folder, "buildah", "add", "--quiet", empty, str(find_base(folder)), "/"))
    must(offline(folder, "buildah", "commit", "--quiet", "--rm", empty, "localhost/base:test"))
    options = "BUILD_OPTIONS=--format docker --pull-never"
    places = [f"DIST={named}", "BASE=localhost/base:test", "BUILDER=buildah", options]
    # Of the moment of building: the checkout may go on while the tests run.
    git = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    (folder / "revision").write_text(must(offline(folder, *git)))
    must(offline(folder, "make", "-C", str(checkout), "image", *places))
    yield folder, must(offline(folder, "buildah", "from", "--pull-never", IMAGE))
    shutil.rmtree(folder)


def inside(container: tuple[Path, str], line: str, *options: str) -> Done:
    """Run a shell line in the container."""
    folder, name = container
    return offline(folder, "buildah", "run", *options, name, "--", "sh", "-c", line)


def read_settings(container: tuple[Path, str]) -> dict[str, object]:
    inspected = must(offline(container[0], "buildah", "inspect", "--type", "image", IMAGE))
    settings: dict[str, object] = json.loads(inspected)["Docker"]["config"]
    return settings


def test_it_answers_and_is_not_root(container: tuple[Path, str]) -> None:
    said = must(inside(container, "id -u && medvision --version"))
    assert said.split("\n") == ["10001", f"medvision, version {__version__}"]
    assert inside(container, "touch /opt/medvision/mine").returncode != 0


def test_its_labels_say_what_it_was_made_of(container: tuple[Path, str]) -> None:
    head = (container[0] / "revision").read_text()
    labels = read_settings(container)["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["org.opencontainers.image.base.name"] == "localhost/base:test"


def test_its_health_check_passes(container: tuple[Path, str]) -> None:
    check = read_settings(container)["Healthcheck"]
    assert isinstance(check, dict)
    kind, *command = check["Test"]
    assert kind == "CMD"
    folder, name = container
    must(offline(folder, "buildah", "run", name, "--", *command))


def test_anybody_may_check_and_plan_a_study_in_it(
    container: tuple[Path, str], tmp_path: Path
) -> None:
    os.chown(tmp_path, int(STRANGER), int(STRANGER))
    line = "cp -r /opt/medvision/demo . && cd demo && medvision doctor && snakemake -n"
    options = ("--user", f"{STRANGER}:{STRANGER}", "--volume", f"{tmp_path}:/study")
    said = must(inside(container, line, *options))
    assert "Ready to run" in said
    assert (tmp_path / "demo" / "Snakefile").stat().st_uid == int(STRANGER)
