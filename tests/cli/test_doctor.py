"""`medvision doctor`: each planted fault is found, named and given a hint; torch stays out."""

import subprocess
import sys
from collections import namedtuple

import pytest
import yaml
from click.testing import CliRunner

from medvision.cli._doctor import disk as _check_disk
from medvision.cli._doctor import machine as _check_machine
from medvision.cli._doctor import study as _check_study
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.runtime.workflow import find_workflow

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A healthy study's configuration values, with its files in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(_check_machine, "_list_gpus", list)
    images = tmp_path / "images"
    images.mkdir()
    for number in range(6):
        (images / f"file{number}").write_bytes(bytes(128) + b"DICM" + bytes(60))
    write_labels(tmp_path, [f"s{n},{'yes' if n % 2 else 'no'}" for n in range(6)])
    return {
        "data": {"kind": "dicom", "path": "images", "labels": "labels.csv"},
        "cohort": {"folds": 3},
        "model": {"weights": "none"},
    }


def write_labels(folder, lines, *, header="subject,label"):
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n")


def doctor(values):
    with open("config.yaml", "w") as stream:  # noqa: PTH123 - the working directory is the test's
        yaml.safe_dump(values, stream)
    return CliRunner().invoke(main, ["doctor", "--config", "config.yaml"])


def find_line(result, name):
    """Return (status, what was found) of one check."""
    line = next(line for line in result.output.splitlines() if line.split()[1:2] == [name])
    status, _, found = line.split(maxsplit=2)
    return status, found.strip()


def assert_fails(result, name, *words):
    status, found = find_line(result, name)
    assert status == "fail"
    assert result.exit_code == 1
    for word in words:
        assert word in found
    assert "→" in result.output


def test_healthy_study_is_ready(study, tmp_path):
    (tmp_path / "Snakefile").touch()
    result = doctor(study)
    assert result.exit_code == 0, result.output
    ready = "Ready to run: snakemake --cores all --configfile config.yaml"
    assert result.output.rstrip().endswith(ready)
    assert find_line(result, "Images") == ("ok", "6 files; of 6 opened, 6 are DICOM")
    assert find_line(result, "Labels") == (
        "ok",
        "no 3 rows of 3 subjects, yes 3 rows of 3 subjects",
    )


def test_defaults_are_ready(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 0, result.output
    assert find_line(result, "Config")[1] == "the defaults"


def test_config_of_the_working_directory_is_found(study, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(study))
    result = CliRunner().invoke(main, ["doctor"])
    assert find_line(result, "Config")[1] == "config/config.yaml"


def test_the_workflow_is_named_where_the_folder_has_none(study):
    ready = doctor(study).output.rstrip().splitlines()[-1]
    assert ready.endswith(f"--snakefile {find_workflow()} --configfile config.yaml")


def test_broken_config_fails_and_the_machine_is_still_checked(study):
    result = doctor({**study, "train": {"epoch": 3}})
    assert_fails(result, "Config", "train.epoch", "Did you mean epochs?")
    assert find_line(result, "Python")[0] == "ok"


def test_missing_images_fail(study):
    study["data"]["path"] = "elsewhere"
    assert_fails(doctor(study), "Images", "elsewhere is no folder")


def test_a_bucket_needs_its_client(study, monkeypatch):
    monkeypatch.setattr(_check_study, "find_spec", lambda _: None)
    study["data"].pop("path")
    study["fetch"] = {"source": "s3://hospital/chest-ct"}
    result = doctor(study)
    assert result.exit_code != 0
    assert "boto3 is not installed" in result.output
    assert "pip install 'medvision[s3]'" in result.output


def test_empty_folder_fails(study, tmp_path):
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    assert_fails(doctor(study), "Images", "is empty")


def test_dicom_called_nifti_fails(study):
    study["data"]["kind"] = "nifti"
    assert_fails(doctor(study), "Images", "6 files, 0 are NIfTI")


def test_nifti_called_dicom_warns(study, tmp_path):
    for number, path in enumerate(sorted((tmp_path / "images").iterdir())):
        path.write_bytes(b"\x1f\x8b" + bytes(200))
        path.rename(path.with_name(f"{number}.nii.gz"))
    result = doctor(study)
    assert find_line(result, "Images") == ("warn", "6 files; of 6 opened, 0 are DICOM")
    assert result.exit_code == 0


def test_many_files_are_sampled_not_all_opened(study, monkeypatch):
    monkeypatch.setattr(_check_study, "_MOST_FILES_OPENED", 2)
    assert find_line(doctor(study), "Images")[1] == "6 files; of 2 opened, 2 are DICOM"


@pytest.mark.parametrize(
    ("header", "lines", "words"),
    [
        ("subject,class", ["a,x", "b,y"], ("label",)),
        ("subject,label", ["a,x", "b,x"], ("classes must number two or more",)),
        ("subject,label", ["a,x", "b,y", "c,y"], ("x 1 rows of 1 subjects", "3 folds")),
        ("subject,label", ["a,x", "a,x", "a,x", "b,y", "c,y", "d,y"], ("x 3 rows of 1 subjects",)),
        ("subject,label", [], ("at least one row",)),
    ],
    ids=["wrong column", "one class", "few subjects", "rows of one subject", "empty"],
)
def test_unusable_labels_fail(study, tmp_path, header, lines, words):
    write_labels(tmp_path, lines, header=header)
    assert_fails(doctor(study), "Labels", *words)


def test_an_external_cohort_is_counted_apart_and_makes_no_fold(study, tmp_path):
    lines = ["a,x,N", "b,y,N", "c,x,N", "d,y,N", "e,x,N", "f,y,N", "g,y,S"]
    write_labels(tmp_path, lines, header="subject,label,site")
    study["cohort"] |= {"external_column": "site", "external_values": ["S"]}
    assert find_line(doctor(study), "Labels") == (
        "ok",
        "x 3 rows of 3 subjects, y 3 rows of 3 subjects; external 1 rows of 1 subjects",
    )
    study["cohort"]["external_values"] = ["T"]
    assert_fails(doctor(study), "Labels", "value must be in column site, got T")


def test_nested_folds_with_too_few_subjects_fail(study):
    study["cohort"]["inner_folds"] = 3
    assert_fails(doctor(study), "Labels", "3 folds need 5 subjects of each class")


def test_a_column_to_stratify_by_that_is_not_there_fails(study):
    study["cohort"]["stratify_by"] = ["site"]
    assert_fails(doctor(study), "Labels", "no column site")


def test_a_prevalence_that_does_not_fit_the_labels_fails_before_anything_is_trained(study):
    study["evaluate"] = {"prevalence": {"yes": 0.1, "maybe": 0.9}}
    words = "must name the classes no, yes, got maybe, yes"
    assert_fails(doctor(study), "Labels", "evaluate.prevalence", words)


def test_one_fold_without_a_split_column_fails(study):
    study["cohort"]["folds"] = 1
    assert_fails(doctor(study), "Labels", "1 fold and no split column")


def test_one_fold_with_a_split_column_is_fine(study, tmp_path):
    splits = ("train", "train", "validation", "validation", "test", "test")
    lines = [f"s{n},{'yes' if n % 2 else 'no'},{split}" for n, split in enumerate(splits)]
    write_labels(tmp_path, lines, header="subject,label,split")
    study["cohort"]["folds"] = 1
    assert find_line(doctor(study), "Labels")[0] == "ok"


def test_missing_mask_fails(study, tmp_path):
    lines = [f"s{n},{'yes' if n % 2 else 'no'},m{n}.nii.gz" for n in range(6)]
    write_labels(tmp_path, lines, header="subject,label,mask")
    (tmp_path / "m0.nii.gz").write_bytes(b"")
    assert_fails(doctor(study), "Masks", "5 of 6 are not there")


@pytest.mark.parametrize(
    ("weights", "make", "words"),
    [
        ("gone.safetensors", None, "path must exist"),
        ("model.pkl", "file", "must be .safetensors, .pt, .pth or .tar, got .pkl"),
        ("study", "folder", "must be a study's output with a trained model"),
    ],
)
def test_unusable_weights_fail(study, tmp_path, weights, make, words):
    if make == "file":
        (tmp_path / weights).write_bytes(b"")
    elif make == "folder":
        (tmp_path / weights).mkdir()
    study["model"]["weights"] = weights
    assert_fails(doctor(study), "Weights", words)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder of weights."""
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def place(source, shelf):
    """Put some file on the shelf in the place of a source's."""
    from pathlib import Path

    from medvision.learn.registry import get_source
    from medvision.learn.shelf import place_file

    Path("any").write_bytes(b"any")
    place_file(get_source(source, shelf), Path("any"), shelf, pin=None)


@pytest.mark.parametrize(
    ("backbone", "intensity", "words"),
    [
        ("resnet18", "window", "scaling must be zscore"),
        ("resnet50", "zscore", "is for resnet18, model.backbone is resnet50"),
    ],
)
def test_weights_that_the_study_does_not_suit_fail(study, shelf, backbone, intensity, words):
    place("resnet18-medicalnet", shelf)
    study["model"] = {"weights": "resnet18-medicalnet", "backbone": backbone}
    study["preprocess"] = {"intensity": intensity}
    assert_fails(doctor(study), "Weights", words)


def test_a_named_source_on_the_shelf_is_ready(study, shelf):
    study["model"] = {"weights": "resnet18-medicalnet", "backbone": "resnet18"}
    study["preprocess"] = {"intensity": "zscore"}
    assert_fails(doctor(study), "Weights", "must be on the shelf")
    place("resnet18-medicalnet", shelf)
    status, found = find_line(doctor(study), "Weights")
    assert status == "ok"
    assert "MedicalNet" in found


def test_trained_study_is_taken_as_weights(study, tmp_path):
    model = tmp_path / "old" / "train" / "scratch" / "fold-0" / "seed-0" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"")
    study["model"]["weights"] = "old"
    assert find_line(doctor(study), "Weights") == ("ok", "old")


def test_unwritable_output_fails(study, tmp_path):
    (tmp_path / "blocked").write_text("")
    study["output"] = {"path": "blocked/results"}
    assert_fails(doctor(study), "Output", "blocked/results")


def test_full_disk_fails_and_a_nearly_full_one_warns(study, monkeypatch):
    for free, most, status in (
        (1e6, 2e8, "fail"),
        (3e8, 2e8, "warn"),
        (9e8, 1e9, "warn"),
        (1e12, 1e9, "ok"),
    ):
        usage = Usage(1e12, 0, free)
        monkeypatch.setattr(_check_disk.shutil, "disk_usage", lambda _, usage=usage: usage)
        monkeypatch.setattr(_check_disk, "estimate_bytes", lambda *_, most=most, **__: (2e8, most))
        assert find_line(doctor(study), "Disk")[0] == status


def estimate(study, *, files=(), n_images=10, **changes):
    """Return what a study of other settings is estimated to write."""
    merged = {**study, **changes}
    return _check_disk.estimate_bytes(build_study(merged), files, n_images=n_images)


def test_disk_estimate_grows_with_the_network_and_the_images(study):
    few = estimate(study)[0]
    assert estimate(study, model={"weights": "none", "backbone": "resnet50"})[0] > few + 1e9
    # Two bytes a voxel, in the store and in the journal.
    assert estimate(study, n_images=20)[0] == few + 10 * 2 * 2 * 64 * 64 * 24


@pytest.mark.parametrize(
    ("dtype", "n_bytes"), [("float16", (2, 2)), ("int16", (2, 2)), ("float32", (4, 4))]
)
def test_disk_estimate_goes_by_the_type_of_the_store(study, dtype, n_bytes):
    settings = {"preprocess": {"dtype": dtype}}
    one, more = (estimate(study, n_images=n, **settings) for n in (1, 11))
    grown = [(b - a) / 10 / (64 * 64 * 24) / 2 for a, b in zip(one, more, strict=True)]
    assert grown == list(n_bytes)


def test_disk_estimate_of_an_undecided_type_is_a_range(study):
    least, most = estimate(study)
    assert most - least == 10 * 2 * 2 * 64 * 64 * 24
    assert estimate(study, preprocess={"dtype": "float32"}) == (most, most)
    flat = estimate(study, data={**study["data"], "dimensions": 2})
    assert flat[1] - flat[0] == 10 * 2 * 2 * 64 * 64


def test_images_kept_half_way_are_part_of_the_estimate(study, tmp_path):
    file = tmp_path / "images" / "volume.nii.gz"
    file.write_bytes(bytes(10_000_000))
    plain, kept = (
        estimate(study, files=[file], preprocess={"keep_after": step, "dtype": "float16"})
        for step in (None, "Spacing")
    )
    assert kept[0] - plain[0] == 10 * 4 * 64 * 64 * 24
    # Packed about twofold, two bytes a voxel, kept as four.
    assert kept[1] - plain[1] == 4 * 10_000_000
    assert "to" in find_line(doctor({**study, "preprocess": {"keep_after": "Spacing"}}), "Disk")[1]


def test_gpu_asked_for_and_absent_fails(study):
    result = doctor({**study, "compute": {"device": "cuda"}})
    assert_fails(result, "GPU", "none visible")


def test_gpu_with_the_cpu_build_of_torch_warns(study, monkeypatch):
    monkeypatch.setattr(_check_machine, "_list_gpus", lambda: ["NVIDIA X"])
    monkeypatch.setattr(_check_machine, "_parse_local_build", lambda: "cpu")
    assert find_line(doctor(study), "GPU") == ("warn", "NVIDIA X, but torch is the CPU build")


def test_large_network_without_gpu_warns(study):
    study["model"]["backbone"] = "densenet121"
    status, found = find_line(doctor(study), "GPU")
    assert status == "warn"
    assert "densenet121 trains slowly" in found


def test_arrays_too_small_for_the_network_are_found_before_ingestion(study):
    study["model"]["backbone"] = "densenet121"
    study["preprocess"] = {"size": [32, 32, 16]}
    status, found = find_line(doctor(study), "Size")
    assert status == "warn"
    assert "densenet121 needs 17 voxels or more per side of 3D images" in found
    study["data"]["dimensions"] = 3
    assert_fails(doctor(study), "Size", "[32, 32, 16]")
    study["data"]["dimensions"] = 2
    assert " Size " not in doctor(study).output


def test_more_threads_than_cores_warns(study):
    assert find_line(doctor({**study, "compute": {"threads": 4096}}), "Cores")[0] == "warn"


def test_more_processes_than_this_machine_holds_are_told_before_hours_are_spent(study, monkeypatch):
    assert_fails(doctor({**study, "compute": {"nodes": 2}}), "Processes", "nodes is 2, here is 1")
    many = {**study, "compute": {"processes_per_node": 4096}}
    status, found = find_line(doctor(many), "Processes")
    assert (status, found.startswith("4096 of 1 threads on ")) == ("warn", True)
    monkeypatch.setattr(_check_machine, "_list_gpus", lambda: ["one", "two"])
    monkeypatch.setattr(_check_machine, "_parse_local_build", lambda: "cu128")
    asked = {**study, "compute": {"processes_per_node": 3}}
    assert_fails(doctor(asked), "Processes", "processes_per_node is 3, GPUs are 2")


def test_missing_or_old_package_fails(study, monkeypatch):
    needed = ["numpy>=999.0", "no-such-package>=1", "pytest>=1; extra == 'test'", "click>=8.1"]
    monkeypatch.setattr(_check_machine.importlib.metadata, "requires", lambda _: needed)
    result = doctor(study)
    assert_fails(result, "Packages", "is older than 999.0", "no-such-package is missing")
    assert "click" not in find_line(result, "Packages")[1]


def test_unsupported_python_fails(study, monkeypatch):
    monkeypatch.setattr(_check_machine, "_PYTHON", ((3, 99), (3, 100)))
    assert find_line(doctor(study), "Python")[0] == "fail"


def test_key_that_others_may_read_warns_and_a_missing_one_fails(study, tmp_path):
    key = tmp_path / "pseudonym.key"
    key.write_bytes(b"secret")
    key.chmod(0o644)
    study["ingest"] = {"key": "pseudonym.key"}
    assert find_line(doctor(study), "Keys")[0] == "warn"
    key.chmod(0o600)
    assert find_line(doctor(study), "Keys")[0] == "ok"
    key.unlink()
    assert_fails(doctor(study), "Keys", "is not there")


def test_doctor_imports_neither_torch_nor_monai(study, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(study))
    code = (
        "import sys\n"
        "from medvision.cli.main import main\n"
        "try:\n    main(['doctor', '--config', 'config.yaml'])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'monai', 'captum', 'scipy', 'pydicom', 'nibabel', 'snakemake'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_scorecards_cost_is_counted_and_few_seeds_warn(study):
    assert "Scorecard" not in doctor(study).output
    study["scorecard"] = {"sources": ["pretrain"]}
    status, found = find_line(doctor(study), "Scorecard")
    assert status == "ok"
    # 3 arms, 3 folds, 4 shares of equal steps, 5 seeds, against 3 trainings of the study.
    assert found.startswith("180 trainings in 9 jobs: 3 arms, 3 folds, 4 shares, 5 seeds")
    assert "about 60 times the study's own training" in found
    study["scorecard"] |= {"seeds": [0], "folds": "first", "budget": "epochs"}
    status, found = find_line(doctor(study), "Scorecard")
    assert status == "warn"
    assert "12 trainings in 3 jobs" in found
    assert "about 1.85 times" in found


def test_a_source_of_the_scorecard_that_is_not_there_fails(study):
    study["scorecard"] = {"sources": ["pretrain", "nowhere/x.pt"]}
    result = doctor(study)
    assert result.exit_code == 1
    assert "nowhere/x.pt" in result.output


GAN = {"generator": "gan", "minimum_subjects": 3}


@pytest.mark.parametrize(
    ("section", "size", "expected"),
    [
        ({}, [16, 16, 16], ("ok", "20000 steps for each fold")),
        ({"minimum_subjects": 4}, [16, 16, 16], ("fail", "class no has 3 in all")),
        ({}, [300, 16, 16], ("fail", "at most 128 voxels along each axis in 3D, got 300x16x16")),
    ],
)
def test_what_would_keep_a_generator_from_being_trained_is_found_beforehand(
    study, section, size, expected
):
    study["data"]["dimensions"] = 3
    study["preprocess"] = {"size": size}
    study["synthesise"] = {**GAN, **section}
    status, found = find_line(doctor(study), "Generator")
    assert status == expected[0]
    assert expected[1] in found


def test_of_a_study_that_draws_nothing_no_generator_is_asked_for(study):
    assert "Generator" not in doctor(study).output


@pytest.mark.parametrize(
    ("dimensions", "extractor", "expected"),
    [
        (3, "none", ("ok", "more trainings in")),
        (3, "squeezenet1_1-imagenet", ("fail", "which volumes cannot take")),
        (2, "nowhere/x.pt", ("fail", "gate.extractor: path must exist")),
    ],
)
def test_what_the_gate_costs_or_cannot_read_is_said_beforehand(
    study, dimensions, extractor, expected
):
    assert "Gate" not in doctor(study).output
    study["data"]["dimensions"] = dimensions
    study["synthesise"], study["gate"] = GAN, {"extractor": extractor}
    status, found = find_line(doctor(study), "Gate")
    assert status == expected[0]
    assert expected[1] in found


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"ratio": 0.5}, "up to 1.5 times the steps"),
        ({"ratio": {"no": 2.0}}, "up to 3 times the steps"),
        ({"use": "none"}, "on real images alone"),
    ],
)
def test_what_synthetic_images_add_to_a_training_is_said_beforehand(study, section, expected):
    assert "Training" not in doctor(study).output
    study["synthesise"] = {**GAN, **section}
    status, found = find_line(doctor(study), "Training")
    assert status == "ok"
    assert expected in found
