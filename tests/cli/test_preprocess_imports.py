"""What the processes of `medvision preprocess` import: no torch where the fused pass serves."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from bad_inputs import NAMES, list_options, make_grid, step, write_study

from medvision.io.tables import read_table
from medvision.layout import Layout

HOOK = """
import os, sys
from pathlib import Path

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "monai", "medvision.preprocess.bench"):
            note = Path(os.environ["IMPORTS_NOTED"]) / f"{name}-{os.getpid()}"
            note.write_text(str(sys.argv))
        return None

sys.meta_path.insert(0, Watch())
"""
"""Run by every Python that starts, workers included: notes who imports what."""


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    """An environment in which imports are noted."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "noted").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    paths = [str(tmp_path / "hook"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "IMPORTS_NOTED": str(tmp_path / "noted"),
    }


def list_noted(environment: dict[str, str], name: str) -> list[str]:
    folder = Path(environment["IMPORTS_NOTED"])
    return sorted(path.name for path in folder.glob(f"{name}-*"))


def preprocess(folder: Path, environment: dict[str, str]) -> None:
    for command in ("ingest", "measure", "cohort"):
        assert step(command, folder).exit_code == 0
    code = "from medvision.cli.main import main; main()"
    options = list_options(folder, "preprocess.workers=2")
    command_line = [sys.executable, "-c", code, "preprocess", *options]
    subprocess.run(command_line, env=environment, check=True, capture_output=True)
    assert len(read_table(Layout(folder / "results").array_index)) == len(NAMES)


def test_no_process_of_the_fused_pass_imports_torch_or_monai(
    tmp_path: Path, watched: dict[str, str]
) -> None:
    preprocess(write_study(tmp_path), watched)
    # Of the command itself and of both workers, so the hook was there.
    assert len(list_noted(watched, "medvision.preprocess.bench")) == 3
    assert list_noted(watched, "torch") == []
    assert list_noted(watched, "monai") == []


def test_a_sheared_volume_makes_a_worker_import_them(
    tmp_path: Path, watched: dict[str, str]
) -> None:
    folder = write_study(tmp_path)
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[0, 2] = 2.5
    path = folder / "archive" / f"{NAMES[3]}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(make_grid(3), affine), path)
    preprocess(folder, watched)
    assert len(list_noted(watched, "torch")) == 1
    assert len(list_noted(watched, "monai")) == 1
