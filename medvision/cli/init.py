"""`medvision init`: a study folder ready to run on the user's own data."""

from pathlib import Path

import click

from medvision.cli._study_files import build_study_files
from medvision.errors import ConfigError
from medvision.runtime.files import write_text


@click.command(
    "init",
    help="Write a study folder: configuration, workflow, table of labels and README.\n\n"
    "\b\nExample:\n  medvision init my-study --kind dicom --data /data/archive --labels labels.csv",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="PATH", help="Folder with the images."
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="CSV or TSV with subject and label; an empty one is written when omitted.",
)
@click.option(
    "--kind",
    type=click.Choice(["dicom", "nifti"]),
    help="Kind of the images; told by the files in PATH when omitted, else dicom.",
)
@click.option("--force", is_flag=True, help="Overwrite the files of an earlier init.")
def command(
    folder: Path, *, data: Path | None, labels: Path | None, kind: str | None, force: bool
) -> None:
    """Write the files, after checking what they will name."""
    if data is not None and not data.is_dir():
        raise ConfigError(f"--data: path must be a folder, got {data}.", "name the images' folder.")
    if labels is not None and not labels.is_file():
        raise ConfigError(f"--labels: path must be a file, got {labels}.", "name a CSV or TSV.")
    files = build_study_files(
        name=folder.resolve().name,
        kind=kind or _guess_kind(data),
        data="images" if data is None else _name_path(data, folder),
        labels=None if labels is None else _name_path(labels, folder),
    )
    if not force:
        _check_absent(folder, files)
    for name, text in files.items():
        write_text(folder / name, text)
    click.echo(_say_next(folder, missing=_list_missing(data, labels)))


def _guess_kind(data: Path | None) -> str:
    """Tell NIfTI by a file name; whatever else a folder holds is asked to be DICOM."""
    if data is None:
        return "dicom"
    return "nifti" if any(path.is_file() for path in data.rglob("*.nii*")) else "dicom"


def _name_path(path: Path, folder: Path) -> str:
    """Return a path as the configuration names it: relative inside the study, else absolute."""
    resolved, home = path.resolve(), folder.resolve()
    return str(resolved.relative_to(home) if resolved.is_relative_to(home) else resolved)


def _check_absent(folder: Path, files: dict[str, str]) -> None:
    """Refuse to overwrite what may have been edited."""
    present = [name for name in files if (folder / name).exists()]
    if present:
        raise ConfigError(
            f"{folder}: folder must not hold {present[0]} yet, got one.",
            "choose another folder, or pass --force to overwrite it.",
        )


def _list_missing(data: Path | None, labels: Path | None) -> list[str]:
    """Return what the user still has to bring."""
    missing = ["put the images into images/ (or set data.path)"] if data is None else []
    return [*missing, "fill in labels.csv"] if labels is None else missing


def _say_next(folder: Path, *, missing: list[str]) -> str:
    """Return what to do next, in commands."""
    lines = [f"Study written to {folder}.", *(f"  first: {step}" for step in missing)]
    return "\n".join([*lines, f"  cd {folder}", "  medvision doctor", "  snakemake --cores all"])
