"""Bad images, lost keys and folders of other studies: one bad image never stops the rest."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import (
    NAMES,
    check_refusal,
    list_labels,
    make_grid,
    step,
    write_image,
    write_labels,
    write_study,
)
from pipeline import call, list_commands

from medvision.io.tables import read_table
from medvision.layout import Layout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_study(tmp_path)


def run_until(folder: Path, last: str, *overrides: str) -> None:
    for command in ("ingest", "measure", "cohort", "preprocess"):
        result = step(command, folder, *overrides)
        assert result.exit_code == 0, result.output
        assert not any(name in result.output for name in NAMES)
        if command == last:
            return


# The folder of images.


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    write_labels(tmp_path, list_labels())
    check_refusal(
        step("ingest", tmp_path),
        3,
        "data.path: must hold at least one file, got none below",
        "hint: put the images into this folder, or set data.path",
    )


def test_a_missing_folder_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    write_labels(tmp_path, list_labels())
    check_refusal(
        step("ingest", tmp_path),
        3,
        f"data.path: must be an existing folder, got {tmp_path / 'archive'}.",
        f"relative to the working directory, {Path.cwd()}",
    )


def test_unreadable_files_are_listed_and_the_rest_goes_on(folder: Path) -> None:
    cut = folder / "archive" / f"{NAMES[3]}.nii.gz"
    cut.write_bytes(cut.read_bytes()[:300])
    broken = folder / "archive" / f"{NAMES[4]}.nii.gz"
    header = gzip.decompress((folder / "archive" / f"{NAMES[5]}.nii.gz").read_bytes())[:300]
    broken.write_bytes(gzip.compress(b"\x5c\x01" + header[2:] + bytes(100)))
    check_refusal(
        step("ingest", folder),
        13,
        "ingest: 10 images of 10 subjects from 12 files",
        "must have a reason that is accepted, got 1 pair-incomplete, 1 truncated.",
        "ingest.accept: [pair-incomplete, truncated]",
    )
    layout = Layout(folder / "results")
    reasons = {row["reason"] for row in read_table(layout.rejects)}
    assert "truncated" in reasons
    assert len(read_table(layout.manifest)) == 10
    accepted = "ingest.accept=[pair-incomplete, truncated]"
    for command in ("ingest", "measure"):
        assert step(command, folder, accepted).exit_code == 0
    result = step("cohort", folder, accepted)
    assert result.exit_code == 0, result.output
    assert "2 label-without-image" in result.output
    assert "refused at ingestion: truncated" in layout.unmatched.read_text()


def test_a_folder_of_which_nothing_is_usable_is_refused_with_the_reasons(folder: Path) -> None:
    for path in (folder / "archive").iterdir():
        path.write_bytes(path.read_bytes()[:300])
    check_refusal(
        step("ingest", folder),
        3,
        "must hold at least one usable image, got 12 files: 12 truncated.",
        "ingest/rejects.tsv",
    )
    assert len(read_table(Layout(folder / "results").rejects)) == 12


def test_images_of_another_kind_than_configured_are_told_so(folder: Path) -> None:
    result = step("ingest", folder, "data.kind=dicom")
    check_refusal(result, 3, "got 12 files: 12 other-kind", "set data.kind to the kind")


# What an image holds.


def test_images_with_nan_or_one_value_are_left_out_and_the_rest_goes_on(folder: Path) -> None:
    grid = make_grid(0)
    grid[2, 3, 1] = np.nan
    write_image(folder / "archive" / f"{NAMES[0]}.nii.gz", grid)
    write_image(folder / "archive" / f"{NAMES[1]}.nii.gz", np.full((8, 8, 6), 7, np.float32))
    run_until(folder, "cohort")
    result = step("preprocess", folder)
    assert result.exit_code == 0, result.output
    assert "1 left out: not-finite, the image holds NaN or infinity (see" in result.output
    layout = Layout(folder / "results")
    rows = {row["reason"]: row["detail"] for row in read_table(layout.preprocess_rejects)}
    assert rows == {"not-finite": "NaN or infinity in 1 of 384 voxels"}
    found = {row["rule"]: row["action"] for row in read_table(layout.table("cohort", "quality"))}
    assert (found["not-finite"], found["constant"]) == ("flagged", "excluded")
    assert len(np.load(layout.array_shard("1-of-1"), mmap_mode="r")) == 10


KEPT = "quality.exclude=[]"
"""Leave spoilt images to preprocessing."""


def spoil(folder: Path, names: tuple[str, ...]) -> None:
    for n, name in enumerate(names):
        write_image(folder / "archive" / f"{name}.nii.gz", np.full((8, 8, 6), n, np.float32))


def test_constant_images_alone_are_refused(folder: Path) -> None:
    spoil(folder, NAMES)
    run_until(folder, "cohort", KEPT)
    check_refusal(
        step("preprocess", folder, KEPT),
        3,
        "preprocess: at least one image must be usable, got none of 12 (12 constant, such as sub-",
        "look at the images named",
    )
    assert not Layout(folder / "results").array_shard("1-of-1").exists()


def test_a_class_of_constant_images_is_refused(folder: Path) -> None:
    spoil(folder, NAMES[1::2])
    run_until(folder, "measure")
    check_refusal(
        step("cohort", folder),
        5,
        "must keep an image after quality.exclude, got none of 6 left in class sick (6 constant).",
        "look at cohort/quality.tsv",
    )
    run_until(folder, "cohort", KEPT)
    check_refusal(
        step("preprocess", folder, KEPT),
        3,
        "every class must keep an image, got none of 6 left in class sick (6 constant",
    )


# The key of the pseudonyms, between ingest and cohort.


def test_a_lost_key_is_asked_for(folder: Path) -> None:
    run_until(folder, "measure")
    Layout(folder / "results").pseudonym_key.unlink()
    check_refusal(
        step("cohort", folder),
        3,
        "pseudonym.key: key of the pseudonyms must be a file, got none.",
        "put the key of ingestion back, or run `medvision ingest` again",
    )
    run_until(folder, "cohort")


def test_another_key_is_not_taken_for_labels_that_fit_nobody(folder: Path) -> None:
    run_until(folder, "measure")
    key = Layout(folder / "results").pseudonym_key
    key.write_text("00" * 32)
    result = step("cohort", folder)
    check_refusal(result, 12, "key of the pseudonyms must be", "put the key of ingestion back")
    assert "00" * 32 not in result.output


def test_a_spoilt_key_is_not_quoted(folder: Path) -> None:
    run_until(folder, "measure")
    Layout(folder / "results").pseudonym_key.write_text("secret rubbish")
    result = step("cohort", folder)
    check_refusal(result, 3, "key must be readable hexadecimal")
    assert "rubbish" not in result.output


# Output folders of another configuration.


def test_another_input_folder_is_noticed_without_naming_either(folder: Path) -> None:
    run_until(folder, "ingest")
    other = folder / "DOE^JANE"
    shutil.copytree(folder / "archive", other)
    result = step("cohort", folder, f"data.path={other}")
    check_refusal(
        result,
        12,
        "results: step ingest must have data.path path-",
        "(the folder holds another configuration; paths are shown as digests).",
        "run `medvision ingest` again with this configuration",
    )
    assert "JANE" not in result.output


STALE = {
    "ingest": ("phantom.seed=99", "step phantom must have phantom.seed 99, got 3"),
    "cohort": ("ingest.gap_tolerance=0.3", "step ingest must have ingest.gap_tolerance 0.3"),
    "preprocess": ("cohort.seed=9", "step cohort must have cohort.seed 9, got 1"),
    "pretrain": ("preprocess.intensity=zscore", "preprocess.intensity zscore, got window"),
    "train": ("pretrain.epochs=3", "step pretrain must have pretrain.epochs 3, got 1"),
    "predict": ("train.epochs=5", "step train/transfer/fold-0 must have train.epochs 5, got 2"),
    "evaluate": ("compute.threads=2", "step predict must have compute.threads 2, got 1"),
    "explain": ("model.policy=linear", "must have model.policy linear, got full"),
    "report": ("evaluate.seed=9", "step evaluate must have evaluate.seed 9, got 3"),
}
"""Stage -> a setting of an earlier one that is changed, and what is then said."""


@pytest.mark.parametrize("stage", STALE)
def test_a_folder_of_another_configuration_is_refused_by_its_setting(
    stage: str, tiny_study: Path
) -> None:
    override, message = STALE[stage]
    config = tiny_study.parent / "config.yaml"
    (command, *_) = (line for line in list_commands(config) if line[0] == stage)
    before = {path for path in tiny_study.rglob("*") if path.is_file()}
    check_refusal(call([*command, "--set", override]), 12, message, "hint: run `medvision ")
    assert {path for path in tiny_study.rglob("*") if path.is_file()} == before


def test_a_run_of_another_configuration_is_not_sealed(tiny_study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_study, tmp_path / "results")
    config = str(tiny_study.parent / "config.yaml")
    options = ["--set", f"output.path={copy}", "--set", "report.title=Other"]
    result = call(["audit", "seal", "--config", config, *options])
    message = "step report: parameters.report.title must be 'Other', got 'medvision study'."
    check_refusal(result, 10, message, "run the workflow again from the step named")
    assert not Layout(copy).record("audit").exists()
