"""No mark of any source survives in any output: tables, images, index, records, logs, errors.

The marks stand in every attribute of table E.1-1 of PS3.15, at top level, nested twice and in
functional groups, in private elements, preamble and meta information, in names of files, folders
and members of archives, and in the texts of NIfTI.
"""

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from canaries import (
    CLOCK,
    ISSUER,
    UID_ROOT,
    WORD,
    Marks,
    build_marked_enhanced,
    build_marked_slice,
    find_survivors,
    identify,
    plant_everywhere,
    read_outputs,
    write_marked_nifti,
)
from dicoms import CR, MR, SC, SR, Plan, make_volume, new_file, set_pixels
from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless

from medvision.io.tables import read_table

N_SUBJECTS = 6
N_CORRUPT = 40
KEY_NAME = "pseudonym.key"


@dataclass
class Source:
    """A marked archive as it is built."""

    root: Path
    marks: Marks = field(default_factory=Marks)

    @property
    def folder(self) -> Path:
        return self.root / f"{WORD}-ward" / f"{WORD}^Muster"

    def write(self, dataset: FileDataset, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{WORD} {name}"
        dataset.save_as(path, enforce_file_format=False)
        return path

    def plan(self, number: int, **values: object) -> Plan:
        """A series of its own subject; every identifier is a mark."""
        study = f"{UID_ROOT}{number}"
        plan = Plan(
            make_volume((7, 6, 3), seed=number),
            subject=f"{WORD}-{number:02d}",
            study=study,
            series=f"{study}.1",
        )
        return replace(plan, **values)  # type: ignore[arg-type]  # the fields of Plan


def write_good(source: Source) -> None:
    """Series that are converted: as many subjects as a cohort needs, and enhanced objects."""
    for number in range(N_SUBJECTS):
        plan = source.plan(number)
        for k in range(3):
            dataset = build_marked_slice(plan, k, marks=source.marks)
            source.write(dataset, f"good {number} {k}")
    plan = source.plan(20, sop_class=MR, modality="MR")
    source.write(build_marked_enhanced(plan, marks=source.marks), "enhanced")


def write_bad(source: Source) -> None:
    """Objects that are refused or no images: each in its own way."""
    gap = source.plan(30, volume=make_volume((7, 6, 5), seed=30))
    for k in (0, 1, 2, 4):
        source.write(build_marked_slice(gap, k, marks=source.marks), f"gap {k}")
    short = source.write(_build_single(source, 31, CR), "truncated")
    short.write_bytes(short.read_bytes()[:-9])
    source.write(_build_single(source, 32, SC), "capture")
    said = _build_single(source, 33, CR)
    said.BurnedInAnnotation = "YES"
    source.write(said, "burned in")
    undecodable = _build_single(source, 34, CR)
    undecodable.file_meta.TransferSyntaxUID = JPEG2000Lossless
    undecodable.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x10\0\0\0" + b"\1" * 16
    undecodable["PixelData"].is_undefined_length = True
    source.write(undecodable, "undecodable")
    report = new_file(SR, f"{UID_ROOT}35")
    plant_everywhere(report, source.marks)
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = f"{UID_ROOT}35"
    source.write(report, "report")
    (source.folder / f"{WORD}.txt").write_text(f"{WORD} in words")
    (source.folder / f"{WORD}.pdf").write_bytes(b"%PDF-1.7 " + WORD.encode())


def _build_single(source: Source, number: int, sop_class: str) -> FileDataset:
    """A marked image without position."""
    plan = source.plan(number)
    dataset = new_file(sop_class, f"{plan.series}.1")
    plant_everywhere(dataset, source.marks)
    dataset.Modality = "CR"
    set_pixels(dataset, np.ascontiguousarray(plan.volume[:, :, 0].T))
    dataset.SOPClassUID = sop_class
    return identify(dataset, plan, sop_uid=f"{plan.series}.1")


def write_corrupt(source: Source) -> None:
    """Marked files with bytes changed or cut, at places drawn once."""
    rng = np.random.default_rng(0)
    plan = source.plan(40)
    path = source.write(build_marked_slice(plan, 0, marks=source.marks), "corrupt")
    whole = path.read_bytes()
    path.unlink()
    for number in range(N_CORRUPT):
        content = bytearray(whole)
        for place in rng.integers(128, len(whole), 1 + number):
            content[place] = rng.integers(256)
        cut = int(rng.integers(200, len(whole))) if number % 4 == 0 else len(whole)
        (source.folder / f"{WORD} corrupt {number}").write_bytes(content[:cut])


def write_archive(source: Source) -> None:
    """A marked series inside a zip file whose name, members and comment are marks."""
    plan = source.plan(50)
    with zipfile.ZipFile(source.folder / f"{WORD}.zip", "w") as archive:
        archive.comment = WORD.encode()
        for k in range(3):
            path = source.write(build_marked_slice(plan, k, marks=source.marks), "member")
            archive.write(path, f"{WORD}/{WORD} {k}")
            path.unlink()


@dataclass(frozen=True)
class Workplace:
    """Where a run reads and writes; temporary files lie where they can be searched."""

    root: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command as a user does; keep what it said."""
        (self.root / "tmp").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", "from medvision.cli.main import main; main()", *arguments],
            capture_output=True,
            check=False,
            cwd=self.root / "tmp",
            env={**os.environ, "TMPDIR": str(self.root / "tmp"), "OMP_NUM_THREADS": "1"},
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()[-3000:]
        (self.root / f"said-{arguments[0]}.txt").write_bytes(done.stdout + b"\n" + done.stderr)
        return done

    def study(
        self, command: str, *settings: str, folder: str = "study"
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command of a study."""
        flags = [
            *(f"output.path={self.root / folder}", f"data.path={self.root / 'in'}"),
            *(f"data.labels={self.root / 'labels.csv'}", "ingest.workers=2"),
            *(f"ingest.key={write_key(self.root)}", *settings),
        ]
        return self.run(command, *[part for flag in flags for part in ("--set", flag)])

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        """Yield all that was written or said, but the source and the table of labels."""
        for name, content in read_outputs(self.root):
            if not name.startswith(("in/", "labels.csv", KEY_NAME)):
                yield name, content


def write_key(folder: Path) -> Path:
    """Write a key under which no subject here is shifted by as few days as the marks span."""
    path = folder / KEY_NAME
    path.touch(mode=0o600)
    path.write_text("00112233445566778899aabbccddeeff\n")
    return path


def write_labels(path: Path, subjects: list[str]) -> None:
    """Write a table of labels that names subjects as the source does: by marks."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["subject", "label"])
        writer.writerows((subject, ("no", "yes")[n % 2]) for n, subject in enumerate(subjects))


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, Marks]:
    """A marked archive of DICOM: one for all tests here, since marking it takes a while."""
    place = Workplace(tmp_path_factory.mktemp("dicom"))
    source = Source(place.root / "in")
    for write in (write_good, write_bad, write_corrupt, write_archive):
        write(source)
    write_labels(place.root / "labels.csv", [f"{ISSUER}|{WORD}-{n:02d}" for n in range(N_SUBJECTS)])
    return place, source.marks


def test_search_finds_the_marks_of_the_source(dicom: tuple[Workplace, Marks]) -> None:
    place, marks = dicom
    found = find_survivors(read_outputs(place.root / "in"))
    assert len(found) >= 3 * N_SUBJECTS
    assert marks.count > 50_000
    assert {mark[:4] for marks_of in found.values() for mark in marks_of} >= {
        *("ZQKA", "1.2.", "1753", "0102", "777W", "8000")
    }


def test_no_mark_of_dicom_survives_ingestion_and_what_follows(
    dicom: tuple[Workplace, Marks],
) -> None:
    place, _ = dicom
    done = place.study("ingest", "data.kind=dicom")
    rows = read_table(place.root / "study" / "ingest" / "manifest.tsv")
    assert len(rows) > N_SUBJECTS, done.stderr
    reasons = {row["reason"] for row in read_table(place.root / "study" / "ingest" / "sources.tsv")}
    assert {"missing-slice", "truncated", "structured-report", "burned-in-annotation"} <= reasons
    again = place.study("ingest", "data.kind=dicom", "ingest.accept=all")
    assert (done.returncode, again.returncode) == (13, 0)
    for command in ("measure", "cohort"):
        done = place.study(command, "data.kind=dicom", "cohort.folds=3", "ingest.accept=all")
        assert done.returncode == 0, done.stderr
    assert find_survivors(place.outputs()) == {}


WIDE = (
    *("ingest.burned_in=flag", "ingest.accept=all", "ingest.gaps=flag", "ingest.volume=4d"),
    *("ingest.colour=rgb", "ingest.bids=true", "ingest.compression=none"),
)
"""Settings that let as much as possible into the outputs."""


def test_no_mark_of_dicom_survives_whatever_is_accepted(dicom: tuple[Workplace, Marks]) -> None:
    place, _ = dicom
    settings = (*WIDE, "ingest.reidentification=true")
    done = place.study("ingest", "data.kind=dicom", *settings, folder="wide")
    assert done.returncode == 0, done.stderr
    secret = place.root / "wide" / "secret"
    table = (secret / "reidentification.tsv").read_bytes()
    assert find_survivors([("table", table)])
    (secret / "reidentification.tsv").unlink()
    assert find_survivors(place.outputs()) == {}


def test_no_mark_of_dicom_survives_preprocessing(dicom: tuple[Workplace, Marks]) -> None:
    place, _ = dicom
    settings = ("data.kind=dicom", "ingest.accept=all", "cohort.folds=3")
    for command in ("ingest", "measure", "cohort"):
        place.study(command, *settings)
    done = place.study("preprocess", *settings, "preprocess.size=[8, 8, 4]")
    assert done.returncode == 0, done.stderr
    assert find_survivors(place.outputs()) == {}


def test_no_mark_of_dicom_survives_where_dicom_is_written(dicom: tuple[Workplace, Marks]) -> None:
    place, _ = dicom
    for dates in ("shift", "remove"):
        target = place.root / f"copies-{dates}"
        done = place.run(
            *("deidentify", str(place.root / "in"), str(target), "--dates", dates),
            *("--burned-in", "flag", "--key", str(write_key(place.root))),
        )
        assert done.returncode == 3, done.stderr
        assert len(list(target.rglob("*.dcm"))) > 3 * N_SUBJECTS
    assert find_survivors(place.outputs()) == {}


def test_no_mark_of_nifti_survives(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    folder = tmp_path / "in" / f"{WORD}-ward"
    for number in range(3):
        write_marked_nifti(folder / f"{WORD}-{number}" / f"{WORD}.nii.gz", seed=number)
        write_marked_nifti(folder / f"{WORD}-{number}" / f"{WORD}-plain.nii", seed=9 + number)
    broken = (folder / f"{WORD}-0" / f"{WORD}.nii.gz").read_bytes()
    (folder / f"{WORD}-broken.nii.gz").write_bytes(broken[:-40])
    (folder / f"{WORD}-broken.nii").write_bytes(b"\x5c\1\0\0" + WORD.encode() * 60)
    write_labels(tmp_path / "labels.csv", [WORD])
    assert find_survivors(read_outputs(tmp_path / "in"))
    done = place.study("ingest", "data.kind=nifti")
    rows = read_table(tmp_path / "study" / "ingest" / "manifest.tsv")
    assert len(rows) == 6, done.stderr
    assert find_survivors(place.outputs()) == {}


def write_marked_bids(root: Path) -> None:
    """A BIDS dataset whose sidecars, tables and descriptions say what they should not."""
    names = [f"sub-{WORD}{number}" for number in range(3)]
    texts = dict.fromkeys(
        (
            *("PatientName", "PatientID", "InstitutionName", "InstitutionAddress", "StationName"),
            *("ProtocolName", "SeriesDescription", "DeviceSerialNumber", "Manufacturer"),
            *("ManufacturersModelName", "SequenceName", "ImageComments", "PulseSequenceType"),
            *("BodyPartExamined", "Modality", "MRAcquisitionType", WORD),
        ),
        f"{WORD} text",
    )
    nested = {"global": {"const": dict(texts)}, "list": [f"{WORD} item"]}
    moments = {"AcquisitionTime": f"{CLOCK}123456", "AcquisitionDateTime": "1753-06-11T010203.123"}
    for number, name in enumerate(names):
        folder = root / name / "anat"
        write_marked_nifti(folder / f"{name}_T1w.nii.gz", seed=number)
        sidecar = {**texts, **nested, **moments, "RepetitionTime": 2.0, "ImageType": [WORD]}
        (folder / f"{name}_T1w.json").write_text(json.dumps(sidecar))
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": WORD, "BIDSVersion": "1.9.0", "Authors": [WORD]})
    )
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tnotes\tbirth\n"
        + "".join(f"{name}\t97\tF\t{WORD}\t17530611\n" for name in names)
    )
    (root / "participants.json").write_text(json.dumps({"notes": {"Description": WORD}}))
    (root / "README").write_text(WORD)


def test_no_mark_of_bids_survives(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    write_marked_bids(tmp_path / "in")
    write_labels(tmp_path / "labels.csv", [WORD])
    done = place.study("ingest", "data.kind=nifti", "ingest.bids=true", "ingest.accept=all")
    assert done.returncode == 0, done.stderr
    assert len(read_table(tmp_path / "study" / "ingest" / "manifest.tsv")) == 3
    assert find_survivors(place.outputs()) == {}


def test_no_mark_survives_in_errors(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    source = Source(tmp_path / "in")
    write_bad(source)
    write_labels(tmp_path / "labels.csv", [WORD])
    for kind in ("nifti", "dicom"):
        place.study("ingest", f"data.kind={kind}")
    assert place.study("cohort", "data.kind=dicom").returncode != 0
    assert find_survivors(place.outputs()) == {}
