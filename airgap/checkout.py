"""What is committed, and nothing else: a maintainer's own files do not travel."""

import io
import subprocess
import tarfile
from pathlib import Path

from airgap.wheels import CollectError

_SHOWN = 5


def export_commit(checkout: Path, folder: Path) -> None:
    """Lay out the files of the last commit, of which all is collected.

    A site file or a study's configuration that lies in the checkout names machines, accounts and
    paths: git alone tells it from what is published.

    Args:
        checkout: A working tree of git.
        folder: Where the files go.

    Raises:
        CollectError: It is no working tree, or a file in it is another than the committed one.
    """
    said = run_git(checkout, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
    changed = [entry[3:] for entry in said.decode(errors="replace").split("\0") if entry]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise CollectError(
            f"{checkout}: files must be as committed, got changes in "
            f"{', '.join(changed[:_SHOWN])}{more}. Hint: commit or stash them; what you changed "
            "for a study of your own belongs into a folder of its own (medvision init)."
        )
    with tarfile.open(fileobj=io.BytesIO(run_git(checkout, "archive", "HEAD"))) as tar:
        tar.extractall(folder, filter="data")


def run_git(checkout: Path, *words: str) -> bytes:
    """Return what git prints.

    Raises:
        CollectError: There is no git, or it fails.
    """
    command = ["git", "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except FileNotFoundError:
        raise CollectError(
            "git: program must be installed, got none. Hint: it tells what is published."
        ) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise CollectError(
            f"{checkout}: folder must be a clone by git, got: {said}. Hint: clone the repository."
        ) from error
    return done.stdout
