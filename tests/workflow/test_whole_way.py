"""Claims about the whole way through, made on a tiny cohort."""

import csv
import json
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pipeline import TINY, digest_tree, list_commands, run, run_all, write_config


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.mark.slow
def test_two_runs_leave_the_same_bytes(tiny_study: Path, tmp_path: Path) -> None:
    again = run_all(write_config(tmp_path, TINY))
    first, second = digest_tree(tiny_study), digest_tree(again)
    assert set(first) == set(second)
    assert {path for path in first if first[path] != second[path]} == set()


def test_every_explained_map_has_its_source_images_grid(tiny_study: Path) -> None:
    maps = sorted(tiny_study.glob("explain/[cm]*s/*/*.nii.gz"))
    assert {path.parts[-3] for path in maps} == {"controls", "maps"}
    assert maps
    for path in maps:
        source = nib.load(tiny_study / "ingest" / "images" / f"{path.parent.name}.nii.gz")
        attribution = nib.load(path)
        assert attribution.shape == source.shape
        np.testing.assert_array_equal(attribution.affine, source.affine)


def test_only_test_subjects_of_a_fold_are_explained_by_its_model(tiny_study: Path) -> None:
    splits = {
        (r["fold"], r["image_id"]): r["split"] for r in read_rows(tiny_study / "cohort/folds.tsv")
    }
    chosen = read_rows(tiny_study / "explain" / "selection.tsv")
    assert chosen
    assert {splits[row["fold"], row["image_id"]] for row in chosen} == {"test"}


def test_each_subject_is_tested_once_per_arm(tiny_study: Path) -> None:
    rows = read_rows(tiny_study / "predict" / "predictions.tsv")
    tested = [(r["arm"], r["seed"], r["image_id"]) for r in rows if r["split"] == "test"]
    assert len(tested) == len(set(tested))
    cohort = {row["image_id"] for row in read_rows(tiny_study / "cohort" / "cohort.tsv")}
    assert {image for _, _, image in tested} == cohort


def test_each_planted_file_gets_the_verdict_that_the_truth_expects(tiny_study: Path) -> None:
    truth = json.loads((tiny_study / "phantom" / "truth.json").read_text())
    digests = {row["file"]: row["digest"] for row in read_rows(tiny_study / "phantom/archive.tsv")}
    found: dict[str, list[tuple[str, str]]] = {}
    for row in read_rows(tiny_study / "ingest" / "sources.tsv"):
        found.setdefault(row["digest"], []).append((row["verdict"], row["reason"]))
    kinds = set()
    for fault in truth["faults"]:
        verdicts = [found[digests[name]] for name in fault["files"]]
        kinds.add(fault["kind"])
        if fault["kind"] == "duplicate-instances":
            # Either copy may be the one kept: as many are counted as were planted.
            counted = [v for rows in found.values() for v in rows if v[0] == "duplicate"]
            assert counted == [("duplicate", "same-pixels")] * len(fault["files"])
            continue
        expected = (fault["verdict"], fault["reason"])
        assert verdicts == [[expected]] * len(fault["files"]), fault["kind"]
    assert len(kinds) == 8


def test_the_image_under_two_subjects_is_found_and_kept_together(tiny_study: Path) -> None:
    (pair,) = read_rows(tiny_study / "cohort" / "leakage.tsv")
    assert (pair["kind"], pair["action"]) == ("same-pixels", "grouped")
    assert pair["subject_a"] != pair["subject_b"]
    assert find_splits(tiny_study, {pair["subject_a"]}) == find_splits(
        tiny_study, {pair["subject_b"]}
    )


def test_two_studies_of_one_subject_land_in_the_same_fold(tiny_study: Path) -> None:
    images = read_rows(tiny_study / "cohort" / "cohort.tsv")
    counts = Counter(row["subject"] for row in images)
    (twice,) = [subject for subject, n in counts.items() if n == 2]
    assert all(len(splits) == 1 for splits in find_splits(tiny_study, {twice}).values())


def find_splits(study: Path, subjects: set[str]) -> dict[str, set[str]]:
    """The splits of some subjects' images, by fold."""
    splits: dict[str, set[str]] = {}
    for row in read_rows(study / "cohort" / "folds.tsv"):
        if row["subject"] in subjects:
            splits.setdefault(row["fold"], set()).add(row["split"])
    return splits


def test_no_identity_of_the_archive_reaches_an_output(tiny_study: Path) -> None:
    with (tiny_study / "phantom" / "labels.csv").open() as stream:
        subjects = {row["subject"] for row in csv.DictReader(stream)}
    for path in sorted(tiny_study.rglob("*")):
        if path.is_dir() or "phantom" in path.parts:
            continue
        content = path.read_bytes()
        for subject in subjects:
            assert subject.encode() not in content, path.name


def test_every_stage_left_a_record_and_the_graph_is_closed(tiny_study: Path) -> None:
    run(["audit", "verify", str(tiny_study / "audit" / "bundle"), "--study", str(tiny_study)])


def test_commands_say_in_three_lines_what_was_found(tiny_study: Path) -> None:
    config = str(tiny_study.parent / "config.yaml")
    lines = run(["summary", "--config", config]).output.strip().splitlines()
    assert any("report.html" in line for line in lines)


def test_the_list_of_stages_is_that_of_the_workflow(tiny_study: Path, checkout: Path) -> None:
    names = {line[0] for line in list_commands(tiny_study.parent / "config.yaml")}
    rules = "".join(p.read_text() for p in (checkout / "workflow" / "rules").glob("*.smk"))
    assert {name for name in names if f"rule {name}:" not in rules} == set()
