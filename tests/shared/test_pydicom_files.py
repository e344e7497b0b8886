"""All files that pydicom ships as one archive: each accounted for, whatever lies beside it."""

from collections import Counter, defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom.data
import pytest
from ingesting import KEY
from pipeline import run, write_config

from medvision.io.deidentify import Pseudonymiser
from medvision.io.reasons import NON_IMAGE, REFUSED
from medvision.io.tables import Row, read_table
from medvision.layout import Layout

pytestmark = pytest.mark.shared

ROOT = Path(pydicom.data.data_manager.DATA_ROOT) / "test_files"
CONVERTED, DUPLICATE, REFUSED_FILE, OTHER = "converted", "duplicate", "refused", "non-image"
DIRS = "dicomdirtests"

# Read by hand: what each header says, and whether pydicom itself reads the pixels.
EXPECTED = {
    # Images of their own.
    "CT_small.dcm": (CONVERTED, ""),
    "693_J2KI.dcm": (CONVERTED, ""),  # CT in JPEG 2000
    "J2K_pixelrep_mismatch.dcm": (CONVERTED, ""),  # CT, gantry tilted
    "examples_overlay.dcm": (CONVERTED, ""),  # MR
    "examples_palette.dcm": (CONVERTED, ""),  # ultrasound through a palette
    "examples_rgb_color.dcm": (CONVERTED, ""),
    "examples_jpeg2k.dcm": (CONVERTED, ""),
    "ExplVR_BigEnd.dcm": (CONVERTED, ""),
    "image_dfl.dcm": (CONVERTED, ""),  # deflated as a whole
    "SC_rgb_dcmtk_+eb+cr.dcm": (CONVERTED, ""),
    f"{DIRS}/77654033/CR1/6154": (CONVERTED, ""),  # three radiographs of one subject
    f"{DIRS}/77654033/CR2/6247": (CONVERTED, ""),
    f"{DIRS}/77654033/CR3/6278": (CONVERTED, ""),
    f"{DIRS}/98892003/MR1/4919": (CONVERTED, ""),
    # One nuclear image in four files of one UID: three cannot be decoded.
    "JPEG2000.dcm": (CONVERTED, ""),
    "JPEG-lossy.dcm": (CONVERTED, ""),  # 12-bit JPEG
    "JPGExtended.dcm": (DUPLICATE, "same-pixels"),
    "JPEG2000-embedded-sequence-delimiter.dcm": (REFUSED_FILE, "undecodable"),
    # One SOPInstanceUID for 8, 16 and 32 bits, one frame and two.
    "SC_rgb_rle.dcm": (REFUSED_FILE, "conflicting-duplicate"),
    "SC_rgb_rle_16bit.dcm": (REFUSED_FILE, "conflicting-duplicate"),
    "SC_rgb_rle_2frame.dcm": (REFUSED_FILE, "conflicting-duplicate"),
    "SC_rgb_rle_32bit_2frame.dcm": (REFUSED_FILE, "conflicting-duplicate"),
    "SC_rgb_jpeg_gdcm.dcm": (REFUSED_FILE, "conflicting-duplicate"),
    # Positions at -99, 103, 104 and 106 mm.
    f"{DIRS}/77654033/CT2/17106": (REFUSED_FILE, "missing-slice"),
    f"{DIRS}/77654033/CT2/17136": (REFUSED_FILE, "missing-slice"),
    f"{DIRS}/98892001/CT2N/6293": (CONVERTED, ""),  # two scouts across each other
    f"{DIRS}/98892001/CT2N/6924": (CONVERTED, ""),
    "MR_truncated.dcm": (REFUSED_FILE, "truncated"),
    "examples_ybr_color.dcm": (CONVERTED, ""),  # a loop of 30
    "JPEGLSNearLossless_08.dcm": (REFUSED_FILE, "no-series-uid"),
    "UN_sequence.dcm": (REFUSED_FILE, "no-pixel-data"),
    "zipMR.gz": (OTHER, "archive"),
    # No images.
    "rtdose.dcm": (OTHER, "rt-object"),
    "rtplan.dcm": (OTHER, "rt-object"),
    "rtstruct.dcm": (OTHER, "rt-object"),
    "ExplVR_LitEndNoMeta.dcm": (OTHER, "rt-object"),
    "liver_1frame.dcm": (OTHER, "segmentation"),
    "waveform_ecg.dcm": (OTHER, "waveform"),
    "test-SR.dcm": (OTHER, "structured-report"),
    f"{DIRS}/DICOMDIR": (OTHER, "dicomdir"),
    "README.txt": (OTHER, "not-an-image"),
    "crayons.icc": (OTHER, "not-an-image"),
}

ONE_MR = (
    *("MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_expb", "MR_small_implicit"),
    *("MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "MR_small_padded"),
)
"""One image in eight encodings."""


MEMBERS = ("zipMR.gz!zipMR",)
"""What lies in archives."""


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The output of one `medvision ingest` over the folder."""
    folder = tmp_path_factory.mktemp("pydicom")
    key = folder / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_text(f"{KEY}\n")
    config = write_config(
        folder,
        {
            "data": {"kind": "dicom", "path": str(ROOT), "labels": "unused.csv"},
            "ingest": {"key": str(key), "workers": 1, "burned_in": "flag", "accept": "all"},
        },
    )
    run(["ingest", "--config", str(config)])
    return Layout(folder / "results")


@pytest.fixture(scope="module")
def sources(layout: Layout) -> dict[str, Row]:
    """Path below the folder to its row in the table of sources."""
    names = Pseudonymiser(bytes.fromhex(KEY))
    rows = {row["file"]: row for row in read_table(layout.sources)}
    paths = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
    found = {path: rows.pop(names.file_id(path)) for path in paths}
    found |= {path: rows.pop(names.file_id(path)) for path in MEMBERS}
    assert not rows, "rows of files that do not exist"
    return found


def test_every_file_has_one_verdict_and_a_known_reason(
    layout: Layout, sources: dict[str, Row]
) -> None:
    manifest = {row["image_id"] for row in read_table(layout.manifest)}
    for path, row in sources.items():
        known = {"refused": REFUSED, "non-image": NON_IMAGE}.get(
            row["verdict"], {"": "", **REFUSED}
        )
        assert row["reason"] in known or row["verdict"] == DUPLICATE, path
        assert (row["image_id"] in manifest) == (row["verdict"] in (CONVERTED, DUPLICATE)), path
    refused = [row["file"] for row in sources.values() if row["verdict"] == REFUSED_FILE]
    assert sorted(row["file"] for row in read_table(layout.rejects)) == sorted(refused)
    used = {row["image_id"] for row in sources.values() if row["image_id"]}
    assert used == manifest


@pytest.mark.parametrize("path", EXPECTED)
def test_a_known_file_has_the_verdict_of_who_read_it(sources: dict[str, Row], path: str) -> None:
    assert (sources[path]["verdict"], sources[path]["reason"]) == EXPECTED[path]


def test_one_image_in_eight_encodings_becomes_one_image(sources: dict[str, Row]) -> None:
    rows = [sources[f"{name}.dcm"] for name in ONE_MR]
    assert len({row["image_id"] for row in rows}) == 1
    assert Counter(row["verdict"] for row in rows) == {CONVERTED: 1, DUPLICATE: 7}


def test_a_ct_series_of_five_files_is_one_volume_in_the_order_of_its_positions(
    layout: Layout, sources: dict[str, Row]
) -> None:
    folder = ROOT / DIRS / "98892001" / "CT5N"
    files = {path: pydicom.dcmread(path) for path in folder.iterdir()}
    ordered = sorted(files.values(), key=lambda item: float(item.ImagePositionPatient[2]))
    rows = [sources[path.relative_to(ROOT).as_posix()] for path in files]
    (image_id,) = {row["image_id"] for row in rows}
    image = nib.load(layout.image(image_id))
    expected = np.stack(
        [
            item.pixel_array.T * float(item.RescaleSlope) + float(item.RescaleIntercept)
            for item in ordered
        ],
        axis=2,
    )
    np.testing.assert_array_equal(image.get_fdata(), expected)
    x, y, z = map(float, ordered[0].ImagePositionPatient)
    np.testing.assert_allclose(image.affine[:3, 3], [-x, -y, z], atol=1e-4)
    np.testing.assert_allclose(image.affine[:3, 2], [0, 0, 2.5], atol=1e-4)


def test_a_scout_of_three_planes_is_three_images_and_no_volume(
    layout: Layout, sources: dict[str, Row]
) -> None:
    manifest = {row["image_id"]: row for row in read_table(layout.manifest)}
    paths = [f"{DIRS}/98892003/MR2/{name}" for name in ("4950", "4981", "5011")]
    rows = [manifest[sources[path]["image_id"]] for path in paths]
    assert {row["shape"] for row in rows} == {"16x16x1"}
    assert len({row["orientation"] for row in rows}) == 3
    assert len({row["series"] for row in rows}) == 1


# This test's own reading of the headers, not ingestion, warns of a shipped oddity.
@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
def test_one_subject_of_two_folders_keeps_one_pseudonym(
    layout: Layout, sources: dict[str, Row]
) -> None:
    subjects: defaultdict[str, set[str]] = defaultdict(set)
    manifest = {row["image_id"]: row["subject"] for row in read_table(layout.manifest)}
    for path, row in sources.items():
        if row["image_id"] and path not in MEMBERS:
            name = pydicom.dcmread(ROOT / path, stop_before_pixels=True).get("PatientID")
            if name:
                subjects[name].add(manifest[row["image_id"]])
    assert {name: len(found) for name, found in subjects.items() if len(found) > 1} == {}
    assert len({next(iter(found)) for found in subjects.values()}) == len(subjects)
