"""Collect an installation for machines without internet: `make bundle` runs this."""

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from airgap.assemble import (
    PROJECT,
    Weights,
    find_glibc,
    lay_folder,
    name_archive,
    pack_folder,
)
from airgap.checkout import export_commit
from airgap.older import replace_newer
from airgap.wheels import CollectError, Glibc, find_wheel, read_wheels
from medvision.cli._study_files import SNAKEFILE
from medvision.errors import MedvisionError
from medvision.learn.registry import find_shelf, get_source
from medvision.learn.shelf import fetch_source, find_place, verify_placed
from medvision.runtime.files import hash_file

CHECKOUT = Path(__file__).parents[1]
CONSTRAINTS = CHECKOUT / "constraints.txt"
TEXTS = ("config", "docs", "constraints.txt", "CHANGELOG.md", "LICENSE", "README.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the archive that the command line asks for; return the exit code."""
    asked = build_parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="medvision-bundle-") as folder:
            archive = collect(asked, Path(folder))
    except (CollectError, MedvisionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{archive}  {archive.stat().st_size / 1e6:.0f} MB")
    print(f"sha256 {archive.with_name(archive.name + '.sha256').read_text().split()[0]}")
    print("Take both files over, then: sha256sum -c *.sha256; tar xf *.tar; sh */install.sh")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m airgap.collect", description=__doc__)
    parser.add_argument("--torch-index", help="index of torch's build, such as …/whl/cu128")
    parser.add_argument("--extras", default="viewer,cluster", help="optional parts, by commas")
    parser.add_argument("--weights", default="", help="names of `medvision weights list`")
    parser.add_argument("--glibc", help="oldest GNU C library to serve, such as 2.28 (RHEL 8)")
    parser.add_argument("--into", type=Path, default=Path("dist"), help="folder of the archive")
    return parser


def collect(asked: argparse.Namespace, work: Path) -> Path:
    """Collect wheels, weights and texts, and pack them.

    Args:
        asked: What the command line asked for.
        work: An empty folder to work in.

    Returns:
        The archive; its digest lies beside it as `.sha256`.

    Raises:
        CollectError: A part could not be had, or the checkout is not as committed.
    """
    source, wheels = work / "source", work / "wheels"
    export_commit(CHECKOUT, source)
    weights = [find_weights(name) for name in asked.weights.replace(",", " ").split()]
    collect_wheels(wheels, source=source, torch_index=asked.torch_index, extras=asked.extras)
    if asked.glibc:
        replace_newer(wheels, limit=parse_glibc(asked.glibc), here=find_glibc())
    folder = work / "archive"
    texts = {name: source / name for name in TEXTS}
    texts["demo/config/config.yaml"] = source / "config" / "config.yaml"
    texts["profiles"] = source / "workflow" / "profiles"
    (work / "Snakefile").write_text(SNAKEFILE)
    texts["demo/Snakefile"] = work / "Snakefile"
    target = lay_folder(folder, wheels=read_wheels(wheels), weights=weights, texts=texts)
    folder = folder.rename(work / name_archive(target))
    archive: Path = asked.into / f"{folder.name}.tar"
    pack_folder(folder, archive)
    digest = f"{hash_file(archive)}  {archive.name}\n"
    archive.with_name(f"{archive.name}.sha256").write_text(digest)
    return archive


def find_weights(name: str) -> Weights:
    """Return a source's weights, verified; fetched first where they are not on the shelf.

    Raises:
        MedvisionError: No such source, or its file is another one than described.
    """
    shelf = find_shelf()
    source, own = get_source(name, shelf), shelf / f"{name}.yaml"
    if not find_place(source, shelf).is_file():
        fetch_source(source, shelf, pin=None)
    verify_placed(source, shelf)
    return Weights(name, find_place(source, shelf), own if own.is_file() else None)


def parse_glibc(text: str) -> Glibc:
    """Read a version such as 2.28.

    Raises:
        CollectError: It is none.
    """
    major, _, minor = text.partition(".")
    if not (major.isdigit() and minor.isdigit()):
        raise CollectError(f"--glibc: version must be like 2.28, got {text}.")
    return int(major), int(minor)


def collect_wheels(folder: Path, *, source: Path, torch_index: str | None, extras: str) -> None:
    """Fetch or build a wheel of everything that is installed, at the versions tested.

    Args:
        folder: Where wheels go.
        source: The project's files, of which its own wheel is built.
        torch_index: Index of torch's build; where it is not reached, pip's own serves.
        extras: Optional parts of the project, separated by commas.

    Raises:
        CollectError: pip could not, or brought another build of torch than asked for.
    """
    pin = read_pin("torch")
    chosen = ["--index-url", torch_index, "--retries", "0", "--timeout", "20"]
    if torch_index is None or not run_pip(folder, "--no-deps", pin, *chosen, may_fail=True):
        run_pip(folder, "--no-deps", pin)
    torch = find_wheel(read_wheels(folder), "torch")
    check_build(torch.version, torch_index)
    project = f"{source}[{extras}]" if extras else str(source)
    pip = f"pip=={importlib.metadata.version('pip')}"
    run_pip(folder, "--constraint", str(CONSTRAINTS), f"torch=={torch.version}", project, pip)
    find_wheel(read_wheels(folder), PROJECT)


def read_pin(name: str) -> str:
    """Return the line of constraints.txt that pins a project."""
    lines = CONSTRAINTS.read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def check_build(version: str, torch_index: str | None) -> None:
    """Refuse another build of torch than the index's name says: 3 GB of CUDA in place of a CPU's.

    Raises:
        CollectError: It is another build.
    """
    wanted = (torch_index or "").rstrip("/").rpartition("/")[2]
    if not wanted.startswith(("cpu", "cu", "rocm", "xpu")):
        return
    got = version.partition("+")[2] or "the registry's own"
    if got != wanted:
        raise CollectError(
            f"torch {version}: build must be {wanted}, as {torch_index} says, got {got}. "
            "Hint: the index was not reached; TORCH_INDEX= (nothing) takes what pip's own has."
        )


def run_pip(folder: Path, *arguments: str | None, may_fail: bool = False) -> bool:
    """Let pip put wheels into a folder, building those that are published as sources alone.

    Returns:
        Whether it could.

    Raises:
        CollectError: It could not, and that is not expected.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    command += ["--wheel-dir", str(folder), "--find-links", str(folder)]
    command += [argument for argument in arguments if argument is not None]
    # Wheels built here come out the same at another time.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1577836800"}
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, check=False, env=environment)
    if done.returncode and not may_fail:
        raise CollectError(
            f"pip: wheels must be had for constraints.txt, got exit code {done.returncode}. "
            "Hint: its own words are above."
        )
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())
