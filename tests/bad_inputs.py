"""A user's small study to be spoilt, and what every refusal must be like."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from click.testing import Result
from numpy.typing import NDArray
from pipeline import call

NAMES = tuple(f"Doe{n:02d}" for n in range(12))
"""Subjects as the user names them: what no message may repeat."""

Rows = Sequence[Mapping[str, str]]


def write_image(path: Path, grid: NDArray[np.generic]) -> Path:
    """Write a NIfTI with plain nibabel, as somebody else's program would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(grid, np.diag([2.0, 2.0, 5.0, 1.0])), path)
    return path


def make_grid(seed: int) -> NDArray[np.float32]:
    """Noise (8, 8, 6)."""
    return np.random.default_rng(seed).normal(size=(8, 8, 6)).astype(np.float32)


def list_labels() -> list[dict[str, str]]:
    """A good table: every other subject is sick."""
    return [{"subject": n, "label": ("well", "sick")[k % 2]} for k, n in enumerate(NAMES)]


def write_labels(folder: Path, rows: Rows) -> Path:
    """Write the table of labels of a study in `folder`."""
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_study(folder: Path) -> Path:
    """Write images and labels that are in order; return the folder."""
    for seed, name in enumerate(NAMES):
        write_image(folder / "archive" / f"{name}.nii.gz", make_grid(seed))
    write_labels(folder, list_labels())
    return folder


def list_options(folder: Path, *overrides: str) -> list[str]:
    """Return the options that point a command at the study in `folder`."""
    values = (
        *("data.kind=nifti", f"data.path={folder / 'archive'}"),
        *(f"data.labels={folder / 'labels.csv'}", f"output.path={folder / 'results'}"),
        *("ingest.workers=1", "preprocess.size=[8, 8, 8]", "preprocess.intensity=zscore"),
        *overrides,
    )
    return [part for value in values for part in ("--set", value)]


def step(command: str, folder: Path, *overrides: str) -> Result:
    """Run one command on the study in `folder`."""
    return call([*command.split(), *list_options(folder, *overrides)])


def check_refusal(result: Result, exit_code: int, *parts: str) -> None:
    """Insist on the exit code, on `error: where: rule, got found.`, a hint, and these words."""
    output = result.output
    assert result.exit_code == exit_code, output
    for part in parts:
        assert part in output, f"{part!r} is not in:\n{output}"
    assert "Traceback" not in output
    errors = re.findall(r"^error: .+", output, flags=re.MULTILINE)
    assert len(errors) == 1, output
    assert re.match(r"error: \S.*: (.* )?must .*", errors[0]), output
    assert re.search(r"^hint: \S+", output, flags=re.MULTILINE), output
    assert not any(name in output for name in NAMES), f"a subject is named in:\n{output}"
