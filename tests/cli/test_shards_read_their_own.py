"""What a shard of measuring or preprocessing opens does not grow with the cohort."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from real_data import write_labels

from medvision.cli.main import main
from medvision.io.nifti import planes, read
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

N_IMAGES, N_SHARDS = 8, 3


def call(folder: Path, command: str, *arguments: str) -> None:
    values = [
        *(f"output.path={folder / 'results'}", "data.kind=nifti", "ingest.workers=1"),
        *(f"data.path={folder / 'archive'}", f"data.labels={folder / 'labels.csv'}"),
        *("cohort.folds=2", "preprocess.size=[8, 8, 8]", f"preprocess.shards={N_SHARDS}"),
    ]
    given = [part for value in values for part in ("--set", value)]
    result = CliRunner().invoke(main, [command, *given, *arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An archive whose cohort is built."""
    rows = []
    for number in range(N_IMAGES):
        grid = np.random.default_rng(number).integers(0, 900, size=(9, 10, 11), dtype="i2")
        path = tmp_path / "archive" / f"Doe{number}.nii.gz"
        write_nifti(path, grid, affine=np.eye(4), is_placed=True)
        rows.append({"subject": f"Doe{number}", "label": ("well", "sick")[number % 2]})
    write_labels(tmp_path / "labels.csv", rows)
    for command in ("ingest", "measure", "cohort"):
        call(tmp_path, command)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the images that were opened so far."""
    names: set[str] = set()
    look = read.open_stream

    def note(source: Path | bytes) -> object:
        assert isinstance(source, Path)
        names.add(source.name.removesuffix(".nii.gz"))
        return look(source)

    for module in (read, planes):
        monkeypatch.setattr(module, "open_stream", note)
    return names


def test_a_shard_of_preprocessing_opens_its_own_images_alone(
    folder: Path, opened: set[str]
) -> None:
    layout = Layout(folder / "results")
    seen: set[str] = set()
    for number in range(1, N_SHARDS + 1):
        opened.clear()
        call(folder, "preprocess", "--shard", f"{number}/{N_SHARDS}")
        mark = layout.array_folder("shards") / f"{number}-of-{N_SHARDS}.json"
        assert len(opened) == json.loads(mark.read_text())["images"] < N_IMAGES
        assert not opened & seen
        seen |= opened
    assert len(seen) == N_IMAGES


def test_a_manifest_of_before_is_asked_of_the_images_themselves(
    folder: Path, opened: set[str]
) -> None:
    layout = Layout(folder / "results")
    rows = read_table(layout.manifest)
    columns = [name for name in rows[0] if name != "n_channels"]
    assert {row["n_channels"] for row in rows} == {"1"}
    write_table(layout.manifest, rows, columns=columns)
    call(folder, "preprocess", "--shard", f"1/{N_SHARDS}")
    assert len(opened) == N_IMAGES
