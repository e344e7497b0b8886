"""Levels 4 and 5: checks come out the same, and an implementation that shares no code agrees."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from recomputing import Audited, copy_bundle, find, say

from medvision.cli._recompute.checks import check_checks
from medvision.cli._recompute.independent import check_independently
from medvision.cli._recompute.influence import check_influence
from medvision.cli._recompute.summary import compute_summary
from medvision.cli._recompute.told import parse_check, read_told
from medvision.cli._recompute.verdicts import find_verdict_faults
from medvision.cli.main import main
from medvision.errors import AuditError
from medvision.explain.tables import VERDICT_COLUMNS, list_verdicts
from medvision.explain.verdicts import conclude_rows
from medvision.io.tables import read_table, write_table
from medvision.runtime.checkpoint import parse_meta, read_tensors, save_model

CHECKS = "explain/checks.tsv"


@pytest.fixture
def audited(tiny_study: Path, tmp_path: Path) -> Audited:
    torch.set_num_threads(1)
    return copy_bundle(tiny_study, tmp_path)


def first(audited: Audited, check: str, verdicts=("PASS", "FAIL")):
    rows = read_table(audited.study / CHECKS)
    return next(r for r in rows if r["check"] == check and r["verdict"] in verdicts)


def is_row(wanted):
    keys = ("image_id", "method", "check")
    return lambda row: all(row[key] == wanted[key] for key in keys)


def test_an_honest_bundle_passes_level_4(audited):
    checks = check_checks(audited.open())
    assert {check.name: (check.status, say(check)) for check in checks} == {
        "checks": ("PASS", ""),
        "stability": ("PASS", ""),
        "influence": ("PASS", ""),
    }
    assert "2 cases run again" in find(checks, "checks").note


def test_an_edited_statistic_is_found_even_where_its_verdict_was_made_to_fit(audited):
    row = first(audited, "deletion")
    statistic, verdict = ("0", "FAIL") if row["verdict"] == "PASS" else ("1", "PASS")
    audited.change_rows(
        CHECKS, lambda _: {"statistic": statistic, "verdict": verdict}, where=is_row(row)
    )
    text = say(find(check_checks(audited.open()), "checks"))
    assert f"{row['method']} deletion: statistic must be" in text


def test_an_edited_randomisation_statistic_is_found_in_a_sample_of_one_case(audited):
    scene = audited.open(sample=1)
    (image_id,) = {pair[0] for pair in _draw(audited)}
    row = next(
        r
        for r in read_table(audited.study / CHECKS)
        if (r["image_id"], r["check"]) == (image_id, "weight_randomisation") and r["statistic"]
    )
    moved = str(float(row["statistic"]) + 0.01)
    audited.change_rows(CHECKS, lambda _: {"statistic": moved}, where=is_row(row))
    assert "weight_randomisation: statistic must be" in say(find(check_checks(scene), "checks"))


def _draw(audited):
    from medvision.cli._recompute.request import draw_pairs

    return draw_pairs(audited.request(sample=1))


def test_a_dropped_row_and_an_added_one_are_found(audited):
    row = first(audited, "deletion")
    audited.change_rows(CHECKS, lambda _: {"method": "invented"}, where=is_row(row))
    text = say(find(check_checks(audited.open()), "checks"))
    assert f"{row['method']} deletion: row must be there" in text
    assert "invented deletion: row must be absent" in text


def test_an_edited_reason_is_found(audited):
    row = first(audited, "deletion")
    said = "mean logit 123, 4.5 in random order"
    audited.change_rows(CHECKS, lambda _: {"reason": said}, where=is_row(row))
    text = say(find(check_checks(audited.open()), "checks"))
    assert f"{row['method']} deletion: reason must be mean logit" in text


def test_edited_sizes_of_lesions_are_found_where_all_cases_are_run_again(audited):
    def edit(value):
        value["masks"]["median_diameter_mm"] = 99.0
        value["methods"]["layer_gradcam"]["too_coarse"] = "all is fine enough"

    audited.change_json("explain/summary.json", edit)
    text = say(find(check_checks(audited.open()), "checks"))
    assert "masks.median_diameter_mm must be" in text
    assert "methods.layer_gradcam.too_coarse must be" in text


@pytest.mark.parametrize(
    "comparison", ["input_noise", "other_fold", "agreement", "other_image", "cascade"]
)
def test_an_edited_row_of_cascade_or_stability_is_found(audited, comparison):
    name = "explain/cascade.tsv" if comparison == "cascade" else "explain/stability.tsv"

    def is_it(row):
        return row.get("comparison", row.get("stage")) in (comparison, "1") and row["ssim"]

    row = next(row for row in read_table(audited.study / name) if is_it(row))
    moved = str(float(row["ssim"]) - 0.02)
    audited.change_rows(name, lambda _: {"ssim": moved}, where=lambda own: own == row)
    check = find(check_checks(audited.open()), "stability")
    assert f"{name} {row['image_id']} {row['method']}" in say(check)
    assert ": ssim must be" in say(check)
    assert len(check.findings) == 1


def make_summary_fit(audited):
    """Write verdicts and summary anew from the tables as they are, as a careful forger would."""
    told = read_told(lambda path: audited.study / path)
    write_table(
        audited.study / "explain/verdicts.tsv",
        list_verdicts(told.cases, told.checks),
        columns=VERDICT_COLUMNS,
    )
    told = read_told(lambda path: audited.study / path)
    summary = compute_summary(told)
    for name, held in told.summary["methods"].items():
        summary["methods"][name] |= {"too_coarse": held["too_coarse"]} if "layer" in held else {}
    path = audited.study / "explain/summary.json"
    path.write_text(json.dumps(dict(told.summary) | summary))
    found = [find_verdict_faults(read_told(lambda path: audited.study / path))]
    assert found == [[]], "level 1 sees nothing: all of it fits"


def test_a_likeness_is_found_though_the_summary_was_made_to_fit(audited):
    name = "explain/stability.tsv"
    row = next(r for r in read_table(audited.study / name) if r["comparison"] == "input_noise")
    audited.change_rows(name, lambda _: {"ssim": "0.9876"}, where=lambda own: own == row)
    make_summary_fit(audited)
    check = find(check_checks(audited.open()), "stability")
    assert len(check.findings) == 1
    assert "input_noise draw-1: ssim must be" in say(check)


def test_a_statistic_is_found_though_reason_verdicts_and_summary_were_made_to_fit(audited):
    row = first(audited, "class_sensitivity")
    said = row["reason"].replace(f"{float(row['statistic']):.3f}", "-0.432")
    cells = {"statistic": "-0.432", "reason": said, "verdict": "PASS"}
    audited.change_rows(CHECKS, lambda _: cells, where=is_row(row))
    checks = [parse_check(own) for own in read_table(audited.study / CHECKS)]

    def conclude(own):
        pair = own["image_id"], own["method"]
        rows = [check for check in checks if (check.image_id, check.method) == pair]
        return dict(zip(("verdict", "reason"), conclude_rows(rows), strict=True))

    audited.change_rows("explain/attributions.tsv", conclude, where=lambda _: True)
    make_summary_fit(audited)
    check = find(check_checks(audited.open()), "checks")
    assert f"{row['method']} class_sensitivity: statistic must be" in say(check)


def edit_influence(audited, kind, **cells):
    name = "explain/influence.tsv"
    row = next(row for row in read_table(audited.study / name) if row["kind"] == kind)
    where = "explain/influence.tsv {image_id} {kind} {rank}".format_map(row)
    assert audited.change_rows(name, lambda _: cells, where=lambda own: own == row) == 1
    check = check_influence(audited.open())
    assert check.status == "FAIL"
    return where, say(check)


@pytest.mark.parametrize("kind", ["nearest", "raised", "lowered"])
def test_an_edited_score_of_a_train_image_is_found(audited, kind):
    rows = read_table(audited.study / "explain/influence.tsv")
    score = next(float(row["score"]) for row in rows if row["kind"] == kind)
    where, text = edit_influence(audited, kind, score=f"{1.01 * score}")
    assert f"{where}: score must be" in text


def test_another_train_image_in_the_place_of_the_nearest_is_found(audited):
    rows = read_table(audited.study / "explain/influence.tsv")
    case = audited.open().cases[rows[0]["image_id"]]
    other = next(
        row
        for row in read_table(audited.study / "cohort/folds.tsv")
        if (row["fold"], row["split"]) == (str(case.fold), "train")
        and row["image_id"] != rows[0]["train_image_id"]
    )
    cells = {"train_image_id": other["image_id"], "train_subject": other["subject"]}
    where, text = edit_influence(audited, "nearest", **cells, train_label=other["label"])
    assert f"{where}: train_image_id must be" in text


def test_an_edited_checkpoint_moves_the_influence_of_train_images(audited):
    case = next(iter(audited.open().cases.values()))
    folder = audited.study / f"train/{case.arm}/fold-{case.fold}/seed-{case.seed}"
    path = sorted(folder.glob("checkpoint-*.safetensors"))[0]
    tensors, text = read_tensors(path)
    tensors["class_layers.out.weight"] *= 1.5
    save_model(path, tensors, meta=parse_meta(text, where=path.name))
    assert "score must be" in say(check_influence(audited.open()))


def test_without_the_images_of_train_influence_is_not_checked_and_says_so(audited, tmp_path):
    images = Path(shutil.copytree(audited.results / "ingest/images", tmp_path / "images"))
    rows = read_table(audited.study / "explain/influence.tsv")
    (images / f"{rows[0]['train_image_id']}.nii.gz").unlink()
    check = check_influence(audited.open(sources=images))
    assert check.status == "NOT CHECKED"
    assert f"ingest/images/{rows[0]['train_image_id']}.nii.gz is not in images" in check.note


def test_without_its_mask_a_case_is_not_checked_and_says_so(audited):
    scene = audited.open(sources=audited.results / "ingest")
    assert scene.masked & scene.cases.keys()
    check = find(check_checks(scene), "checks")
    assert check.status == "NOT CHECKED"
    assert "nii.gz is not in ingest: put it there, as cohort/masks/" in check.note


def test_an_independent_implementation_agrees(audited):
    (check,) = check_independently(audited.open())
    assert (check.status, say(check)) == ("PASS", "")
    assert "6 maps of 2 images drawn" in check.note
    assert "at 4 times the nodes" in check.note


@pytest.mark.parametrize("method", ["integrated_gradients", "layer_gradcam", "occlusion"])
def test_an_independent_implementation_finds_a_map_scaled_by_a_thousandth(audited, method):
    pair = next(pair for pair in audited.open().rows if pair[1] == method)
    audited.change_map(pair, lambda grid: grid * np.float32(1.001))
    (check,) = check_independently(audited.open())
    assert f"{pair[0]}/{method}.nii.gz: map must be that of another implementation" in say(check)
    assert len(check.findings) == 1


def test_a_method_that_is_written_once_is_named_as_not_checked(audited):
    audited.change_rows(
        "explain/attributions.tsv",
        lambda _: {"method": "deeplift"},
        where=lambda row: row["method"] == "occlusion",
    )
    (check,) = check_independently(audited.open())
    assert check.status == "NOT CHECKED"
    assert "deeplift is written once only" in check.note


def test_the_command_shows_each_level_and_fails_by_its_exit_code(audited, tmp_path):
    words = ["audit", "verify", str(audited.bundle), "--study", str(audited.results)]
    words += ["--level", "5", "--sample", "2", "--seed", "7", "--json", str(tmp_path / "v.json")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    value = json.loads((tmp_path / "v.json").read_text())
    names = [check["name"] for check in value["checks"]]
    asked = ["verdicts", "beside", "peaks", "pictures", "arrays", "maps"]
    assert names[-10:] == [*asked, "checks", "stability", "influence", "independent"]
    assert {check["status"] for check in value["checks"]} <= {"PASS", "NOT CHECKED"}
    words[3:5] = ["--images", str(audited.results / "ingest")]
    done = CliRunner().invoke(main, [*words[:5], "--level", "3"])
    assert done.exit_code == 0, "a folder of images alone is no study with files missing"
    audited.change_map(next(iter(audited.open().rows)), lambda grid: -grid)
    done = CliRunner().invoke(main, [*words[:5], "--level", "3", "--sample", "99"])
    assert done.exit_code == AuditError.exit_code
    assert "failed: files" in done.output
    assert "maps" in done.output.rpartition("failed:")[2]


def test_below_level_3_torch_is_not_imported(audited, tmp_path):
    code = (
        "import sys\n"
        "from medvision.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'monai', 'captum'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    words = [sys.executable, "-c", code, "audit", "verify", str(audited.bundle), "--level", "2"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=tmp_path, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
