"""`medvision synthesise`: what it reads and writes, marks, refuses, and how it is interrupted."""

import hashlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from children import interrupt
from click.testing import CliRunner
from studies import write_study
from toy_study import make_study

from medvision.cli.main import main
from medvision.domain.synthesis.synthetic import name_image
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

GAN = {
    "generator": "gan",
    "steps": 8,
    "checkpoint_steps": 2,
    "grid_steps": 4,
    "width": 8,
    "latent": 8,
    "batch_size": 4,
    "minimum_subjects": 3,
}
WRITTEN = {
    *("images.npy", "images.tsv", "images.json", "generator.safetensors"),
    *("history.tsv", "sources.tsv", "step-0000004.png", "step-0000008.png"),
}


def make(root: Path, *, spatial_dims: int = 2, **changed):
    return make_study(root, spatial_dims=spatial_dims, synthesise={**GAN, **changed})


def make_config(root: Path):
    from medvision.config.model import build_study

    return build_study({"output": {"path": str(root)}, "synthesise": GAN})


def synthesise(study, fold: int = 0):
    arguments = ["synthesise", "--config", study.model_dump_json(), "--fold", str(fold)]
    return CliRunner().invoke(main, arguments)


def folder_of(root: Path, fold: int = 0) -> Path:
    return root / "synthesise" / f"fold-{fold}"


def digests(root: Path) -> dict[str, str]:
    files = [path for path in folder_of(root).rglob("*") if path.name in WRITTEN]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    result = synthesise(make(root))
    assert result.exit_code == 0, result.output
    assert "step 8, generator loss" in result.output
    return root


def test_every_artefact_is_written_and_recorded_and_the_state_is_gone(undisturbed):
    folder = folder_of(undisturbed)
    record = json.loads((folder / "record.json").read_text())
    assert {Path(path).name for path in record["writes"]} == WRITTEN
    assert record["seed"] == 41
    assert record["facts"]["n_synthetic"] == {"benign": 6, "nodule": 6}
    assert not (folder / "resume").exists()
    assert list((folder / "tensorboard").glob("events*"))


def test_every_image_is_marked_as_synthetic_in_name_table_and_sidecar(undisturbed):
    folder = folder_of(undisturbed)
    rows = read_table(folder / "images.tsv")
    assert [row["label"] for row in rows] == ["benign"] * 6 + ["nodule"] * 6
    assert [row["row"] for row in rows] == [str(n) for n in range(12)]
    assert {row["synthetic"] for row in rows} == {"true"}
    assert all(row["image_id"].startswith("synthetic_fold-0_class-") for row in rows)
    assert json.loads((folder / "images.json").read_text())["synthetic"] is True
    images = np.load(folder / "images.npy", mmap_mode="r")
    assert (images.shape, images.dtype) == ((12, 1, 16, 16), np.float32)
    assert np.isfinite(images).all()


def test_an_image_can_be_drawn_again_alone_from_its_row(undisturbed):
    from medvision.synthesis.sample import draw_image
    from medvision.synthesis.weights import load_generator

    folder = folder_of(undisturbed)
    generator, scale, meta = load_generator(folder / "generator.safetensors")
    row = read_table(folder / "images.tsv")[8]
    label = meta.classes.index(row["label"])
    again = draw_image(generator, scale, label=label, seed=int(row["seed"]))
    held = np.load(folder / "images.npy", mmap_mode="r")[8]
    assert again.tobytes() == held.tobytes()


def test_those_learnt_from_are_the_train_subjects_and_no_others(undisturbed):
    layout = Layout(undisturbed)
    rows = [row for row in read_table(layout.folds) if row["fold"] == "0"]
    train = {row["image_id"] for row in rows if row["split"] == "train"}
    learnt = read_table(folder_of(undisturbed) / "sources.tsv")
    assert {row["image_id"] for row in learnt} == train
    assert len(train) < len(rows)


def test_validation_and_test_images_are_never_read(undisturbed, tmp_path):
    """Planted: values that are none in every other image would end the training or change it."""
    study = make(tmp_path)
    layout = Layout(tmp_path)
    arrays = np.load(layout.array_shard("1-of-1"))
    for row in read_table(layout.folds):
        if row["fold"] == "0" and row["split"] != "train":
            arrays[int(row["subject"].removeprefix("sub-"), 16)] = np.nan
    assert np.isnan(arrays).any()
    _write_arrays_as_preprocessed(layout, arrays)
    result = synthesise(study)
    assert result.exit_code == 0, result.output
    assert digests(tmp_path) == digests(undisturbed)


def test_a_change_in_one_train_image_is_seen(undisturbed, tmp_path):
    study = make(tmp_path)
    layout = Layout(tmp_path)
    row = next(r for r in read_table(layout.folds) if r["fold"] == "0" and r["split"] == "train")
    arrays = np.load(layout.array_shard("1-of-1"))
    arrays[int(row["subject"].removeprefix("sub-"), 16)] += 1
    _write_arrays_as_preprocessed(layout, arrays)
    assert synthesise(study).exit_code == 0
    assert digests(tmp_path)["images.npy"] != digests(undisturbed)["images.npy"]


def _write_arrays_as_preprocessed(layout: Layout, arrays) -> None:
    """Write other arrays, and let the record say so."""
    path = layout.array_shard("1-of-1")
    np.save(path, arrays)
    record = json.loads(layout.record("preprocess").read_text())
    record["writes"]["preprocess/arrays-1-of-1.npy"] = hashlib.sha256(path.read_bytes()).hexdigest()
    layout.record("preprocess").write_text(json.dumps(record))


def test_volumes_are_drawn_too_and_folds_differ(tmp_path):
    study = make(tmp_path, spatial_dims=3, ratio={"nodule": 0.5})
    for fold in (0, 1):
        assert synthesise(study, fold).exit_code == 0
    images = [np.load(folder_of(tmp_path, fold) / "images.npy") for fold in (0, 1)]
    assert [each.shape for each in images] == [(3, 1, 16, 16, 16)] * 2
    assert not np.array_equal(*images)
    assert {row["label"] for row in read_table(folder_of(tmp_path) / "images.tsv")} == {"nodule"}


def interrupt_once_kept(study, folder: Path, number: signal.Signals) -> int:
    """Send a run a signal once it has kept something; return its end."""
    words = ["synthesise", "--fold", "0", "--config", study.model_dump_json()]
    kept = folder / "resume" / "state.pt"
    return interrupt(words, once=kept.exists, number=number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)]
)
def test_interrupted_it_goes_on_and_ends_bit_equal(undisturbed, tmp_path, number, end):
    study, folder = make(tmp_path), folder_of(tmp_path)
    assert interrupt_once_kept(study, folder, number) == end
    assert not (folder / "record.json").exists()
    result = synthesise(study)
    assert result.exit_code == 0, result.output
    assert "resuming after step" in result.output
    assert digests(tmp_path) == digests(undisturbed)


def test_a_study_that_draws_nothing_says_so(tmp_path):
    result = synthesise(make(tmp_path, generator="none"))
    assert result.exit_code == 2
    assert "synthesise.generator: value must be gan" in result.output


def test_too_few_subjects_end_before_anything_is_trained(tmp_path):
    result = synthesise(make(tmp_path, minimum_subjects=7))
    assert result.exit_code == 2
    assert "class benign must have at least 7 train subjects in fold 0, got 6" in result.output
    assert not (folder_of(tmp_path) / "tensorboard").exists()


def test_images_larger_than_supported_end_before_anything_is_trained(tmp_path):
    study = make(tmp_path)
    layout = Layout(tmp_path)
    _write_arrays_as_preprocessed(layout, np.zeros((24, 1, 300, 16), np.float32))
    result = synthesise(study)
    assert result.exit_code == 2
    assert "at most 256 voxels along each axis in 2D, got 300x16" in result.output
    assert not (folder_of(tmp_path) / "tensorboard").exists()


def test_a_subject_who_is_also_tested_ends_it_even_where_leakage_was_accepted(tmp_path):
    study = make(tmp_path)
    layout = Layout(tmp_path)
    rows = read_table(layout.folds)
    mine = [row for row in rows if row["fold"] == "0"]
    tested = next(row for row in mine if row["split"] == "test")
    next(row for row in mine if row["split"] == "train")["subject"] = tested["subject"]
    write_table(layout.folds, rows, columns=list(rows[0]))
    summary = json.loads(layout.cohort_summary.read_text())
    layout.cohort_summary.write_text(json.dumps({**summary, "leakage": {"overridden": True}}))
    result = synthesise(study)
    assert result.exit_code == 5
    assert f"{tested['subject']}, who is in test" in result.output


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"grid_steps": 3}, "grid_steps must be a multiple"),
        ({"width": 12}, "multiple of 8"),
        ({"ratio": -1}, "greater than or equal to 0"),
        ({"changes": ["cutout", "cutout"]}, "named once each"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, changed, words):
    values = {"output": {"path": str(tmp_path)}, "synthesise": {**GAN, **changed}}
    result = CliRunner().invoke(main, ["config", "--config", json.dumps(values)])
    assert result.exit_code == 2
    assert words in result.output


def plant(path: Path, **cells: str) -> None:
    """Give the first row of a table other cells."""
    rows = read_table(path)
    columns = [*rows[0], *(name for name in cells if name not in rows[0])]
    rows[0] = {**rows[0], **cells}
    write_table(path, rows, columns=columns)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_synthetic_image_in_validation_or_test_is_refused(tmp_path, split):
    study = make(tmp_path, use="none")
    layout = Layout(tmp_path)
    rows = read_table(layout.folds)
    row = next(row for row in rows if row["split"] == split)
    row["image_id"] = name_image(0, 1, number=0)
    write_table(layout.folds, rows, columns=list(rows[0]))
    for arguments in (["train", "--arm", "scratch", "--fold", "0"], ["synthesise", "--fold", "0"]):
        result = CliRunner().invoke(main, [*arguments, "--config", study.model_dump_json()])
        assert result.exit_code == 5
        assert "synthetic image must be in train" in result.output


@pytest.fixture
def sealed(tmp_path):
    """A whole fake study, as it is before it is sealed."""
    return write_study(tmp_path)


@pytest.mark.parametrize(
    "where", ["ingest/manifest.tsv", "cohort/cohort.tsv", "explain/selection.tsv"]
)
@pytest.mark.parametrize("cells", [{"synthetic": "true"}, {"image_id": name_image(0, 0, number=1)}])
def test_no_bundle_vouches_for_a_synthetic_image_as_source_or_explained(
    sealed, tmp_path, where, cells
):
    plant(tmp_path / where, **cells)
    result = CliRunner().invoke(main, ["audit", "seal", "--config", sealed.model_dump_json()])
    assert result.exit_code == 5
    assert f"{where}: images must be the study's own" in result.output


@pytest.mark.parametrize("command", ["evaluate", "plan"])
def test_a_prediction_of_a_synthetic_image_is_neither_evaluated_nor_planned_to_be_explained(
    sealed, tmp_path, command
):
    plant(Layout(tmp_path).predictions, image_id=name_image(0, 0, number=1))
    result = CliRunner().invoke(main, [command, "--config", sealed.model_dump_json()])
    assert result.exit_code == 5
    assert "predict/predictions.tsv: images must be the study's own" in result.output


def test_images_that_have_lost_their_mark_are_not_sealed(undisturbed, tmp_path):
    from medvision.cli._synthetic.files import check_sources_real
    from medvision.errors import CohortError

    layout, folder = Layout(tmp_path), folder_of(tmp_path)
    folder.mkdir(parents=True)
    for name in ("images.tsv", "images.json", "record.json"):
        (folder / name).write_bytes((folder_of(undisturbed) / name).read_bytes())
    check_sources_real(layout)
    (folder / "images.json").write_text('{"synthetic": false}')
    with pytest.raises(CohortError, match="synthetic must be true, got False"):
        check_sources_real(layout)
    plant(folder / "images.tsv", synthetic="false")
    with pytest.raises(CohortError, match="must be marked synthetic"):
        check_sources_real(layout)


def test_a_study_that_draws_has_a_stage_for_each_fold_before_the_trainings(tmp_path):
    from medvision.cli._steps import list_steps
    from medvision.config.model import build_study

    values = {"output": {"path": str(tmp_path)}, "cohort": {"folds": 2}}
    plain, drawing = (build_study({**values, "synthesise": each}) for each in ({}, GAN))
    layout = Layout(tmp_path)
    more = [step for step in list_steps(drawing, layout) if step not in list_steps(plain, layout)]
    assert more[:2] == ["synthesise/fold-0", "synthesise/fold-1"]
    assert more[2:4] == ["gate/fold-0", "gate/fold-1"]
    assert {step.partition("/")[0] for step in more[4:]} == {"ablate", "ablation"}
    steps = list_steps(drawing, layout)
    assert steps.index(more[1]) < steps.index("train/transfer/fold-0")


def test_a_missing_generator_is_named_with_the_command_that_trains_it():
    from medvision.cli._stale import name_command

    assert name_command("synthesise/fold-3") == "medvision synthesise --fold 3"
    assert name_command("train/scratch/fold-1") == "medvision train --arm scratch --fold 1"
    assert name_command("cohort") == "medvision cohort"


def test_the_report_reads_history_and_pictures_of_every_generator(undisturbed):
    from medvision.cli._report.generators import (
        list_generators,
        read_generator_histories,
        read_generator_sheets,
    )
    from medvision.cli._run import Step
    from medvision.report.generators import GeneratorFacts, GeneratorSheet

    study, layout = make_config(undisturbed), Layout(undisturbed)
    assert list_generators(study, layout)[:2] == ("synthesise/fold-0", "synthesise/fold-1")
    step = Step("report", study, layout, ())
    histories = read_generator_histories(step, ("train/scratch/fold-0", "synthesise/fold-0"))
    assert [row["step"] for row in histories["generator-0"]] == ["2", "4", "6", "8"]
    facts = GeneratorFacts(sheets=(GeneratorSheet("a", 0, 8, "caption"),))
    sheet = read_generator_sheets(step, facts)["a"]
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * 66, 8 * 66)
