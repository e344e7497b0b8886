"""Install medvision from this unpacked archive, without internet, by the standard library."""

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
COPIED = ("config", "demo", "docs", "profiles", "CHANGELOG.md", "LICENSE", "README.md")
_CHUNK = 1 << 20
_SPARE = 1.3  # byte code, and what installing needs beside

ACTIVATE = """\
# . {file}   brings medvision, snakemake and the weights of this installation.
. {venv}/bin/activate
[ -n "${{MEDVISION_WEIGHTS:-}}" ] || MEDVISION_WEIGHTS={weights}
export MEDVISION_WEIGHTS
"""


class InstallError(Exception):
    """The installation cannot be, in the words that say why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the archive and this machine, then install; return the exit code."""
    parser = argparse.ArgumentParser(prog="sh install.sh", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("medvision"))
    parser.add_argument("--check", action="store_true", help="check all, install nothing")
    asked = parser.parse_args(arguments)
    folder: Path = asked.folder.resolve()
    try:
        target = check_archive(ARCHIVE)
        check_machine(target)
        check_folder(folder, target)
        if asked.check:
            print("Archive whole, machine fit: nothing was installed.")
            return 0
        install(ARCHIVE, folder, target)
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"medvision {target['version']} installed, torch {target['torch']}. Next:")
    print(f"  . {shlex.quote(str(folder / 'activate'))}")
    print(f"  cd {shlex.quote(str(folder / 'demo'))} && medvision doctor && snakemake --cores all")
    return 0


def check_archive(archive: Path) -> dict[str, Any]:
    """Check every file of the archive against its digest; return what `target.json` says.

    Raises:
        InstallError: A file is missing, changed or not listed, or a requirement has no wheel.
    """
    listed = read_sums(archive / SUMS)
    for name, digest in listed.items():
        path = archive / name
        if not path.is_file():
            raise InstallError(
                f"{name}: file must be in the archive, got none. Hint: unpack the archive again."
            )
        if hash_file(path) != digest:
            raise InstallError(
                f"{name}: sha256 must be {digest}, got {hash_file(path)}. "
                "Hint: the file was damaged or changed; bring the archive over again."
            )
    present = {path.relative_to(archive).as_posix() for path in list_files(archive)}
    if unlisted := sorted(present - set(listed) - {SUMS}):
        raise InstallError(
            f"{unlisted[0]}: file must be listed in {SUMS}, got one that is not. "
            "Hint: nothing may be added; unpack the archive again in an empty folder."
        )
    check_wheels(archive)
    target: dict[str, Any] = json.loads((archive / "target.json").read_text())
    return target


def read_sums(path: Path) -> dict[str, str]:
    """Return path to digest.

    Raises:
        InstallError: The list is missing or not one.
    """
    if not path.is_file():
        raise InstallError(f"{path.name}: file must lie beside install.sh, got none.")
    found = re.findall(r"^([0-9a-f]{64})  (\S.*)$", path.read_text(), flags=re.MULTILINE)
    outside = [name for _, name in found if name.startswith("/") or ".." in name.split("/")]
    if not found or outside:
        raise InstallError(
            f"{path.name}: lines must be digest and path, got {outside[:1] or 'none'}."
        )
    return {name: digest for digest, name in found}


def list_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, links too."""
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_wheels(archive: Path) -> None:
    """Check that each requirement has the wheel that it names by digest.

    Raises:
        InstallError: One has none.
    """
    digests = {hash_file(path) for path in (archive / "wheels").glob("*.whl")}
    for line in (archive / "requirements.txt").read_text().splitlines():
        requirement, _, digest = line.partition(" --hash=sha256:")
        if digest not in digests:
            raise InstallError(
                f"requirements.txt: {requirement} must have its wheel in wheels/, got none."
            )


def check_machine(target: dict[str, Any]) -> None:
    """Hold this machine to what the wheels were made for.

    Raises:
        InstallError: Another Python, system, processor or C library.
    """
    suffix = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    found = {
        "abi": f"{sys.implementation.cache_tag}{suffix}",
        "system": platform.system(),
        "machine": platform.machine(),
    }
    for name, value in found.items():
        if value != target[name]:
            raise InstallError(
                f"this machine: {name} must be {target[name]}, got {value}. "
                "Hint: make an archive on a machine like this one."
            )
    if target["glibc"] is not None:
        check_glibc(*platform.libc_ver(), needed=target["glibc"])


def check_glibc(name: str, version: str, *, needed: Sequence[int]) -> None:
    """Hold the C library to what the wheels need.

    Args:
        name: Its name; empty where it is unknown.
        version: Its version, such as 2.36.
        needed: Least version, such as (2, 28).

    Raises:
        InstallError: It is older, or not GNU's.
    """
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    if name != "glibc" or numbers < list(needed):
        least = ".".join(map(str, needed))
        raise InstallError(
            f"this machine: glibc must be {least} or newer, got {name or 'no'} {version}. "
            f"Hint: collect with GLIBC={version or least}, or use the container."
        )


def check_folder(folder: Path, target: dict[str, Any]) -> None:
    """Check that the folder is free and its disk has room.

    Raises:
        InstallError: It holds something, lies in the archive, or the disk is too full.
    """
    if folder.is_relative_to(ARCHIVE):
        raise InstallError(f"{folder}: folder must lie outside the archive, got one inside.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InstallError(
            f"{folder}: folder must be empty or new, got one in use. "
            "Hint: name another: sh install.sh FOLDER"
        )
    above = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    needed, free = int(target["installed_bytes"] * _SPARE), shutil.disk_usage(above).free
    if free < needed:
        raise InstallError(
            f"{above}: free space must be {needed / 1e9:.1f} GB, got {free / 1e9:.1f} GB."
        )


def install(archive: Path, folder: Path, target: dict[str, Any]) -> None:
    """Make the environment, place weights, configuration and demo; all of it or nothing.

    Raises:
        InstallError: A step failed; the folder is gone then.
    """
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_environment(archive, folder / "venv", target)
        place_weights(archive, folder, target)
        copy_texts(archive, folder)
        check_installed(folder / "venv", target)
    except (InstallError, OSError, KeyboardInterrupt) as error:
        shutil.rmtree(folder, ignore_errors=True)
        if was_there:
            folder.mkdir(exist_ok=True)
        if isinstance(error, OSError):
            raise InstallError(f"{folder}: folder must be writable, got {error}.") from error
        raise


def make_environment(archive: Path, venv: Path, target: dict[str, Any]) -> None:
    """Make a virtual environment with the archive's own pip, and install every wheel by digest."""
    print(f"Installing into {venv} ...", flush=True)
    run([sys.executable, "-I", "-m", "venv", "--without-pip", str(venv)])
    pip = archive / "wheels" / target["pip"] / "pip"
    command = [str(venv / "bin" / "python"), str(pip), "install", "--isolated", "--quiet"]
    command += ["--no-index", "--find-links", str(archive / "wheels"), "--require-hashes"]
    command += ["--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check"]
    run([*command, "--requirement", str(archive / "requirements.txt")])


def run(command: Sequence[str], **more: str) -> None:
    """Run one command of the installation, free of the user's settings for Python and pip.

    Raises:
        InstallError: It failed.
    """
    done = subprocess.run(command, check=False, env={**list_variables(), **more})
    if done.returncode:
        raise InstallError(
            f"{Path(command[0]).name}: command must succeed, got exit code {done.returncode} of "
            f"`{shlex.join(command)}`. Hint: its own words are above; nothing is left installed."
        )


def list_variables() -> dict[str, str]:
    """Return the environment without what the user set for Python and pip."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


def place_weights(archive: Path, folder: Path, target: dict[str, Any]) -> None:
    """Place starting weights by the project's own command, which checks them once more."""
    shelf = folder / "weights"
    shelf.mkdir()
    for description in sorted((archive / "weights").glob("*.yaml")):
        shutil.copyfile(description, shelf / description.name)
    for name, digest in target["weights"].items():
        file = next((archive / "weights" / name).iterdir())
        command = [str(folder / "venv" / "bin" / "medvision"), "weights", "add", name, str(file)]
        run([*command, "--sha256", digest], MEDVISION_WEIGHTS=str(shelf))


def copy_texts(archive: Path, folder: Path) -> None:
    """Copy configuration, demo and documents, and write the file that activates all."""
    for name in COPIED:
        source = archive / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        elif source.is_file():
            shutil.copyfile(source, folder / name)
    quoted = {name: shlex.quote(str(folder / name)) for name in ("venv", "weights")}
    text = ACTIVATE.format(file=shlex.quote(str(folder / "activate")), **quoted)
    (folder / "activate").write_text(text)


def check_installed(venv: Path, target: dict[str, Any]) -> None:
    """Check that the command answers with its version."""
    command = [str(venv / "bin" / "medvision"), "--version"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=list_variables()
    )
    if done.returncode or target["version"] not in done.stdout.split():
        raise InstallError(
            f"medvision: version must be {target['version']}, got {done.stdout or done.stderr}."
        )


if __name__ == "__main__":
    sys.exit(main())
