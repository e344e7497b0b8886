"""`medvision pretrain` on images without labels: who is learnt from, and who never is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from real_data import write_labels

from medvision.cli._training import unlabelled as _unlabelled
from medvision.cli.main import main
from medvision.config.model import load_study
from medvision.domain.splits.untested import find_tested
from medvision.io.nifti.write import write_nifti
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

SPLITS = ["train"] * 8 + ["validation"] * 4 + ["test"] * 4
N_UNLABELLED = 10
N_USABLE = 12 + N_UNLABELLED


def draw(seed: int, *, depth: int = 1):
    grid = np.random.default_rng(seed).integers(0, 1000, (16, 16, depth))
    grid[4:9, 5 + seed % 5 : 9 + seed % 5] += 800
    return grid.astype("i2")


def write_image(folder: Path, name: str, grid) -> None:
    write_nifti(folder / "archive" / f"{name}.nii.gz", grid, affine=np.eye(4), is_placed=True)


def write_archive(folder: Path) -> None:
    """16 labelled images with given splits, 10 without a label, and three that must stay out."""
    rows = []
    for number, split in enumerate(SPLITS):
        write_image(folder, f"Doe{number:02d}/a", draw(number))
        label = ("well", "sick")[number % 2]
        rows.append({"subject": f"Doe{number:02d}", "label": label, "split": split})
        rows[-1]["image"] = f"Doe{number:02d}/a.nii.gz"
    for number in range(N_UNLABELLED):
        write_image(folder, f"Roe{number:02d}/a", draw(100 + number))
    write_image(folder, "Doe15/b", draw(200))
    write_image(folder, "Poe00/a", draw(14))
    write_image(folder, "Poe01/a", draw(201, depth=9))
    write_labels(folder / "labels.csv", rows)


def call(command: str, folder: Path, *overrides: str, options: tuple[str, ...] = ()) -> Result:
    values = [
        *(f"output.path={folder / 'results'}", "data.kind=nifti", "ingest.workers=1"),
        *(f"data.path={folder / 'archive'}", f"data.labels={folder / 'labels.csv'}"),
        *("cohort.folds=1", "cohort.near_duplicates=off", "preprocess.size=[16, 16, 1]"),
        *("preprocess.intensity=percentile", "train.epochs=1", "train.batch_size=4"),
        *("train.compare_scratch=false", "pretrain.epochs=2", "pretrain.batch_size=8"),
        *("compute.device=cpu", "pretrain.mask_block=[4, 4, 4]", *overrides),
    ]
    arguments = [part for value in values for part in ("--set", value)]
    return CliRunner().invoke(main, [command, *arguments, *options])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, preprocessed once."""
    folder = tmp_path_factory.mktemp("study")
    write_archive(folder)
    for command in ("ingest", "measure", "cohort", "preprocess"):
        result = call(command, folder)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder(prepared: Path) -> Path:
    """The same, without what other tests pretrained and trained."""
    for name in ("pretrain", "train"):
        shutil.rmtree(prepared / "results" / name, ignore_errors=True)
    return prepared


def read_uses(folder: Path) -> dict[str, list[dict[str, str]]]:
    uses: dict[str, list[dict[str, str]]] = {}
    for row in read_table(Layout(folder / "results").table("pretrain", "images")):
        uses.setdefault(row["use"], []).append(row)
    return uses


@pytest.mark.parametrize("task", ["contrastive", "masked"])
def test_weights_learnt_without_labels_start_the_transfer_arm(folder: Path, task: str) -> None:
    result = call("pretrain", folder, f"pretrain.task={task}")
    assert result.exit_code == 0, result.output
    layout = Layout(folder / "results")
    summary = json.loads(layout.pretrain_summary.read_text())
    assert summary["n_images"] == N_USABLE
    assert summary["n_unlabelled"] == N_UNLABELLED
    assert len(read_table(layout.pretrain_history)) == 2
    assert not (layout.step("pretrain") / "resume").exists()
    arm = ("--arm", "transfer", "--fold", "0")
    result = call("train", folder, f"pretrain.task={task}", options=arm)
    assert result.exit_code == 0, result.output
    rows = read_table(layout.seed("transfer", 0, seed=0) / "weights.tsv")
    assert {row["status"] for row in rows} == {"loaded", "missing-head"}


def test_nobody_of_a_test_set_is_learnt_from(folder: Path) -> None:
    assert call("pretrain", folder, "pretrain.task=masked").exit_code == 0
    layout, uses = Layout(folder / "results"), read_uses(folder)
    tested = {row["image_id"] for row in read_table(layout.folds) if row["split"] == "test"}
    assert len(tested) == 4
    out = {row["image_id"] for row in uses["tested"]}
    # The four, the other image of one of them, and the copy that lies under another name.
    assert tested < out
    assert len(out) == 6
    assert len(uses["other-kind"]) == 1
    assert len(uses["learnt-from"]) == N_USABLE
    index = {
        row["image_id"] for row in read_table(layout.step("pretrain") / "preprocess/index.tsv")
    }
    assert index == {row["image_id"] for row in uses["learnt-from"]}


def test_unlabelled_images_stay_out_of_folds_and_of_the_studys_own_store(folder: Path) -> None:
    assert call("pretrain", folder, "pretrain.task=masked").exit_code == 0
    layout = Layout(folder / "results")
    unlabelled = {
        row["image_id"] for row in read_uses(folder)["learnt-from"] if row["is_labelled"] != "true"
    }
    assert len(unlabelled) == N_UNLABELLED
    for path in (layout.folds, layout.cohort, layout.array_index):
        assert unlabelled.isdisjoint(row["image_id"] for row in read_table(path))


def test_a_test_subject_slipped_into_pretraining_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = _unlabelled.choose_uses

    def slip(study, archive, *, like):
        uses = honest(study, archive, like=like)
        first = next(name for name, use in uses.items() if use == "tested")
        return uses | {first: "learnt-from"}

    monkeypatch.setattr(_unlabelled, "choose_uses", slip)
    result = call("pretrain", folder, "pretrain.task=contrastive")
    assert result.exit_code != 0
    assert "nobody in a test set or external cohort, got 1 that are" in result.output
    assert not Layout(folder / "results").pretrained.exists()


def test_training_refuses_weights_whose_list_names_a_test_subject(folder: Path) -> None:
    assert call("pretrain", folder, "pretrain.task=masked").exit_code == 0
    layout = Layout(folder / "results")
    path = layout.table("pretrain", "images")
    rows = read_table(path)
    wrong = next(row for row in rows if row["use"] == "tested" and row["is_labelled"] == "true")
    wrong["use"] = "learnt-from"
    write_table(path, rows, columns=_unlabelled.IMAGE_COLUMNS)
    arm = ("--arm", "transfer", "--fold", "0")
    result = call("train", folder, "pretrain.task=masked", options=arm)
    assert result.exit_code != 0
    assert "images must be of nobody in a test set" in result.output


def test_all_subjects_are_learnt_from_when_asked_for_and_it_is_said(folder: Path) -> None:
    wanted = ("pretrain.task=masked", "pretrain.subjects=all")
    assert call("pretrain", folder, *wanted).exit_code == 0
    layout = Layout(folder / "results")
    summary = json.loads(layout.pretrain_summary.read_text())
    assert summary["subjects"] == "all"
    assert summary["n_images"] == N_USABLE + 6
    arm = ("--arm", "transfer", "--fold", "0")
    assert call("train", folder, *wanted, options=arm).exit_code == 0


def test_an_external_subject_is_learnt_from_not_even_where_all_are_asked_for() -> None:
    splits = {"a": "train", "b": "test", "c": "external"}
    folds = [{"image_id": n, "subject": f"s-{n}", "split": split} for n, split in splits.items()]
    manifest = [{"image_id": name, "source": "nifti"} for name in splits]
    for subjects, wanted in (("all", {"c"}), ("untested", {"b", "c"})):
        study = load_study(json.dumps({"pretrain": {"subjects": subjects, "task": "masked"}}))
        barred = _unlabelled._list_barred(study, folds)
        assert find_tested(manifest, folds=barred) == wanted


def test_plain_folds_without_other_images_leave_nobody_to_learn_from(tmp_path: Path) -> None:
    rows = []
    for number in range(16):
        write_image(tmp_path, f"Doe{number:02d}/a", draw(number))
        rows.append({"subject": f"Doe{number:02d}", "label": ("well", "sick")[number % 2]})
    write_labels(tmp_path / "labels.csv", rows)
    for command in ("ingest", "measure", "cohort", "preprocess"):
        result = call(command, tmp_path, "cohort.folds=2")
        assert result.exit_code == 0, result.output
    result = call("pretrain", tmp_path, "cohort.folds=2", "pretrain.task=masked")
    assert result.exit_code != 0
    assert (
        "images of subjects in no test set, got none of 16 (16 of test subjects)" in result.output
    )
    assert "cohort.held_out" in result.output


def test_same_study_gives_the_same_bytes(folder: Path) -> None:
    path = Layout(folder / "results").pretrained
    held = []
    for _ in range(2):
        assert call("pretrain", folder, "pretrain.task=contrastive").exit_code == 0
        held.append(path.read_bytes())
    assert held[0] == held[1]
