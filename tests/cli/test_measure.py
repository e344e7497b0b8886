"""`medvision measure`, and what `medvision cohort` makes of it, on ingested files."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pipeline import digest_tree, kill_at_write
from scipy import ndimage

from medvision.cli.main import main
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import Row, read_table
from medvision.layout import Layout

N_SUBJECTS = 16
SPACING_MM = (2.0, 2.0, 5.0)


def make_body(seed: int) -> np.ndarray:
    """A body with a heart on its left, in air, with noise: int16, a little different each time."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(np.arange(40), np.arange(32), np.arange(8), indexing="ij")
    shift = rng.normal(0, 0.4, 2)
    body = np.hypot((i - 19.5 - shift[0]) / 15, (j - 15.5 - shift[1]) / 11) < 1
    lungs = np.hypot((abs(i - 19.5) - 7) / 5, (j - 17) / 6) < 1
    heart = np.hypot(i - 14, j - 11) < 4 + k / 8
    spine = np.hypot(i - 19.5, j - 7) < 2
    grid = np.where(body, 300, 0) - 220 * (lungs & body) + 150 * heart + 400 * spine
    return (grid + 40 + rng.normal(0, 8, grid.shape)).round().astype(np.int16)


def clip(grid: np.ndarray) -> np.ndarray:
    return np.minimum(grid, 340)


def truncate(grid: np.ndarray) -> np.ndarray:
    return grid[8:32, 6:26]


def add_noise(grid: np.ndarray) -> np.ndarray:
    return grid + np.random.default_rng(9).normal(0, 60, grid.shape).astype(np.int16)


def blur(grid: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(grid.astype(np.float32), (1.5, 1.5, 0)).astype(np.int16)


def make_other(grid: np.ndarray) -> np.ndarray:
    """Another body part: two legs."""
    i, j = np.mgrid[:40, :32]
    legs = np.hypot(abs(i - 19.5) - 12, j - 15.5) < 6
    return (300 * legs[:, :, np.newaxis] + 0 * grid + grid % 17).astype(np.int16)


Fault = tuple[str, Callable[[np.ndarray], np.ndarray], tuple[float, float, float]]

FAULTS: dict[str, Fault] = {
    "constant": ("constant", lambda grid: np.full_like(grid, 7), SPACING_MM),
    "blank": ("blank", lambda grid: np.where(grid == grid.max(), 9, 0).astype("i2"), SPACING_MM),
    "clipped": ("clipped", clip, SPACING_MM),
    "truncated": ("truncated", truncate, SPACING_MM),
    "noisy": ("noise", add_noise, SPACING_MM),
    "blurred": ("blur", blur, SPACING_MM),
    "coarse": ("spacing", lambda grid: grid, (2.0, 2.0, 15.0)),
    "short": ("size", lambda grid: grid[:, :, :3], SPACING_MM),
    "bright": ("intensity", lambda grid: 5 * grid, SPACING_MM),
    "upside-down": ("orientation", lambda grid: grid[:, ::-1], SPACING_MM),
    "other-part": ("unlike-cohort", make_other, SPACING_MM),
}
"""Fault -> the rule that must find it, how it is made, and its spacing."""


def write_image(folder: Path, name: str, grid: np.ndarray, spacing_mm=SPACING_MM) -> None:
    path = folder / "archive" / f"{name}.nii.gz"
    write_nifti(path, np.ascontiguousarray(grid), affine=np.diag([*spacing_mm, 1]), is_placed=True)


def make_study(folder: Path, faults: dict[str, Fault]) -> Path:
    """Write the archive and its labels; one subject per fault besides the sound ones."""
    names = [f"sound{n:02d}" for n in range(N_SUBJECTS)]
    for n, name in enumerate(names):
        write_image(folder, name, make_body(n))
    for n, (name, (_, make, spacing_mm)) in enumerate(faults.items()):
        write_image(folder, name, make(make_body(100 + n)), spacing_mm)
    rows = [f"{name},{'sick' if n % 2 else 'well'}" for n, name in enumerate([*names, *faults])]
    (folder / "labels.csv").write_text("\n".join(["subject,label", *rows]) + "\n")
    return folder


def call(command: str, folder: Path, *overrides: str, out: str = "results") -> Result:
    return CliRunner().invoke(main, [command, *list_flags(folder, *overrides, out=out)])


def list_flags(folder: Path, *overrides: str, out: str = "results") -> list[str]:
    values = [
        # The bodies are drawn alike on purpose, and so they are near copies of each other.
        "cohort.near_duplicates=off",
        *(f"output.path={folder / out}", "data.kind=nifti", f"data.path={folder / 'archive'}"),
        *(f"data.labels={folder / 'labels.csv'}", "ingest.workers=1", *overrides),
    ]
    return [part for value in values for part in ("--set", value)]


def run(command: str, folder: Path, *overrides: str, out: str = "results") -> Result:
    result = call(command, folder, *overrides, out=out)
    assert result.exit_code == 0, result.output
    return result


def find_names(folder: Path) -> dict[str, str]:
    """Return image_id to the name that the image had, by the digest of its pixels' file."""
    layout = Layout(folder / "results")
    manifest = read_table(layout.manifest)
    from medvision.io.deidentify import Pseudonymiser, read_key

    names = Pseudonymiser(read_key(layout.pseudonym_key))
    subjects = [path.name.partition(".")[0] for path in (folder / "archive").iterdir()]
    known = {names.subject(subject): subject for subject in subjects}
    return {row["image_id"]: known[row["subject"]] for row in manifest}


def read_findings(folder: Path) -> list[tuple[str, Row]]:
    names = find_names(folder)
    rows = read_table(Layout(folder / "results").table("cohort", "quality"))
    return [(names[row["image_id"]], row) for row in rows]


def test_shards_leave_the_bytes_of_one_run_and_read_each_image_once(tmp_path: Path) -> None:
    folder = make_study(tmp_path, {})
    run("ingest", folder)
    run("measure", folder)
    layout = Layout(folder / "results")
    expected = digest_tree(layout.step("measure"))
    for path in layout.step("measure").iterdir():
        path.unlink()
    marks = []
    for number in range(1, 4):
        command = ["measure", "--shard", f"{number}/3", *list_flags(folder)]
        assert CliRunner().invoke(main, command).exit_code == 0
        marks.append(
            json.loads((layout.step("measure") / "shards" / f"{number}-of-3.json").read_text())
        )
    assert sum(mark["new"] for mark in marks) == N_SUBJECTS
    assert all(mark["new"] < N_SUBJECTS for mark in marks)
    images = layout.images.with_name("away")
    # Nothing is left to be read.
    layout.images.rename(images)
    gathered = run("measure", folder)
    images.rename(layout.images)
    assert "could not be read" not in gathered.output
    assert digest_tree(layout.step("measure")) == expected
    # A shard that comes again finds it all kept.
    again = ["measure", "--shard", "1/3", *list_flags(folder)]
    assert CliRunner().invoke(main, again).exit_code == 0
    mark = json.loads((layout.step("measure") / "shards" / "1-of-3.json").read_text())
    assert (mark["images"], mark["new"]) == (marks[0]["images"], 0)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_study(tmp_path_factory.mktemp("faulty"), FAULTS)
    for command in ("ingest", "measure", "cohort"):
        run(command, folder)
    return folder


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    folder = make_study(tmp_path, {})
    run("ingest", folder)
    return folder


def test_a_sound_cohort_has_no_finding(sound: Path) -> None:
    run("measure", sound)
    run("cohort", sound)
    assert read_findings(sound) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_found_by_its_rule(faulty: Path, fault: str) -> None:
    rules = {row["rule"] for name, row in read_findings(faulty) if name == fault}
    assert FAULTS[fault][0] in rules


def test_no_sound_image_is_flagged_among_faulty_ones(faulty: Path) -> None:
    assert {name for name, _ in read_findings(faulty)} == set(FAULTS)


def test_what_is_excluded_leaves_before_the_folds_and_never_silently(faulty: Path) -> None:
    layout = Layout(faulty / "results")
    names = find_names(faulty)
    excluded = {name for name, row in read_findings(faulty) if row["action"] == "excluded"}
    assert excluded == {"constant", "blank"}
    for path in (layout.cohort, layout.folds):
        held = {names[row["image_id"]] for row in read_table(path)}
        assert held == set(names.values()) - excluded
    summary = json.loads(layout.cohort_summary.read_text())["quality"]
    assert summary["excluded_by_rule"] == {"blank": 1, "constant": 1}
    assert summary["n_flagged"] == len(FAULTS) - 2
    assert "2 images left out for their quality" in run("cohort", faulty).output


def test_a_class_that_loses_every_image_is_named(faulty: Path) -> None:
    labels = faulty / "labels.csv"
    held = labels.read_text()
    others = held.replace(",sick", ",well").replace("constant,well", "constant,sick")
    labels.write_text(others.replace("blank,well", "blank,sick"))
    result = call("cohort", faulty)
    labels.write_text(held)
    assert result.exit_code == 5
    assert "got none of 2 left in class sick (1 blank, 1 constant)" in result.output
    run("cohort", faulty)


def test_the_number_of_workers_changes_no_byte(sound: Path) -> None:
    trees = []
    for workers in (1, 2):
        run("ingest", sound, f"ingest.workers={workers}")
        (sound / "results" / "measure" / "kept.sqlite").unlink(missing_ok=True)
        run("measure", sound, f"ingest.workers={workers}")
        tree = digest_tree(sound / "results" / "measure")
        trees.append({name: digest for name, digest in tree.items() if name != "record.json"})
    assert trees[0] == trees[1]
    assert set(trees[0]) == {"measures.tsv", "thumbnails.npz", "pictures.npz"}


def test_adding_an_image_measures_only_its_own_and_ends_with_the_same_bytes(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import medvision.cli._measuring as measuring

    measured = []
    measure_file = measuring.measure_file
    monkeypatch.setattr(
        measuring, "measure_file", lambda item: measured.append(item) or measure_file(item)
    )
    run("measure", sound)
    assert len(measured) == N_SUBJECTS
    write_image(sound, "added", make_body(77))
    run("ingest", sound)
    run("measure", sound)
    assert len(measured) == N_SUBJECTS + 1
    at_once = digest_tree(sound / "results" / "measure")
    (sound / "results" / "measure" / "kept.sqlite").unlink()
    run("measure", sound)
    assert digest_tree(sound / "results" / "measure") == at_once


def test_a_removed_image_leaves_nothing_behind(sound: Path) -> None:
    write_image(sound, "added", make_body(77))
    run("ingest", sound)
    run("measure", sound)
    (sound / "archive" / "added.nii.gz").unlink()
    run("ingest", sound)
    run("measure", sound)
    assert len(read_table(Layout(sound / "results").table("measure", "measures"))) == N_SUBJECTS


@pytest.mark.parametrize("nth", [1, 3])
def test_a_killed_run_ends_with_the_same_bytes_when_run_again(sound: Path, nth: int) -> None:
    run("measure", sound)
    whole = digest_tree(sound / "results" / "measure")
    (sound / "results" / "measure" / "kept.sqlite").unlink()
    assert kill_at_write(["measure", *list_flags(sound)], nth=nth)
    assert not Layout(sound / "results").record("measure").exists()
    run("measure", sound)
    assert digest_tree(sound / "results" / "measure") == whole


def test_an_unreadable_image_has_a_reason_and_the_rest_goes_on(sound: Path) -> None:
    layout = Layout(sound / "results")
    spoilt, lost = (row["image_id"] for row in read_table(layout.manifest)[:2])
    layout.image(spoilt).write_bytes(layout.image(spoilt).read_bytes()[:200])
    layout.image(lost).unlink()
    result = run("measure", sound)
    assert "2 images could not be read" in result.output
    rows = {row["image_id"]: row for row in read_table(layout.table("measure", "measures"))}
    assert rows[spoilt]["reason"] == "bytes are not those that ingestion wrote"
    assert rows[lost]["reason"] == "no such file"
    assert sum(row["reason"] == "" for row in rows.values()) == N_SUBJECTS - 2
    run("cohort", sound)
    found = {row["image_id"]: row for _, row in read_findings(sound)}
    assert {name: row["action"] for name, row in found.items()} == {
        spoilt: "excluded",
        lost: "excluded",
    }


def test_a_stored_corner_does_not_count_as_orientation(tmp_path: Path) -> None:
    folder = make_study(tmp_path, {})
    affine = np.diag([*SPACING_MM, 1])
    affine[0, 0] *= -1
    affine[1, 1] *= -1
    path = folder / "archive" / "sound03.nii.gz"
    write_nifti(path, make_body(3)[::-1, ::-1].copy(), affine=affine, is_placed=True)
    for command in ("ingest", "measure", "cohort"):
        run(command, folder)
    assert read_findings(folder) == []


def test_of_four_dimensions_the_first_volume_is_measured_and_that_is_said(tmp_path: Path) -> None:
    folder = make_study(tmp_path, {})
    series = np.stack([make_body(1), 0 * make_body(1)], axis=3)
    write_image(folder, "series", series)
    run("ingest", folder, "ingest.volume=4d")
    run("measure", folder, "ingest.volume=4d")
    rows = read_table(Layout(folder / "results").table("measure", "measures"))
    (row,) = [row for row in rows if row["note"]]
    assert row["note"] == "first of 2 volumes"
    assert float(row["maximum"]) == make_body(1).max()


def test_measuring_imports_neither_torch_nor_monai(sound: Path) -> None:
    code = (
        "import sys\n"
        "from medvision.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as error:\n    assert not error.code\n"
        "heavy = {'torch', 'monai', 'captum', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", code, "measure", *list_flags(sound)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
