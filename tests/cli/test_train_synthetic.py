"""`medvision train` with the synthetic images that the gate accepts, and without."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from planted_gates import OPEN, SHUT, plant_all, plant_drawn, plant_gate
from toy_study import make_study

from medvision.cli.main import main
from medvision.domain.synthesis.synthetic import name_image
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

GAN = {"generator": "gan", "minimum_subjects": 3}


def make(root: Path, *, use: str = "accepted", **sections):
    sections.setdefault("spatial_dims", 2)
    return make_study(root, synthesise={**GAN, "use": use}, **sections)


def train(study, fold: int = 0, arm: str = "scratch"):
    options = ["--arm", arm, "--fold", str(fold), "--config", study.model_dump_json()]
    return CliRunner().invoke(main, ["train", *options])


def insist(result):
    assert result.exit_code == 0, f"{result.output}\n{result.exception}"
    return result.output


def seed_folder(root: Path, fold: int = 0, *, arm: str = "scratch") -> Path:
    return Layout(root).seed(arm, fold, seed=0)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_of(root: Path, fold: int = 0):
    return json.loads(Layout(root).record(f"train/scratch/fold-{fold}").read_text())


def summary_of(root: Path, fold: int = 0):
    return json.loads((seed_folder(root, fold) / "summary.json").read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A training of a study that draws nothing."""
    root = tmp_path_factory.mktemp("plain")
    insist(train(make_study(root, spatial_dims=2)))
    return root


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A training with all but two of the images that were drawn."""
    root = tmp_path_factory.mktemp("mixed")
    study = make(root)
    plant_drawn(study)
    plant_gate(study, refused=(1, 6))
    output = insist(train(study))
    assert "trained on 6 synthetic images (benign 3, nodule 3) beside 12 real ones" in output
    return root


def test_accepted_images_are_trained_on_and_the_record_counts_them(plain, mixed):
    record, summary = record_of(mixed), summary_of(mixed)
    assert record["facts"]["n_synthetic"] == {"benign": 3, "nodule": 3}
    assert record["facts"]["gate"] == {"is_open": True, "reason": OPEN}
    assert (summary["n_training"], summary["n_synthetic"]) == (12, 6)
    assert summary["n_validation"] == summary_of(plain)["n_validation"]
    model = seed_folder(mixed) / "model.safetensors"
    assert digest_of(model) != digest_of(seed_folder(plain) / "model.safetensors")


def test_the_record_names_images_and_verdict_among_what_was_read(mixed):
    reads = record_of(mixed)["reads"]
    for name in ("synthesise/fold-0/images.npy", "gate/fold-0/images.tsv", "gate/fold-0/gate.json"):
        assert reads[name] == digest_of(mixed / name)


def test_same_inputs_give_the_same_bytes(mixed, tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    plant_gate(study, refused=(1, 6))
    insist(train(study))
    for name in ("model.safetensors", "history.tsv", "summary.json"):
        assert digest_of(seed_folder(tmp_path) / name) == digest_of(seed_folder(mixed) / name)


def test_the_networks_are_those_of_a_study_that_holds_the_images_itself(mixed, tmp_path):
    """A slow, plain oracle: the same pixels as six further real train images, in the same order."""
    study = make_study(tmp_path, spatial_dims=2)
    layout = Layout(tmp_path)
    drawn = np.load(mixed / "synthesise/fold-0/images.npy")
    kept = [
        row for row in read_table(mixed / "gate/fold-0/images.tsv") if row["accepted"] == "true"
    ]
    arrays = np.load(layout.array_shard("1-of-1"))
    index, folds = read_table(layout.array_index), read_table(layout.folds)
    place = next(row for row in folds if row["fold"] == "0" and row["split"] == "train")
    for n, row in enumerate(kept):
        # `zzz` and not `synthetic_`: these are real as far as this study knows.
        name = f"zzz-{n:03d}"
        arrays = np.concatenate([arrays, drawn[int(row["row"])][None]])
        index.append({**index[-1], "row": str(len(index)), "image_id": name})
        folds.append({**place, "image_id": name, "subject": name, "label": row["label"]})
    np.save(layout.array_shard("1-of-1"), arrays)
    write_table(layout.array_index, index, columns=list(index[0]))
    write_table(layout.folds, folds, columns=list(folds[0]))
    for step, names in {
        "preprocess": ("arrays-1-of-1.npy", "index.tsv"),
        "cohort": ("folds.tsv",),
    }.items():
        record = json.loads(layout.record(step).read_text())
        record["writes"] |= {f"{step}/{n}": digest_of(tmp_path / step / n) for n in names}
        layout.record(step).write_text(json.dumps(record))
    insist(train(study))
    for name in ("model.safetensors", "history.tsv"):
        assert digest_of(seed_folder(tmp_path) / name) == digest_of(seed_folder(mixed) / name)


@pytest.mark.parametrize("use", ["accepted", "none"])
def test_with_a_shut_gate_or_none_the_bytes_are_those_of_real_images_alone(plain, tmp_path, use):
    study = make(tmp_path, use=use)
    if use == "accepted":
        plant_drawn(study)
        plant_gate(study, is_open=False)
    output = insist(train(study))
    for name in ("model.safetensors", "history.tsv", "weights.tsv"):
        assert digest_of(seed_folder(tmp_path) / name) == digest_of(seed_folder(plain) / name)
    facts = record_of(tmp_path)["facts"]
    if use == "accepted":
        assert f"the gate is shut ({SHUT}); trained on real images alone" in output
        assert facts["gate"] == {"is_open": False, "reason": SHUT}
        assert facts["n_synthetic"] == {"benign": 0, "nodule": 0}
    else:
        assert facts == record_of(plain)["facts"]
        assert summary_of(tmp_path) == summary_of(plain)
        assert record_of(tmp_path)["reads"] == record_of(plain)["reads"]


def test_an_open_gate_that_refuses_every_image_adds_nothing(plain, tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    plant_gate(study, refused=tuple(range(8)))
    assert "accepts no image" in insist(train(study))
    model = "model.safetensors"
    assert digest_of(seed_folder(tmp_path) / model) == digest_of(seed_folder(plain) / model)


@pytest.mark.parametrize("policy", ["full", "linear", "partial", "gradual"])
def test_every_policy_of_the_transfer_arm_takes_them(plain, tmp_path, policy):
    study = make(
        tmp_path,
        model={
            "weights": str(seed_folder(plain) / "model.safetensors"),
            "policy": policy,
            "frozen_blocks": 2,
        },
    )
    plant_all(study)
    insist(train(study, arm="transfer"))
    held = json.loads((seed_folder(tmp_path, arm="transfer") / "summary.json").read_text())
    assert held["n_synthetic"] == 8
    # A frozen part's features are computed once of the mixed images as of any others.
    assert held["reuses_features"] is (policy in ("linear", "partial"))


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_stores_of_other_types_take_them(tmp_path, dtype):
    study = make(tmp_path)
    layout = Layout(tmp_path)
    path = layout.array_shard("1-of-1")
    arrays = np.load(path)
    np.save(
        path,
        arrays.astype(np.float16)
        if dtype == "float16"
        else np.rint(1000 * arrays).astype(np.int16),
    )
    rows = [
        {**row, "scale": 0.001 if dtype == "int16" else 1} for row in read_table(layout.array_index)
    ]
    write_table(layout.array_index, rows, columns=list(rows[0]))
    record = json.loads(layout.record("preprocess").read_text())
    for name in ("arrays-1-of-1.npy", "index.tsv"):
        record["writes"][f"preprocess/{name}"] = digest_of(tmp_path / "preprocess" / name)
    layout.record("preprocess").write_text(json.dumps(record))
    plant_all(study)
    insist(train(study))
    assert summary_of(tmp_path)["n_synthetic"] == 8


def test_volumes_are_taken_and_each_fold_has_its_own(tmp_path):
    study = make(tmp_path, spatial_dims=3)
    plant_all(study)
    for fold in (0, 1):
        insist(train(study, fold))
        read = [name for name in record_of(tmp_path, fold)["reads"] if name.endswith("images.npy")]
        assert read == [f"synthesise/fold-{fold}/images.npy"]


@pytest.mark.parametrize("imbalance", ["weights", "sampling"])
def test_classes_are_balanced_over_real_and_synthetic_images_together(tmp_path, imbalance):
    study = make(tmp_path, train={"imbalance": imbalance, "keep_checkpoints": 2})
    plant_drawn(study)
    # Nodules alone: twelve real images, four of them more of one class.
    plant_gate(study, refused=(0, 1, 2, 3))
    insist(train(study))
    held = json.loads((seed_folder(tmp_path) / "checkpoints.json").read_text())
    weights = held["loss"]["class_weights"]
    if imbalance == "weights":
        assert weights[0] / weights[1] == pytest.approx(10 / 6)
    else:
        assert weights[0] == weights[1]


def interrupt(study, folder: Path, number: signal.Signals) -> int:
    """Train in a process that is sent a signal once it has kept something; return its end."""
    code = "from medvision.cli.main import main; main()"
    options = ["train", "--arm", "scratch", "--fold", "0", "--config", study.model_dump_json()]
    process = subprocess.Popen([sys.executable, "-c", code, *options], stderr=subprocess.PIPE)
    while not (folder / "resume" / "state.pt").exists() and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, number)
    return process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)]
)
def test_interrupted_it_goes_on_and_ends_bit_equal(tmp_path, number, end):
    roots = [tmp_path / name for name in ("undisturbed", "interrupted")]
    studies = [make(root, train={"epochs": 8}) for root in roots]
    for study in studies:
        plant_all(study)
    insist(train(studies[0]))
    assert interrupt(studies[1], seed_folder(roots[1]), number) == end
    assert "resuming" in insist(train(studies[1]))
    models = [digest_of(seed_folder(root) / "model.safetensors") for root in roots]
    assert models[0] == models[1]


@pytest.mark.slow
def test_a_training_interrupted_before_the_gate_changed_its_mind_begins_anew(tmp_path):
    study = make(tmp_path, train={"epochs": 8})
    plant_all(study)
    assert interrupt(study, seed_folder(tmp_path), signal.SIGTERM) == 75
    plant_gate(study, refused=(0,))
    assert "resuming" not in insist(train(study))


@pytest.mark.slow
def test_several_processes_divide_real_and_synthetic_images_alike(mixed, tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    plant_gate(study, refused=(1, 6))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "medvision", "train", "--arm", "scratch", "--fold", "0"]
    done = subprocess.run(
        [*command, "--config", study.model_dump_json()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path)["n_synthetic"] == 6
    alone, together = (read_table(seed_folder(root) / "history.tsv") for root in (mixed, tmp_path))
    losses = [[float(row["train_loss"]) for row in rows] for rows in (alone, together)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def edit(path: Path, **cells: str) -> None:
    """Give the first row of a table other cells."""
    rows = read_table(path)
    rows[0] = {**rows[0], **cells}
    write_table(path, rows, columns=list(rows[0]))


def fit_record(root: Path, step: str, name: str) -> None:
    """Let a step's record say that a file is as it wrote it."""
    path = Layout(root).record(step)
    record = json.loads(path.read_text())
    record["writes"][f"{step}/{name}"] = digest_of(root / step / name)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "name",
    [
        *("synthesise/fold-0/images.npy", "synthesise/fold-0/images.tsv"),
        *("gate/fold-0/images.tsv", "gate/fold-0/gate.json"),
    ],
)
def test_a_file_that_was_edited_is_refused_before_anything_is_trained(tmp_path, name):
    study = make(tmp_path)
    plant_all(study)
    content = bytearray((tmp_path / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / name).write_bytes(bytes(content))
    result = train(study)
    assert result.exit_code == 12
    assert f"{name}: file must be as its step wrote it, got other bytes" in result.output
    assert not seed_folder(tmp_path).exists()


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"image_id": "sub-1"}, "image_id of synthetic_fold-0_class-0_000000 must be"),
        ({"label": "nodule"}, "must be benign, got nodule"),
        ({"row": "3"}, "row of synthetic_fold-0_class-0_000000 must be 0, got 3"),
        ({"accepted": "yes"}, "must be true or false, got yes"),
    ],
)
def test_a_verdict_of_other_images_is_refused(tmp_path, cells, words):
    study = make(tmp_path)
    plant_all(study)
    edit(tmp_path / "gate/fold-0/images.tsv", **cells)
    fit_record(tmp_path, "gate/fold-0", "images.tsv")
    result = train(study)
    assert result.exit_code == 5
    assert words in result.output
    assert "medvision gate --fold 0" in result.output


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"synthetic": "false"}, "must be marked synthetic"),
        ({"fold": "1"}, "fold of synthetic_fold-0_class-0_000000 must be 0, got 1"),
        ({"label": "cyst"}, "must be benign or nodule, got cyst"),
        ({"image_id": name_image(0, 0, number=1)}, "each image must stand once"),
    ],
)
def test_a_table_of_drawn_images_that_does_not_fit_is_refused(tmp_path, cells, words):
    study = make(tmp_path)
    plant_drawn(study)
    edit(tmp_path / "synthesise/fold-0/images.tsv", **cells)
    fit_record(tmp_path, "synthesise/fold-0", "images.tsv")
    plant_gate(study)
    result = train(study)
    assert result.exit_code == 5
    assert words in result.output


def test_a_sidecar_that_has_lost_its_mark_is_refused(tmp_path):
    study = make(tmp_path)
    plant_all(study)
    (tmp_path / "synthesise/fold-0/images.json").write_text('{"synthetic": false}')
    fit_record(tmp_path, "synthesise/fold-0", "images.json")
    result = train(study)
    assert result.exit_code == 5
    assert "images.json: synthetic must be true, got False" in result.output


def test_a_shut_gate_that_accepts_an_image_is_refused(tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    plant_gate(study, is_open=False)
    edit(tmp_path / "gate/fold-0/images.tsv", accepted="true")
    fit_record(tmp_path, "gate/fold-0", "images.tsv")
    result = train(study)
    assert result.exit_code == 5
    assert "a shut gate must accept no image, got 1 accepted" in result.output


def test_a_verdict_on_images_that_were_drawn_anew_is_stale(tmp_path):
    study = make(tmp_path)
    plant_all(study)
    plant_drawn(study, seed=99)
    result = train(study)
    assert result.exit_code == 12
    assert "gate/fold-0: verdict must be on the images of synthesise/fold-0" in result.output
    assert "medvision gate --fold 0" in result.output


def swap_sides(study) -> None:
    """Let subjects of train and test change places, as an edited table of labels does."""
    layout = Layout(study.output.path)
    sides = {"train": "test", "test": "train"}
    rows = [
        {**row, "split": sides.get(row["split"], row["split"])} for row in read_table(layout.folds)
    ]
    write_table(layout.folds, rows, columns=list(rows[0]))
    fit_record(layout.root, "cohort", "folds.tsv")


@pytest.mark.parametrize(
    ("again", "step", "command"),
    [
        ((), "synthesise/fold-0", "medvision synthesise --fold 0"),
        ((plant_drawn,), "gate/fold-0", "medvision gate --fold 0"),
    ],
)
def test_images_of_a_generator_or_gate_that_saw_other_folds_are_not_trained_on(
    tmp_path, again, step, command
):
    study = make(tmp_path)
    plant_all(study)
    swap_sides(study)
    for plant in again:
        plant(study)
    result = train(study)
    assert result.exit_code == 12, result.output
    said = f"{step}/record.json: cohort/folds.tsv that was read must be the one that lies there"
    assert f"{said}, got another" in result.output
    assert command in result.output
    assert not seed_folder(tmp_path).exists()


def test_images_of_a_generator_that_saw_other_arrays_are_not_trained_on(tmp_path):
    study = make(tmp_path)
    plant_all(study)
    path = Layout(tmp_path).array_shard("1-of-1")
    np.save(path, np.load(path) + 1)
    fit_record(tmp_path, "preprocess", path.name)
    result = train(study)
    assert result.exit_code == 12
    assert f"preprocess/{path.name} that was read must be the one that lies" in result.output


def test_a_generator_that_names_no_folds_is_not_trusted(tmp_path):
    study = make(tmp_path)
    plant_all(study)
    path = Layout(tmp_path).record("synthesise/fold-0")
    record = json.loads(path.read_text())
    del record["reads"]["cohort/folds.tsv"]
    path.write_text(json.dumps(record))
    result = train(study)
    assert result.exit_code == 12
    assert "cohort/folds.tsv that was read must be the one that lies there, got none" in (
        result.output
    )


def test_without_a_verdict_nothing_is_trained(tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    result = train(study)
    assert result.exit_code == 12
    assert "step gate/fold-0 must be complete" in result.output
    assert "medvision gate --fold 0" in result.output


def test_images_of_another_shape_are_refused(tmp_path):
    study = make(tmp_path)
    plant_drawn(study)
    path = tmp_path / "synthesise/fold-0/images.npy"
    np.save(path, np.load(path)[:, :, :-1])
    fit_record(tmp_path, "synthesise/fold-0", "images.npy")
    plant_gate(study)
    result = train(study)
    assert result.exit_code == 3
    assert "array must be (8, 1, 16, 16) float32" in result.output


def test_a_training_with_other_images_than_asked_for_is_stale(mixed):
    """A network trained with synthetic images is no network of a study that takes none."""
    study = make(mixed.parent / "other", use="none")
    values = study.model_dump_json().replace(str(mixed.parent / "other"), str(mixed))
    result = CliRunner().invoke(main, ["predict", "--config", values])
    assert result.exit_code == 12
    assert "synthesise.use none, got accepted" in result.output


def test_random_changes_are_made_of_real_and_synthetic_images_alike(tmp_path):
    study = make(tmp_path, augment={"shift_voxels": 2})
    plant_all(study)
    insist(train(study))
    path = seed_folder(tmp_path) / "changes.tsv.gz"
    names = [
        line.split("\t")[3]
        for line in gzip.decompress(path.read_bytes()).decode().split("\n")[1:]
        if line
    ]
    assert len(names) == 2 * (12 + 8)
    assert sum(name.startswith("synthetic_") for name in names) == 2 * 8


@pytest.mark.parametrize(
    ("words", "sections"),
    [
        (
            ("tune", "--arm", "scratch", "--part", "0"),
            {
                "n_inner": 2,
                "train": {"epochs": 1},
                "tune": {
                    "trials": 2,
                    "space": {"train.learning_rate": {"low": 1e-4, "high": 1e-2}},
                },
            },
        ),
        (("scorecard", "--arm", "scratch", "--fold", "0"), {"train": {"epochs": 1}}),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_search_and_scorecard_are_of_real_images_alone(plain, tmp_path, words, sections):
    """The bytes are those of a study that draws nothing, and nothing that was drawn is read."""
    if words[0] == "scorecard":
        weights = str(seed_folder(plain) / "model.safetensors")
        card = {"sources": [weights], "fractions": [1.0], "seeds": [0]}
        sections = {**sections, "scorecard": card}
    found = []
    for name in ("without", "with"):
        root = tmp_path / name
        study = (
            make_study(root, spatial_dims=2, **sections)
            if name == "without"
            else make(root, **sections)
        )
        if name == "with":
            plant_all(study)
        insist(CliRunner().invoke(main, [*words, "--config", study.model_dump_json()]))
        (folder,) = [path.parent for path in (root / words[0]).rglob("record.json")]
        record = json.loads((folder / "record.json").read_text())
        assert not [path for path in record["reads"] if path.startswith(("synthesise/", "gate/"))]
        found.append(record["writes"])
    assert found[0] == found[1]
