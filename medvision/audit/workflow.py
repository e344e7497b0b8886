"""The sources of the workflow that ran the steps: which of them a bundle holds, and where."""

import re
from pathlib import Path

from medvision.errors import ConfigError

WORKFLOW = "workflow/"
"""Folder of the bundle that holds them, each at its path below the workflow's own folder."""

MAIN = f"{WORKFLOW}Snakefile"

_SOURCES = re.compile(
    r"workflow/(Snakefile|rules/[\w.-]+\.smk|envs/[\w.-]+\.yaml|report/[\w.-]+\.rst)"
)


def is_workflow_path(path: str) -> bool:
    """Tell whether a path below a bundle is one of the workflow's sources.

    Rules, environments and captions are; profiles are not, since they tell of a user's cluster.
    """
    return _SOURCES.fullmatch(path) is not None


def list_workflow(folder: Path) -> dict[str, Path]:
    """Return the sources in a workflow's folder: path below the bundle to file, links left out.

    Args:
        folder: The folder with the Snakefile.

    Raises:
        ConfigError: There is no Snakefile in it.
    """
    found = {
        f"{WORKFLOW}{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    held = {name: path for name, path in found.items() if is_workflow_path(name)}
    if MAIN not in held:
        raise ConfigError(
            f"--workflow: folder must hold a Snakefile, got {folder.name or 'one'} without.",
            "give the folder `workflow` of the checkout, or leave the option out.",
        )
    return held
