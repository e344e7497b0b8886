"""Where the workflow lies that ships with this installation."""

from pathlib import Path


def find_workflow() -> Path:
    """Return the Snakefile that ships with this installation.

    Raises:
        FileNotFoundError: Neither a checkout nor an installed wheel holds one.
    """
    package = Path(__file__).parents[1]
    for home in (package.parent, package / "_workflow"):
        snakefile = home / "workflow" / "Snakefile"
        if snakefile.is_file():
            return snakefile
    raise FileNotFoundError("workflow/Snakefile is not part of this installation.")


def has_snakefile() -> bool:
    """Tell whether Snakemake finds a workflow in the working folder by itself."""
    return any(Path(name).is_file() for name in ("Snakefile", "workflow/Snakefile"))
