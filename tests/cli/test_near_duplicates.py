"""Altered copies under other subjects: kept together, stopped or let through, and always listed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from look_alikes import ALTERATIONS, make_images
from real_data import write_labels

from medvision.cli.main import main
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table
from medvision.layout import Layout

N_SUBJECTS = 9
PLANTED = {
    "plane": ("rotated 90", "flipped", "cropped to 90 %", "brighter"),
    "volume": ("flipped", "half the size"),
}
"""How the copies of the first subjects are altered, by the kind of the archive."""

Run = Callable[..., Result]


def write_archive(folder: Path, kind: str) -> Path:
    """Write images of their own and altered copies of the first ones, each under a subject."""
    n_axes = 2 if kind == "plane" else 3
    images = make_images(N_SUBJECTS, seed=6, n_axes=n_axes)
    copies = [ALTERATIONS[name](image) for name, image in zip(PLANTED[kind], images, strict=False)]
    rows = []
    for number, image in enumerate([*images, *copies]):
        grid = np.ascontiguousarray(image if n_axes == 3 else image[:, :, np.newaxis])
        path = folder / "archive" / f"Doe{number:02d}.nii.gz"
        write_nifti(path, grid.round().astype("i2"), affine=np.eye(4), is_placed=True)
        rows.append({"subject": f"Doe{number:02d}", "label": ("well", "sick")[number % 2]})
    write_labels(folder / "labels.csv", rows)
    return folder


def call(command: str, folder: Path, *overrides: str) -> Result:
    values = [
        *(f"output.path={folder / 'results'}", "data.kind=nifti", "ingest.workers=1"),
        *(f"data.path={folder / 'archive'}", f"data.labels={folder / 'labels.csv'}"),
        *("cohort.folds=2", *overrides),
    ]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, [command, *arguments])


@pytest.fixture(scope="module", params=PLANTED)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with altered copies, ingested and measured once; its folder ends in its kind."""
    folder = write_archive(tmp_path_factory.mktemp("study") / request.param, request.param)
    for command in ("ingest", "measure"):
        result = call(command, folder)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def cohort(folder: Path) -> Run:
    """Run the command from a clean folder."""

    def run(*overrides: str) -> Result:
        shutil.rmtree(folder / "results" / "cohort", ignore_errors=True)
        return call("cohort", folder, *overrides)

    return run


def test_altered_copies_are_listed_and_kept_in_one_split(cohort: Run, folder: Path) -> None:
    result = cohort()
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    pairs = read_table(layout.leakage)
    assert len(pairs) == len(PLANTED[folder.name])
    assert {(pair["kind"], pair["action"]) for pair in pairs} == {("near-pixels", "grouped")}
    assert all(float(pair["similarity"]) >= 0.9 for pair in pairs)
    assert any("flipped" in pair["alteration"] for pair in pairs)
    splits: dict[tuple[str, str], set[str]] = {}
    for row in read_table(layout.folds):
        splits.setdefault((row["fold"], row["subject"]), set()).add(row["split"])
    for pair in pairs:
        for fold in "01":
            assert splits[fold, pair["subject_a"]] == splits[fold, pair["subject_b"]]


def test_an_altered_copy_ends_the_run_where_told_to_stop(cohort: Run, folder: Path) -> None:
    result = cohort("cohort.on_leakage=stop")
    assert result.exit_code == 5
    assert f"got {len(PLANTED[folder.name])} near-pixels" in result.output
    layout = Layout(folder / "results")
    assert not layout.folds.exists()
    assert len(read_table(layout.leakage)) == len(PLANTED[folder.name])


def test_an_override_is_marked(cohort: Run, folder: Path) -> None:
    assert cohort("cohort.on_leakage=report").exit_code == 0
    summary = json.loads(Layout(folder / "results").cohort_summary.read_text())
    assert summary["leakage"]["overridden"] is True


def test_without_the_search_the_copies_pass_unseen(cohort: Run, folder: Path) -> None:
    assert cohort("cohort.near_duplicates=off").exit_code == 0
    assert read_table(Layout(folder / "results").leakage) == []


def test_other_folds_need_no_new_search_and_other_limits_do(cohort: Run, folder: Path) -> None:
    words = "looking for altered copies"
    assert words in cohort().output
    layout = Layout(folder / "results")
    first = layout.leakage.read_bytes()
    again = call("cohort", folder, "cohort.seed=5")
    assert again.exit_code == 0
    assert words not in again.output
    assert layout.leakage.read_bytes() == first
    (kept,) = (layout.root / "cohort").glob("kept-look-alikes-*.json")
    kept.write_text("{ damaged")
    assert words in call("cohort", folder).output
    assert layout.leakage.read_bytes() == first
    assert words in call("cohort", folder, "cohort.similarity=0.85").output


@pytest.mark.slow
def test_no_number_of_workers_changes_a_byte(cohort: Run, folder: Path) -> None:
    root = Layout(folder / "results").root / "cohort"
    found = []
    for workers in (1, 2):
        assert cohort(f"cohort.workers={workers}").exit_code == 0
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        found.append({path.name: path.read_bytes() for path in files if path.suffix != ".log"})
    first, second = found
    assert first.keys() == second.keys()
    assert any(name.startswith("kept-look-alikes") for name in first)
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"record.json"}
