"""`medvision ingest` and `locate`: messages, exit codes, and no name anywhere."""

import gzip
import json
import re
import signal
import stat
import subprocess
import sys
import tarfile
import time

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from dicoms import Plan, make_volume, write_radiograph, write_series
from ingesting import snapshot
from pydicom.dataset import Dataset

from medvision.cli.main import main
from medvision.io.tables import read_table

CANARY = "ZZCANARYZZ"
BIRTH = "19010203"


def run(*arguments):
    return CliRunner().invoke(main, [str(item) for item in arguments])


def ingest(source, out, *more, kind="dicom"):
    return run("ingest", *list_flags(source, out, *more, kind=kind))


def list_flags(source, out, *more, kind="dicom"):
    settings = (
        *(f"data.kind={kind}", f"data.path={source}", f"output.path={out}"),
        *("ingest.workers=1", "data.labels=labels.csv"),
    )
    return [flag for setting in (*settings, *more) for flag in ("--set", setting)]


def plant_canaries(dataset, k):
    """Put a mark into everything that could tell who somebody is."""
    dataset.PatientName = f"{CANARY}^Name"
    dataset.PatientBirthDate = BIRTH
    dataset.OtherPatientIDs = CANARY
    for keyword in (
        *("InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "OperatorsName"),
        *("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "StudyID"),
        *(
            "PatientComments",
            "StationName",
            "AccessionNumber",
            "DeviceSerialNumber",
            "Manufacturer",
        ),
        *("ManufacturerModelName", "PerformingPhysicianName", "RequestedProcedureDescription"),
    ):
        setattr(dataset, keyword, f"{CANARY} {keyword}"[:16])
    dataset.Modality = CANARY
    dataset.RescaleType = CANARY
    dataset.ImageType = ["ORIGINAL", "PRIMARY", CANARY]
    dataset.add_new(0x00091001, "LO", CANARY)
    dataset.file_meta.SourceApplicationEntityTitle = CANARY
    outer, inner = Dataset(), Dataset()
    inner.PatientName = CANARY
    outer.RequestAttributesSequence = [inner]
    dataset.RequestAttributesSequence = [outer]
    dataset.preamble = CANARY.encode().ljust(128, b"\0")


def read_everything(folder):
    """Yield the decompressed bytes of every file."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield path, gzip.decompress(content) if path.name.endswith(".gz") else content


def test_no_name_survives_in_any_output_log_or_error(tmp_path, caplog):
    source = tmp_path / "in" / f"{CANARY}-folder"
    plan = Plan(make_volume(), subject=f"{CANARY}-id", study="1.2.777.1", series="1.2.777.1.1")
    write_series(source, plan, change=plant_canaries)
    gap = Plan(make_volume(), subject=f"{CANARY}-id2", study="1.2.777.2", series="1.2.777.2.1")
    write_series(source, gap, change=plant_canaries)[2].unlink()
    broken = write_radiograph(source, make_volume((4, 4, 1))[:, :, 0], PatientName=CANARY)
    broken.write_bytes(broken.read_bytes()[:-8])
    (source / f"{CANARY}.txt").write_text(CANARY)
    image = nibabel.Nifti1Image(np.ones((3, 3, 3), np.int16), np.eye(4))
    image.header["descrip"] = CANARY.encode()
    nibabel.save(image, source / f"{CANARY}.nii.gz")
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 13, result.output
    texts = [*read_everything(tmp_path / "out"), ("output", result.output.encode())]
    texts.append(("log", caplog.text.encode()))
    for name, content in texts:
        for mark in (CANARY, BIRTH, "1.2.777", "Muster"):
            assert mark.encode() not in content, name
            assert mark not in str(name)
    rows = read_table(tmp_path / "out" / "ingest" / "rejects.tsv")
    assert {row["reason"] for row in rows} == {"missing-slice", "truncated"}
    failed = ingest(source / "..", tmp_path / "out2", kind="nifti")
    assert CANARY not in failed.output


def test_summary_says_what_was_refused(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    gap = Plan(make_volume(), subject="P-2", study="1.2.9", series="1.2.9.1")
    write_series(tmp_path / "in", gap)[1].unlink()
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert "1 images of 1 subjects from 9 files (5 converted, 4 refused)" in result.output
    assert "refused: 4 missing-slice" in result.output


def write_gap(folder):
    """Write a whole series and one with a gap."""
    write_series(folder, Plan(make_volume()))
    gap = Plan(make_volume(), subject="P-2", study="1.2.9", series="1.2.9.1")
    write_series(folder, gap)[1].unlink()


def test_a_refused_file_makes_the_exit_code_13_after_all_is_written(tmp_path):
    write_gap(tmp_path / "in")
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.exit_code == 13
    assert "a reason that is accepted, got 4 missing-slice." in result.output
    assert "hint: read this table" in result.output
    assert "ingest.accept: [missing-slice]" in result.output
    folder = tmp_path / "out" / "ingest"
    assert len(read_table(folder / "manifest.tsv")) == 1
    assert json.loads((folder / "record.json").read_text())["facts"]["refused"] == {
        "missing-slice": 4
    }


@pytest.mark.parametrize(
    ("accept", "code"),
    [("[missing-slice]", 0), ("all", 0), ("[truncated]", 13), ("[truncated, missing-slice]", 0)],
)
def test_reasons_that_are_accepted_are_no_error(tmp_path, accept, code):
    write_gap(tmp_path / "in")
    result = ingest(tmp_path / "in", tmp_path / "out", f"ingest.accept={accept}")
    assert result.exit_code == code, result.output


def test_an_accepted_reason_that_does_not_exist_is_refused_before_any_work(tmp_path):
    write_gap(tmp_path / "in")
    result = ingest(tmp_path / "in", tmp_path / "out", "ingest.accept=[missing-slices]")
    assert result.exit_code == 2
    assert "got missing-slices. Did you mean missing-slice?" in result.output
    assert not (tmp_path / "out").exists()


def test_the_workflow_lets_ingestion_end_in_spite_of_refused_files(tmp_path):
    write_gap(tmp_path / "in")
    flags = list_flags(tmp_path / "in", tmp_path / "out")
    assert run("ingest", "--defer-refusals", *flags).exit_code == 0


@pytest.mark.parametrize("compression", ["fast", "none"])
def test_parts_of_the_work_leave_what_one_run_leaves(tmp_path, compression):
    kept = f"ingest.compression={compression}"
    for n in range(5):
        plan = Plan(make_volume(seed=n), subject=f"P-{n}", study=f"1.3.{n}", series=f"1.2.{n}")
        write_series(tmp_path / "in", plan)
    ingest(tmp_path / "in", tmp_path / "whole", kept)
    key = tmp_path / "whole" / "secret" / "pseudonym.key"
    flags = list_flags(tmp_path / "in", tmp_path / "out", f"ingest.key={key}", kept)
    assert "25 files indexed" in run("ingest", "--index-only", *flags).output
    outputs = [run("ingest", "--shard", f"{n}/2", *flags).output for n in (1, 2)]
    done = [int(re.search(r"shard \S+: (\d+) of", output)[1]) for output in outputs]
    assert sum(done) == 5
    marks = {path.name for path in (tmp_path / "out" / "ingest" / "shards").glob("*.json")}
    assert marks == {"index.json", "1-of-2.json", "2-of-2.json"}
    assert not (tmp_path / "out" / "ingest" / "record.json").exists()
    result = run("ingest", *flags)
    assert result.exit_code == 0, result.output
    others = ("index.sqlite", "shards", "record.json")
    whole = snapshot(tmp_path / "whole" / "ingest", leave_out=others)
    assert snapshot(tmp_path / "out" / "ingest", leave_out=others) == whole


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_does_not_exist_is_refused(tmp_path, shard):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = run("ingest", "--shard", shard, *list_flags(tmp_path / "in", tmp_path / "out"))
    assert result.exit_code == 2
    assert "--shard: value must be K/N" in result.output


def test_a_shard_without_an_index_says_what_comes_first(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = run("ingest", "--shard", "1/2", *list_flags(tmp_path / "in", tmp_path / "out"))
    assert result.exit_code == 12
    assert "run `medvision ingest --index-only` first" in result.output


def test_images_that_are_not_compressed_are_nii(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    for compression, suffix in (("fast", "nii.gz"), ("none", "nii"), ("small", "nii.gz")):
        result = ingest(tmp_path / "in", tmp_path / "out", f"ingest.compression={compression}")
        assert result.exit_code == 0, result.output
        names = [path.name for path in (tmp_path / "out" / "ingest" / "images").iterdir()]
        assert sorted(name.partition(".")[2] for name in names) == ["json", suffix]


def test_the_way_back_is_written_on_request_alone_and_never_recorded(tmp_path):
    paths = write_series(tmp_path / "in", Plan(make_volume()))
    with tarfile.open(tmp_path / "in" / "more.tar.gz", "w:gz") as archive:
        archive.add(paths[0], "member")
    table = tmp_path / "out" / "secret" / "reidentification.tsv"
    ingest(tmp_path / "in", tmp_path / "out")
    assert not table.exists()
    result = ingest(tmp_path / "in", tmp_path / "out", "ingest.reidentification=true")
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    rows = {(row["kind"], row["original"]) for row in read_table(table)}
    assert {("subject", "P-1"), ("file", "more.tar.gz!member"), ("file", paths[0].name)} <= rows
    assert "reidentification" not in str(
        json.loads((tmp_path / "out" / "ingest" / "record.json").read_text())["writes"]
    )
    ingest(tmp_path / "in", tmp_path / "out")
    assert not table.exists()


@pytest.mark.parametrize("content", [None, {}, {"notes.txt": b"words"}])
def test_folder_without_images_is_an_error_of_data(tmp_path, content):
    source = tmp_path / "in"
    if content is not None:
        source.mkdir()
        for name, text in content.items():
            (source / name).write_bytes(text)
    result = ingest(source, tmp_path / "out")
    assert result.exit_code == 3
    assert "error: data.path: must" in result.output
    assert not (tmp_path / "out" / "ingest" / "record.json").exists()


def test_path_is_asked_for(tmp_path):
    result = run("ingest", "--set", "data.kind=dicom", "--set", f"output.path={tmp_path}")
    assert result.exit_code != 0
    assert "data.path" in result.output


def test_key_that_does_not_exist_is_refused(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = ingest(tmp_path / "in", tmp_path / "out", f"ingest.key={tmp_path}/none")
    assert result.exit_code == 3
    assert "ingest.key: must be an existing file" in result.output


def test_masks_named_by_the_labels_are_no_images(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("P-1", "P-1-mask"):
        image = nibabel.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
        nibabel.save(image, source / f"{name}.nii.gz")
    labels = source / "labels.csv"
    labels.write_text("subject,label,mask\nP-1,yes,P-1-mask.nii.gz\n")
    result = ingest(source, tmp_path / "out", f"data.labels={labels}", kind="nifti")
    assert result.exit_code == 0, result.output
    rows = read_table(tmp_path / "out" / "ingest" / "sources.tsv")
    assert sorted(row["reason"] for row in rows) == ["", "mask", "not-an-image"]


def test_locate_finds_the_file_behind_an_id(tmp_path):
    paths = write_series(tmp_path / "in", Plan(make_volume()))
    ingest(tmp_path / "in", tmp_path / "out")
    flags = list_flags(tmp_path / "in", tmp_path / "out")
    rows = read_table(tmp_path / "out" / "ingest" / "sources.tsv")
    found = {run("locate", row["file"], *flags).output.strip() for row in rows}
    assert found == {str(path) for path in paths}
    (tmp_path / "out" / "ingest" / "index.sqlite").unlink()
    assert {run("locate", row["file"], *flags).output.strip() for row in rows} == found
    result = run("locate", "file-000000000000", *flags)
    assert result.exit_code == 3
    assert "file-000000000000" in result.output


def test_locate_finds_the_member_of_an_archive(tmp_path):
    paths = write_series(tmp_path / "series", Plan(make_volume()))
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as archive:
        for path in paths:
            archive.add(path, path.name)
    ingest(tmp_path / "in", tmp_path / "out")
    flags = list_flags(tmp_path / "in", tmp_path / "out")
    rows = read_table(tmp_path / "out" / "ingest" / "sources.tsv")
    found = {run("locate", row["file"], *flags).output.strip() for row in rows}
    members = {f"{tmp_path}/in/a.tar!{path.name}" for path in paths}
    assert found == {*members, f"{tmp_path}/in/a.tar"}


@pytest.mark.slow
def test_kill_at_any_time_leaves_nothing_that_a_rerun_would_use(tmp_path):
    for n in range(6):
        plan = Plan(make_volume((96, 96, 8), seed=n), subject=f"P-{n}", series=f"1.2.{n}")
        write_series(tmp_path / "in", plan)
    ingest(tmp_path / "in", tmp_path / "whole")
    out = tmp_path / "out"
    script = "import sys; from medvision.cli.main import main; main(sys.argv[1:])"
    key = tmp_path / "whole" / "secret" / "pseudonym.key"
    flags = list_flags(tmp_path / "in", out, f"ingest.key={key}")
    command = [sys.executable, "-c", script, "ingest", *flags]
    for n_images in (1, 4):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list((out / "ingest").rglob("*.nii.gz"))) < n_images:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "ingest" / "record.json").exists()
    result = ingest(tmp_path / "in", out, f"ingest.key={key}")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (out / "ingest" / "images").iterdir()}
    assert not any(name.startswith(".part") for name in names)
    # The record names the key's path by its digest.
    others = ("index.sqlite", "shards", "record.json")
    whole = snapshot(tmp_path / "whole" / "ingest", leave_out=others)
    assert snapshot(out / "ingest", leave_out=others) == whole


def test_a_voxel_is_traced_to_its_stored_object_and_that_to_its_file(tmp_path):
    plan = Plan(make_volume())
    paths = write_series(tmp_path / "in", plan)
    assert ingest(tmp_path / "in", tmp_path / "out").exit_code == 0
    (row,) = read_table(tmp_path / "out" / "ingest" / "manifest.tsv")
    flags = list_flags(tmp_path / "in", tmp_path / "out")
    done = run("trace", row["image_id"], 3, 2, 4, *flags)
    assert done.exit_code == 0, done.output
    head, cells = (line.split("\t") for line in done.stdout.splitlines())
    told = dict(zip(head, cells, strict=True))
    assert (told["frame"], told["row"], told["column"], told["share"]) == ("1", "3", "4", "1")
    found = run("locate", told["file"], *flags)
    assert found.stdout.strip() == str(paths[4])
    for arguments, words in (
        ((row["image_id"], 8, 0, 0), "index must be within 8x6x5"),
        (("sub-0_img-0", 0, 0, 0), "image must be one that was ingested"),
    ):
        refused = run("trace", *arguments, *flags)
        assert refused.exit_code not in (0, 1)
        assert words in refused.output
