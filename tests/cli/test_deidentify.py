"""`medvision deidentify`: every file accounted for, copies under pseudonyms, exit codes."""

import json
import stat
import warnings

import pydicom
import pytest
from click.testing import CliRunner
from dicoms import SC, SR, Plan, make_volume, new_file, write_radiograph, write_series

from medvision.cli.main import main
from medvision.io.deidentify import Pseudonymiser, read_key
from medvision.io.tables import read_table


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_text("00112233445566778899aabbccddeeff\n")
    return path


def deidentify(source, destination, *more):
    arguments = ["deidentify", str(source), str(destination), *map(str, more)]
    return CliRunner().invoke(main, arguments)


def read_copies(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]


def test_series_is_copied_under_pseudonyms(tmp_path, key):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = deidentify(tmp_path / "in", tmp_path / "out", "--key", key)
    assert result.exit_code == 0, result.output
    assert "5 written" in result.output
    names = Pseudonymiser(read_key(key))
    copies = read_copies(tmp_path / "out")
    assert {copy.PatientID for copy in copies} == {names.subject("P-1")}
    folders = {path.parent.relative_to(tmp_path / "out") for path in tmp_path.rglob("*.dcm")}
    (folder,) = folders
    assert folder.parts == (names.subject("P-1"), names.uid("1.2.3.1"), names.uid("1.2.3.1.1"))
    rows = read_table(tmp_path / "out" / "copies.tsv")
    assert len(rows) == 5
    assert all((tmp_path / "out" / row["object"]).is_file() for row in rows)
    assert read_table(tmp_path / "out" / "rejects.tsv") == []
    facts = json.loads((tmp_path / "out" / "deidentify.json").read_text())
    assert facts["key_id"] == names.key_id
    assert facts["codes"] == ["113100", "113107"]


def write_unfit(folder):
    """One file for each reason not to be copied."""
    plane = make_volume((4, 4, 1))[:, :, 0]
    write_radiograph(folder, plane, uid="1.2.5.1", sop_class=SC)
    write_radiograph(folder, plane, uid="1.2.5.2", BurnedInAnnotation="YES")
    write_radiograph(folder, plane, uid="1.2.5.3", ConversionType="WSD")
    write_radiograph(folder, plane, uid="1.2.5.4", sop_class="1.3.12.2.1107.5.9.1")
    overlay = write_radiograph(folder, plane, uid="1.2.5.5")
    dataset = pydicom.dcmread(overlay)
    dataset.add_new(0x60000010, "US", 4)
    dataset.add_new(0x60000102, "US", 12)
    dataset.save_as(overlay)
    report = new_file(SR, "1.2.6")
    report.save_as(folder / "report", enforce_file_format=True)
    whole = write_radiograph(folder, plane, uid="1.2.5.6")
    whole.write_bytes(whole.read_bytes()[:-9])
    (folder / "notes.txt").write_text("words")
    (folder / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(40))


def test_what_is_refused_stands_in_a_table_and_in_the_exit_code(tmp_path, key):
    write_unfit(tmp_path / "in")
    write_radiograph(tmp_path / "in", make_volume((4, 4, 1))[:, :, 0], uid="1.2.5.9")
    result = deidentify(tmp_path / "in", tmp_path / "out", "--key", key)
    assert result.exit_code == 3
    assert "1 written" in result.output
    reasons = sorted(row["reason"] for row in read_table(tmp_path / "out" / "rejects.tsv"))
    assert reasons == [
        *("archive-not-opened", "burned-in-annotation", "burned-in-annotation"),
        *("burned-in-risk", "burned-in-risk", "truncated", "unreadable"),
    ]
    verdicts = {
        row["reason"]: row["verdict"] for row in read_table(tmp_path / "out" / "copies.tsv")
    }
    assert verdicts["structured-report"] == verdicts["not-an-image"] == "non-image"
    assert len(read_copies(tmp_path / "out")) == 1


def test_images_at_risk_are_copied_on_request(tmp_path, key):
    plane = make_volume((4, 4, 1))[:, :, 0]
    write_radiograph(tmp_path / "in", plane, sop_class=SC)
    result = deidentify(tmp_path / "in", tmp_path / "out", "--key", key, "--burned-in", "flag")
    assert result.exit_code == 0, result.output


def test_files_of_one_uid_must_be_equal(tmp_path, key):
    folder = tmp_path / "in"
    plane = make_volume((4, 4, 1))[:, :, 0]
    write_radiograph(folder / "a", plane)
    write_radiograph(folder / "b", plane)
    write_radiograph(folder / "c", plane + 1)
    result = deidentify(folder, tmp_path / "out", "--key", key)
    assert result.exit_code == 3
    verdicts = sorted(row["verdict"] for row in read_table(tmp_path / "out" / "copies.tsv"))
    assert verdicts in (["duplicate", "refused", "written"], ["refused", "refused", "written"])
    assert len(read_copies(tmp_path / "out")) == 1


def test_copies_of_two_runs_are_never_mixed(tmp_path, key):
    write_series(tmp_path / "in", Plan(make_volume()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note").touch()
    result = deidentify(tmp_path / "in", tmp_path / "out", "--key", key)
    assert result.exit_code == 3
    assert "must be an empty folder" in result.output


def test_same_input_gives_the_same_bytes(tmp_path, key):
    write_series(tmp_path / "in", Plan(make_volume()))
    contents = []
    for name in ("one", "two"):
        deidentify(tmp_path / "in", tmp_path / name, "--key", key)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append([(path.relative_to(tmp_path / name), path.read_bytes()) for path in files])
    assert contents[0] == contents[1]


def test_key_is_made_where_there_is_none_and_never_the_published_one(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    out = tmp_path / "study"
    result = deidentify(tmp_path / "in", tmp_path / "out", "--set", f"output.path={out}")
    assert result.exit_code == 0, result.output
    key = out / "secret" / "pseudonym.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files
    assert not any(key.read_bytes().strip() in path.read_bytes() for path in files)


def test_options_are_obeyed_and_stated(tmp_path, key):
    plane = make_volume((4, 4, 1))[:, :, 0]
    write_radiograph(tmp_path / "in", plane, StudyDate="20200105", PatientAge="095Y")
    for dates, patient in (("shift", "keep"), ("remove", "remove")):
        out = tmp_path / dates
        options = ("--dates", dates, "--patient", patient)
        assert deidentify(tmp_path / "in", out, "--key", key, *options).exit_code == 0
        (copy,) = read_copies(out)
        assert bool(copy.StudyDate) == (dates == "shift")
        assert copy.StudyDate != "20200105"
        assert copy.get("PatientAge") == ("090Y" if patient == "keep" else None)


def test_copy_is_ingested_as_the_original_is(tmp_path, key):
    write_series(tmp_path / "in", Plan(make_volume()))
    deidentify(tmp_path / "in", tmp_path / "copy", "--key", key)
    digests = []
    for source in ("in", "copy"):
        settings = (
            *("data.kind=dicom", f"data.path={tmp_path / source}", "ingest.workers=1"),
            "data.labels=labels.csv",
            f"output.path={tmp_path / f'study-{source}'}",
        )
        flags = [flag for setting in settings for flag in ("--set", setting)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = CliRunner().invoke(main, ["ingest", *flags])
        assert (tmp_path / f"study-{source}" / "ingest" / "manifest.tsv").is_file(), result.output
        (row,) = read_table(tmp_path / f"study-{source}" / "ingest" / "manifest.tsv")
        digests.append((row["pixel_digest"], row["shape"], row["spacing_mm"]))
    assert digests[0] == digests[1]
