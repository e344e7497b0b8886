"""The converted images as a BIDS derivative: names by physics, and a validator that agrees."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from packing import pack_folder

from medvision.io.bids.participants import gather_people
from medvision.io.bids.publish import write_bids
from medvision.io.bids.tree import write_bids_tree
from medvision.io.deidentify import Pseudonymiser
from medvision.io.tables import read_table, write_table
from medvision.layout import Layout

AFFINE = np.diag([-2.0, 2, 3, 1])
MR = {"MagneticFieldStrength": "3", "ScanningSequence": "SE", "Manufacturer": "siemens"}


def translate(keyword, text):
    """Return a value of DICOM as the sidecar holds it."""
    if keyword.endswith("Time"):
        return float(text) / 1000
    return float(text) if text[0].isdecimal() else text.replace("\\", "_")


class Archive:
    """Images and sidecars as ingestion leaves them."""

    def __init__(self, root):
        self.layout = Layout(root)
        self.rows = []

    def add(self, subject="sub-00000000aa", shape=(4, 4, 3), sidecar=None, **changes):
        """Add an image whose header says what the keywords of `changes` in capitals say."""
        texts = {key: value for key, value in {**MR, **changes}.items() if key[0].isupper()}
        fields = {key: translate(key, text) for key, text in texts.items() if text}
        row = {
            "image_id": f"{subject}_img-{len(self.rows):012x}",
            "subject": subject,
            "study": "2.25.1",
            "series": f"2.25.{len(self.rows)}",
            "source": "dicom",
            "modality": "MR",
            "role": "original",
            "part": "",
            "axis": "",
            "n_volumes": "1",
            "volume": "",
            "date": "2020-01-01",
            "age": "61",
            "sex": "F",
            **{key: value for key, value in changes.items() if key[0].islower()},
        }
        path = self.layout.images / f"{row['image_id']}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(
            np.arange(np.prod(shape), dtype=np.int16).reshape(shape), AFFINE
        )
        image.header.set_xyzt_units("mm", "sec")
        if len(shape) == 4:
            image.header["pixdim"][4] = fields.get("RepetitionTime", 1)
        nibabel.save(image, path)
        content = {"Affine": AFFINE.tolist(), "Manufacturer": "siemens", **fields}
        self.layout.sidecar(row["image_id"]).write_text(json.dumps({**content, **(sidecar or {})}))
        self.rows.append(row)
        return row["image_id"]

    def write(self):
        people = gather_people(self.rows, {})
        return write_bids_tree(self.layout, self.rows, people=people, version="1.0")

    @property
    def tree(self):
        return self.layout.step("ingest") / "bids"

    def listed(self):
        rows = read_table(self.layout.step("ingest") / "bids.tsv")
        return {row["image_id"]: row["path"].rpartition("/")[2] or row["reason"] for row in rows}


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


T1 = {"EchoTime": "12", "RepetitionTime": "600"}
T2 = {"EchoTime": "95", "RepetitionTime": "4500"}
WEIGHTS = [
    (T1, "T1w"),
    (T2, "T2w"),
    ({"EchoTime": "12", "RepetitionTime": "3000"}, "PDw"),
    (
        {"ScanningSequence": "SE\\IR", "EchoTime": "90", "RepetitionTime": "9000"}
        | {"InversionTime": "2500"},
        "FLAIR",
    ),
    (
        {"ScanningSequence": "GR\\IR", "EchoTime": "3", "RepetitionTime": "2300"}
        | {"InversionTime": "900"},
        "T1w",
    ),
    # STIR, MP2RAGE, time of flight, a gradient echo, one volume of EPI, unknown times.
    (
        {"ScanningSequence": "SE\\IR", "EchoTime": "60", "RepetitionTime": "4000"}
        | {"InversionTime": "160"},
        "weighting-not-told",
    ),
    (
        {"ScanningSequence": "GR\\IR", "EchoTime": "3", "RepetitionTime": "5000"}
        | {"InversionTime": "700"},
        "weighting-not-told",
    ),
    (
        {"ScanningSequence": "GR", "EchoTime": "3.4", "RepetitionTime": "22", "FlipAngle": "18"},
        "weighting-not-told",
    ),
    ({"ScanningSequence": "EP\\SE", **T2}, "echo-planar-of-one-volume"),
    ({"EchoTime": "50", "RepetitionTime": "3000"}, "weighting-not-told"),
    ({"EchoTime": "", "RepetitionTime": ""}, "weighting-not-told"),
    ({**T1, "role": "derived"}, "role-derived"),
    ({**T1, "n_volumes": "8", "volume": "1", "axis": "time"}, "one-of-several-volumes"),
    ({**T1, "modality": "CT"}, "modality-without-suffix"),
    ({**T1, "modality": "PT"}, "pet-without-tracer"),
    ({**T1, "part": "stack=2"}, "part-without-entity"),
    ({**T1, "source": "nifti"}, "skull-stripping-unknown"),
]


@pytest.mark.parametrize(("changes", "expected"), WEIGHTS)
def test_the_suffix_is_told_by_physics_or_not_at_all(archive, changes, expected):
    image_id = archive.add(**changes)
    archive.write()
    found = archive.listed()[image_id]
    assert found == expected or found.endswith(f"_{expected}")


EPI = {"ScanningSequence": "EP\\GR", "EchoTime": "30", "RepetitionTime": "2000"}
EPI["ImageType"] = "ORIGINAL\\PRIMARY\\M\\ND"
SERIES = {"axis": "time", "volume": "all", "shape": (4, 4, 3, 5)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"n_volumes": "240"}, "task-unknown_bold"),
        ({"n_volumes": "240", "ImageType": ""}, "series-of-unknown-purpose"),
        ({"n_volumes": "40", "ImageType": "ORIGINAL\\PRIMARY\\FMRI"}, "task-unknown_bold"),
        ({"n_volumes": "40"}, "series-of-unknown-purpose"),
        ({"n_volumes": "240", "ImageType": "ORIGINAL\\PERFUSION"}, "series-of-unknown-purpose"),
        ({"n_volumes": "240", "RepetitionTime": ""}, "series-of-unknown-purpose"),
        ({"n_volumes": "240", "axis": "frame"}, "series-of-unknown-purpose"),
    ],
)
def test_a_long_gradient_echo_epi_is_functional_and_a_short_one_may_be_perfusion(
    archive, changes, expected
):
    image_id = archive.add(**{**EPI, **SERIES, **changes})
    archive.write()
    assert archive.listed()[image_id].endswith(expected)
    if expected.endswith("bold"):
        (sidecar,) = archive.tree.rglob("*_bold.json")
        content = json.loads(sidecar.read_text())
        assert (content["TaskName"], content["RepetitionTime"]) == ("unknown", 2.0)


DIFFUSION = {
    "ScanningSequence": "EP\\SE",
    "n_volumes": "3",
    "axis": "b-value",
    "volume": "all",
    "shape": (4, 4, 3, 3),
}


def test_diffusion_has_its_gradients_in_the_axes_of_the_image(archive):
    directions = {"AxisValues": [0, 1000, 1000], "GradientDirections": ["", "1,0,0", "0,0.6,0.8"]}
    archive.add(**DIFFUSION, sidecar=directions)
    archive.write()
    (bval,), (bvec,) = archive.tree.rglob("*.bval"), archive.tree.rglob("*.bvec")
    assert bval.read_text() == "0 1000 1000\n"
    # AFFINE is left-handed in RAS+ (i to the left), as FSL wants it; LPS+ x is i then, y is -j.
    assert [line.split() for line in bvec.read_text().splitlines()] == [
        ["0", "1", "0"],
        ["0", "0", "-0.6"],
        ["0", "0", "0.8"],
    ]


@pytest.mark.parametrize("directions", [None, ["", "1,0,0", ""], ["", "1,0,0"], ["", "a,b,c", ""]])
def test_diffusion_without_directions_is_left_out(archive, directions):
    sidecar = {"AxisValues": [0, 1000, 1000], "GradientDirections": directions}
    image_id = archive.add(**DIFFUSION, sidecar=sidecar)
    archive.write()
    assert archive.listed() == {image_id: "diffusion-without-directions"}
    assert not archive.tree.exists()


def test_echoes_parts_and_runs_keep_names_apart(archive):
    gradient = {"ScanningSequence": "GR", "RepetitionTime": "600", "series": "2.25.99"}
    names = []
    for part, echo in (("M", "9.2"), ("M", "4.6"), ("P", "4.6")):
        text = f"component={part},echo-time-ms={echo}"
        names.append(archive.add(**gradient, part=text, EchoTime=echo))
    names += [archive.add(**T1), archive.add(**T1), archive.add(**T1, study="2.25.7")]
    archive.write()
    listed = archive.listed()
    ends = [listed[name].partition("_")[2].partition("_")[2] for name in names]
    assert ends == [
        *("echo-2_part-mag_MEGRE", "echo-1_part-mag_MEGRE", "echo-1_part-phase_MEGRE"),
        *("run-1_T1w", "run-2_T1w", "T1w"),
    ]
    assert len(set(listed.values())) == len(names)


def test_a_tree_of_packed_images_has_the_same_bytes(archive):
    archive.add(**T1)

    def read():
        files = (path for path in sorted(archive.tree.rglob("*")) if path.is_file())
        return {path.relative_to(archive.tree): path.read_bytes() for path in files}

    archive.write()
    expected = read()
    pack_folder(archive.layout.images)
    archive.write()
    assert read() == expected


def test_images_are_linked_not_copied_and_equal_input_gives_equal_bytes(archive):
    image_id = archive.add(**T1)

    def read():
        files = (path for path in sorted(archive.tree.rglob("*")) if path.is_file())
        return {path.relative_to(archive.tree): path.read_bytes() for path in files}

    written = archive.write()
    (image,) = archive.tree.rglob("*.nii.gz")
    assert image.samefile(archive.layout.images / f"{image_id}.nii.gz")
    first = read()
    assert archive.write() == written
    assert read() == first
    assert all(path.is_file() for path in written)


def test_a_disk_that_cannot_link_gets_copies(archive, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    archive.add(**T1)
    monkeypatch.setattr(os, "link", refuse)
    archive.write()
    (image,) = archive.tree.rglob("*.nii.gz")
    assert image.read_bytes()


def test_an_image_that_has_left_leaves_the_tree(archive):
    archive.add(**T1)
    archive.write()
    archive.rows.clear()
    archive.add(**T1, modality="CT")
    archive.write()
    assert not archive.tree.exists()


def fill(archive):
    """Add one image of each suffix."""
    for changes, _ in WEIGHTS:
        archive.add(**changes)
    archive.add(subject="sub-00000000bb", **{**EPI, **SERIES, "n_volumes": "240"})
    archive.add(
        subject="sub-00000000bb",
        **DIFFUSION,
        EchoTime="80",
        RepetitionTime="5000",
        sidecar={"AxisValues": [0, 1000, 1000], "GradientDirections": ["", "1,0,0", "0,0,1"]},
    )
    for echo in ("4.6", "9.2"):
        archive.add(
            subject="sub-00000000cc",
            series="2.25.77",
            ScanningSequence="GR",
            part=f"echo-time-ms={echo}",
            EchoTime=echo,
            RepetitionTime="600",
        )
    archive.write()


def test_every_name_is_one_of_bids(archive):
    BIDSValidator = pytest.importorskip("bids_validator").BIDSValidator
    fill(archive)
    validator = BIDSValidator()
    files = [path for path in archive.tree.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        assert validator.is_bids(f"/{path.relative_to(archive.tree).as_posix()}"), path.name


def find_validator():
    """Return the command of the full validator of BIDS, None where it is not installed."""
    beside = Path(sys.executable).with_name("bids-validator-deno")
    return str(beside) if beside.is_file() else shutil.which("bids-validator-deno")


@pytest.mark.skipif(find_validator() is None, reason="bids-validator-deno is not installed")
def test_the_validator_of_bids_finds_no_error(archive):
    fill(archive)
    done = subprocess.run(
        [find_validator(), str(archive.tree), "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue["severity"] == "error"]
    assert errors == []
    assert done.returncode == 0


def test_participants_of_the_tree_are_those_who_are_in_it(archive):
    archive.add(**T1)
    archive.add(subject="sub-00000000dd", modality="CT")
    archive.write()
    rows = read_table(archive.tree / "participants.tsv")
    assert [row["participant_id"] for row in rows] == ["sub-00000000aa"]


def test_participants_are_always_written_and_the_tree_on_request(archive, tmp_path):
    archive.add(**T1)
    write_table(archive.layout.manifest, archive.rows, columns=tuple(archive.rows[0]))
    names = Pseudonymiser(bytes(16))

    def publish(*, is_tree):
        return write_bids(
            archive.layout, source=tmp_path, names=names, is_tree=is_tree, version="1.0"
        )

    listing = archive.layout.step("ingest") / "bids.tsv"
    with_tree = publish(is_tree=True)
    assert listing in with_tree
    assert archive.tree.is_dir()
    assert {path.name for path in publish(is_tree=False)} == {
        "participants.tsv",
        "participants.json",
    }
    assert not listing.exists()
    assert not archive.tree.exists()
