"""Tiny wheels, the archive made of them, and commands with the network cut."""

import base64
import ensurepip
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from airgap.assemble import Weights, lay_folder
from airgap.wheels import read_wheels

Done = subprocess.CompletedProcess[str]

COMMAND = """\
import os
import pathlib
import sys


def main():
    if sys.argv[1:] == ["--version"]:
        print("medvision, version 9.9")
    else:
        shelf = pathlib.Path(os.environ["MEDVISION_WEIGHTS"])
        shelf.joinpath("said.txt").write_text("\\n".join(sys.argv[1:]))
"""


def write_wheel(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    needs: str = "",
    code: str = "",
) -> Path:
    """Write a wheel of one module, and a command of the module's name where it has a main."""
    info = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if "def main" in code:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {name}:main\n"
    lines = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,\n"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in files.items():
            wheel.writestr(member, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def write_archive(folder: Path, *, needs: str = "torch") -> Path:
    """Write an unpacked archive of a tiny medvision, a tiny torch and Python's own pip."""
    wheels = folder / "collected"
    write_wheel(wheels, "medvision", version="9.9", needs=needs, code=COMMAND)
    write_wheel(wheels, "torch", version="2.0+cpu")
    pip = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    shutil.copy(pip, wheels)
    weights, described, config = folder / "net.pth", folder / "net.yaml", folder / "config.yaml"
    weights.write_bytes(b"tensors")
    described.write_text("title: ours\n")
    config.write_text("data: {kind: phantom}\n")
    archive = folder / "the archive"
    lay_folder(
        archive,
        wheels=read_wheels(wheels),
        weights=[Weights("net", weights, described)],
        texts={"demo/config/config.yaml": config},
    )
    return archive


def run_installer(archive: Path, *options: str, cut: bool = False, **variables: str) -> Done:
    """Run an archive's install.sh, with the network cut where that is asked for."""
    command = ["sh", str(archive / "install.sh"), *options]
    command = [*find_cut(), *command] if cut else command
    return run(command, {"PYTHON": sys.executable, **variables})


def run(command: list[str], variables: Mapping[str, str], *, cwd: Path | None = None) -> Done:
    """Run a command in its own environment."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )


@functools.cache
def find_cut() -> tuple[str, ...]:
    """The command that starts another without any network; empty where this machine has none."""
    for options in (("-n",), ("-rn",)):
        command = ("unshare", *options)
        try:
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return ()
