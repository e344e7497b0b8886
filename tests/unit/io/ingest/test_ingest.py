"""A folder in, images and three tables out."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicoms import (
    ENHANCED_MR,
    MR,
    SC,
    SR,
    Plan,
    build_enhanced,
    compress,
    make_volume,
    new_file,
    write_radiograph,
    write_series,
)
from ingesting import ingest, snapshot
from mosaics import MosaicPlan, build_mosaic, build_uih_grid
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser
from medvision.io.ingest.convert_nifti import guess_subject
from medvision.io.ingest.scanner import judge_kind
from medvision.io.reasons import FLAGS, NON_IMAGE, REFUSED

OBLIQUE = tuple(np.array([[0.8, 0.6, 0.0], [-0.48, 0.64, 0.6]]).ravel())
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, FLIPPED, OBLIQUE])
def test_planted_point_is_found_at_its_place_in_mm(tmp_path, orientation):
    volume = np.zeros((8, 6, 5), dtype=np.int16)
    volume[5, 2, 3] = 1500
    plan = Plan(volume, orientation=orientation)
    write_series(tmp_path / "in", plan)
    array, affine = ingest(tmp_path / "in", tmp_path / "out").load_only()
    voxel = np.argwhere(array == 1500 - 1024)
    assert len(voxel) == 1
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lps = np.array(plan.origin) + 5 * 0.5 * row + 2 * 0.7 * column + 3 * 2.5 * np.cross(row, column)
    np.testing.assert_allclose(affine @ [*voxel[0], 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-4)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL, FLIPPED, OBLIQUE])
def test_grid_agrees_with_simpleitk(tmp_path, orientation):
    sitk = pytest.importorskip("SimpleITK")
    plan = Plan(make_volume(), orientation=orientation)
    write_series(tmp_path / "in", plan)
    array, affine = ingest(tmp_path / "in", tmp_path / "out").load_only()
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "in"))
    image = sitk.ReadImage(names)
    for index in [(0, 0, 0), (7, 0, 0), (0, 5, 0), (0, 0, 4), (3, 2, 1)]:
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        voxel = np.linalg.solve(affine, [-lps[0], -lps[1], lps[2], 1])[:3]
        np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-3)
        assert array[tuple(np.rint(voxel).astype(int))] == image[index]


def test_order_comes_from_position_not_from_name_or_number(tmp_path):
    plan = Plan(make_volume())
    write_series(tmp_path / "in", plan)
    result = ingest(tmp_path / "in", tmp_path / "out")
    array, affine = result.load_only()
    np.testing.assert_array_equal(array, plan.values())
    np.testing.assert_allclose(affine, plan.ras_affine(), atol=1e-5)
    (row,) = result.manifest
    assert row["shape"] == "8x6x5"
    assert row["spacing_mm"] == "0.5x0.7x2.5"
    assert (row["units"], row["geometry"], row["n_files"]) == ("HU", "full", "5")
    names = Pseudonymiser(bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert row["subject"] == names.subject("P-1")
    assert row["image_key"] == names.image_key("1.2.3.1.1")
    sidecar = json.loads(
        result.layout.image(row["image_id"]).with_name(f"{row['image_id']}.json").read_text()
    )
    assert sidecar["SOPInstanceUIDs"] == [names.uid(f"1.2.3.1.1.{k + 1}") for k in range(5)]


def test_missing_slice_is_refused_and_the_rest_goes_on(tmp_path):
    broken = write_series(tmp_path / "in", Plan(make_volume()))
    broken[2].unlink()
    write_series(
        tmp_path / "in", Plan(make_volume(seed=1), subject="P-2", study="1.2.9", series="1.2.9.1")
    )
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert len(result.manifest) == 1
    assert result.reasons() == {"missing-slice": 4}
    names = Pseudonymiser(bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert {row["subject"] for row in result.rejects} == {names.subject("P-1")}
    assert {row["image_key"] for row in result.rejects} == {names.image_key("1.2.3.1.1")}


def test_equal_copy_is_counted_and_a_different_one_is_refused(tmp_path):
    paths = write_series(tmp_path / "equal", Plan(make_volume()))
    (tmp_path / "equal" / "copy").write_bytes(paths[1].read_bytes())
    result = ingest(tmp_path / "equal", tmp_path / "out-equal")
    assert [row["verdict"] for row in result.sources].count("duplicate") == 1
    np.testing.assert_array_equal(result.load_only()[0], Plan(make_volume()).values())

    def repeat_uid(dataset, k):
        if k == 3:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.1.1"

    write_series(tmp_path / "other", Plan(make_volume()), change=repeat_uid)
    with pytest.raises(DataError, match="conflicting-duplicate"):
        ingest(tmp_path / "other", tmp_path / "out-other")


def test_localizer_is_split_off_and_told_by_its_role(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    scout = Plan(
        make_volume((8, 6, 1)),
        orientation=CORONAL,
        extra={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    )

    def rename(dataset, k):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.1.77"

    write_series(tmp_path / "in" / "scout", scout, change=rename)
    result = ingest(tmp_path / "in", tmp_path / "out")
    found = {row["role"]: row["shape"] for row in result.manifest}
    assert found == {"original": "8x6x5", "localizer": "8x6x1"}


def test_series_of_two_orientations_becomes_two_images(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))

    def renumber(dataset, k):
        uid = f"1.2.3.1.1.{k + 50}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid

    write_series(tmp_path / "in" / "b", Plan(make_volume(), orientation=SAGITTAL), change=renumber)
    rows = ingest(tmp_path / "in", tmp_path / "out").manifest
    assert len(rows) == 2
    assert len({row["image_id"] for row in rows}) == 2
    assert len({row["series"] for row in rows}) == 1


def test_one_series_uid_under_two_subjects_never_mixes_them(tmp_path):
    write_series(tmp_path / "in" / "a", Plan(make_volume(seed=1)))
    write_series(tmp_path / "in" / "b", Plan(make_volume(seed=2), subject="P-2"))
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.summary.n_subjects == 2
    found = {tuple(result.load(row)[0].ravel()) for row in result.manifest}
    assert found == {tuple(Plan(make_volume(seed=s)).values().ravel()) for s in (1, 2)}


def test_one_series_uid_in_two_studies_of_a_subject_gives_two_images_that_never_mix(tmp_path):
    for n in (1, 2):
        write_series(tmp_path / "in" / str(n), Plan(make_volume(seed=n), study=f"1.2.3.{n}"))
    result = ingest(tmp_path / "in", tmp_path / "out")
    found = {tuple(result.load(row)[0].ravel()) for row in result.manifest}
    assert found == {tuple(Plan(make_volume(seed=s)).values().ravel()) for s in (1, 2)}
    (tmp_path / "late" / "1").mkdir(parents=True)
    for path in sorted((tmp_path / "in" / "1").iterdir()):
        path.rename(tmp_path / "late" / "1" / path.name)
    ingest(tmp_path / "late", tmp_path / "other")
    (tmp_path / "in" / "2").rename(tmp_path / "late" / "2")
    late = ingest(tmp_path / "late", tmp_path / "other")
    assert late.manifest == result.manifest


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_pixels_equal_raw_ones(tmp_path, syntax):
    raw = write_series(tmp_path / "raw", Plan(make_volume((64, 48, 3))))
    (tmp_path / "packed").mkdir()
    for path in raw:
        compress(path, syntax, tmp_path / "packed" / path.name)
    expected = ingest(tmp_path / "raw", tmp_path / "out-raw").manifest[0]
    found = ingest(tmp_path / "packed", tmp_path / "out-packed").manifest[0]
    assert found == expected


def test_files_without_preamble_or_meta_are_read(tmp_path):
    for path in write_series(tmp_path / "in", Plan(make_volume())):
        content = path.read_bytes()
        length = int.from_bytes(content[140:144], "little")
        path.write_bytes(content[144 + length :])
    result = ingest(tmp_path / "in", tmp_path / "out")
    np.testing.assert_array_equal(result.load_only()[0], Plan(make_volume()).values())


def test_truncated_end_slice_leaves_a_flag_and_a_truncated_inner_one_a_gap(tmp_path):
    for name, k in (("end", 4), ("inner", 2)):
        paths = write_series(tmp_path / name, Plan(make_volume()))
        paths[k].write_bytes(paths[k].read_bytes()[:-20])
    result = ingest(tmp_path / "end", tmp_path / "out-end")
    assert result.manifest[0]["flags"] == "slice-dropped"
    assert result.reasons() == {"truncated": 1}
    assert result.rejects[0]["image_key"] == result.manifest[0]["image_key"]
    with pytest.raises(DataError, match=r"4 missing-slice, 1 truncated"):
        ingest(tmp_path / "inner", tmp_path / "out-inner")


def test_file_cut_anywhere_never_raises_and_is_never_converted(tmp_path):
    (path,) = write_series(tmp_path / "in", Plan(make_volume((8, 6, 1))))
    content = path.read_bytes()
    for cut in range(0, len(content) - 1, 23):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match="must hold at least one usable image"):
            ingest(tmp_path / "in", tmp_path / "out")


def test_rescale_that_varies_by_slice_gives_float_values(tmp_path):
    plan = Plan(make_volume(), sop_class="1.2.840.10008.5.1.4.1.1.128", modality="PT", intercept=0)

    def vary(dataset, k):
        dataset.RescaleSlope = f"{0.25 * (k + 1):.4g}"

    write_series(tmp_path / "in", plan, change=vary)
    result = ingest(tmp_path / "in", tmp_path / "out")
    expected = plan.volume * (0.25 * np.arange(1, 6))
    np.testing.assert_allclose(result.load_only()[0], expected, rtol=1e-6)
    image = nibabel.load(result.layout.image(result.manifest[0]["image_id"]))
    assert image.get_data_dtype() == np.float32
    assert result.manifest[0]["units"] == "none"


def test_enhanced_frames_are_sorted_and_rescaled_each(tmp_path):
    plan = Plan(make_volume(), orientation=OBLIQUE, sop_class=ENHANCED_MR)
    (tmp_path / "in").mkdir()
    build_enhanced(plan, order=[3, 0, 4, 1, 2]).save_as(
        tmp_path / "in" / "x", enforce_file_format=True
    )
    array, affine = ingest(tmp_path / "in", tmp_path / "out").load_only()
    k = np.arange(5)
    np.testing.assert_array_equal(array, plan.volume * (1 + k) - k)
    np.testing.assert_allclose(affine, plan.ras_affine(), atol=1e-4)


def test_sheared_stack_has_no_qform(tmp_path):
    plan = Plan(make_volume(), shear=(0.0, 0.8, 0.0))
    write_series(tmp_path / "in", plan)
    result = ingest(tmp_path / "in", tmp_path / "out")
    image = nibabel.load(result.layout.image(result.manifest[0]["image_id"]))
    assert int(image.header["qform_code"]) == 0
    assert int(image.header["sform_code"]) == 1
    np.testing.assert_allclose(image.affine, plan.ras_affine(), atol=1e-5)
    assert result.manifest[0]["flags"] == "gantry-tilt"


def test_radiograph_is_a_2d_image_without_geometry(tmp_path):
    plane = make_volume((6, 9, 1))[:, :, 0]
    write_radiograph(
        tmp_path / "in",
        plane,
        PhotometricInterpretation="MONOCHROME1",
        ImagerPixelSpacing=[0.2, 0.1],
    )
    result = ingest(tmp_path / "in", tmp_path / "out")
    array, affine = result.load_only()
    np.testing.assert_array_equal(array[:, :, 0], plane.T)
    np.testing.assert_allclose(affine, np.diag([-0.1, -0.2, 1, 1]), atol=1e-7)
    row = result.manifest[0]
    assert (row["shape"], row["geometry"]) == ("9x6x1", "none")
    assert row["flags"] == "detector-spacing,monochrome1"


def test_burned_in_text_and_its_risk_are_refused_or_flagged(tmp_path):
    plane = make_volume((6, 9, 1))[:, :, 0]
    write_radiograph(tmp_path / "in", plane, uid="1.2.4.1", BurnedInAnnotation="YES")
    write_radiograph(tmp_path / "in", plane, uid="1.2.4.2", sop_class=SC)
    write_radiograph(tmp_path / "in", plane, uid="1.2.4.3")
    result = ingest(tmp_path / "in", tmp_path / "refused")
    assert result.reasons() == {"burned-in-annotation": 1, "burned-in-risk": 1}
    result = ingest(tmp_path / "in", tmp_path / "flagged", burned_in="flag")
    assert result.reasons() == {}
    assert sorted("burned-in" in row["flags"] for row in result.manifest) == [False, True, True]


def test_mosaics_without_their_header_and_slices_without_position_are_refused(tmp_path):
    source = tmp_path / "in"
    write_radiograph(source, make_volume((6, 9, 1))[:, :, 0])
    mosaic = Plan(
        make_volume(),
        sop_class=MR,
        series="1.2.5.1",
        extra={"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]},
    )
    write_series(source, mosaic)

    def unplace(dataset, k):
        del dataset.ImagePositionPatient

    write_series(source, Plan(make_volume(), series="1.2.5.2"), change=unplace)
    result = ingest(source, tmp_path / "out")
    assert result.reasons() == {"mosaic-without-header": 5, "no-position": 5}
    assert len(result.manifest) == 1


@pytest.mark.parametrize("build", [build_mosaic, build_uih_grid])
@pytest.mark.parametrize("n_slices", [2, 5, 7, 12])
def test_a_mosaic_becomes_the_volume_that_it_was_tiled_from(tmp_path, build, n_slices):
    plan = MosaicPlan(make_volume((4, 6, n_slices)))
    (tmp_path / "in").mkdir()
    build(plan).save_as(tmp_path / "in" / "mosaic", enforce_file_format=True)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {}
    assert [row["shape"] for row in result.manifest] == [f"4x6x{n_slices}"]
    array, affine = result.load_only()
    first = np.diag([-1.0, -1.0, 1.0]) @ plan.place(0, 0, 0)
    assert np.allclose(affine[:3, 3], first, atol=1e-4)
    assert np.array_equal(array, plan.volume)


def test_frames_without_geometry_are_a_cine(tmp_path):
    frames = make_volume((9, 6, 4))
    stored = np.ascontiguousarray(frames.T)
    write_radiograph(
        tmp_path / "in", stored[0], NumberOfFrames=4, PixelData=stored.tobytes(), FrameTime="40"
    )
    (row,) = ingest(tmp_path / "in", tmp_path / "first").manifest
    assert (row["shape"], row["geometry"], row["n_volumes"]) == ("9x6x1", "none", "4")
    result = ingest(tmp_path / "in", tmp_path / "all", volume="4d")
    np.testing.assert_array_equal(result.load_only()[0][:, :, 0], frames)


def test_every_file_has_one_row_with_a_known_code(tmp_path):
    source = tmp_path / "in"
    write_series(source, Plan(make_volume()))
    new_file(SR, "1.2.3.5").save_as(source / "report", enforce_file_format=True)
    (source / "notes.txt").write_text("hello")
    (source / "empty").touch()
    (source / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (source / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(64))
    (source / "broken").symlink_to(source / "nowhere")
    result = ingest(source, tmp_path / "out")
    assert len(result.sources) == 11
    reasons = {row["reason"] for row in result.sources} - {""}
    assert reasons == {
        "structured-report",
        "not-an-image",
        "empty-file",
        "other-format",
        "archive-broken",
        "not-a-file",
    }
    assert reasons <= REFUSED.keys() | NON_IMAGE.keys()
    assert {
        flag for row in result.manifest for flag in row["flags"].split(",") if flag
    } <= FLAGS.keys()


def test_transfer_syntax_of_an_unknown_kind_is_refused(tmp_path):
    (path,) = write_series(tmp_path / "in", Plan(make_volume((8, 6, 1))))
    content = path.read_bytes()
    element = b"\x02\x00\x10\x00UI"  # the transfer syntax
    assert content.count(element) == 1
    path.write_bytes(content.replace(element, element[:4] + b"YI"))
    with pytest.raises(DataError, match="1 unreadable"):
        ingest(tmp_path / "in", tmp_path / "out")


def test_file_that_cannot_be_opened_is_refused_and_the_rest_goes_on(tmp_path, monkeypatch):
    write_series(tmp_path / "in", Plan(make_volume()))
    (tmp_path / "in" / "closed").touch()

    def judge(kind, scanner, *, is_member):
        if kind == "empty-file":
            raise PermissionError("closed")
        return judge_kind(kind, scanner, is_member=is_member)

    monkeypatch.setattr("medvision.io.ingest.scan.judge_kind", judge)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert result.reasons() == {"unreadable": 1}
    assert "closed" not in result.rejects[0]["detail"]
    assert len(result.manifest) == 1


def test_a_defect_of_the_reader_costs_one_file(tmp_path, monkeypatch):
    from medvision.io.ingest import scanner

    paths = write_series(tmp_path / "in", Plan(make_volume()))
    read = scanner.read_instance

    def fail(path, **named):
        if path == paths[4]:
            raise ZeroDivisionError("Muster^Max")
        return read(path, **named)

    monkeypatch.setattr(scanner, "read_instance", fail)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert [row["reason"] for row in result.rejects] == ["unreadable"]
    assert "ZeroDivisionError" in result.rejects[0]["detail"]
    assert "Muster" not in result.rejects[0]["detail"]


def test_images_that_a_bids_dataset_was_made_from_are_catalogued_and_not_read(tmp_path):
    source = tmp_path / "in"
    write_nifti(source / "sub-1" / "anat" / "sub-1_T1w.nii.gz", make_volume())
    write_series(source / "sourcedata" / "1", Plan(make_volume()))
    assert len(ingest(source, tmp_path / "plain").manifest) == 2
    (source / "dataset_description.json").write_text("{}")
    result = ingest(source, tmp_path / "plain")
    assert [row["source"] for row in result.manifest] == ["nifti"]
    assert sum(row["reason"] == "outside-dataset" for row in result.sources) == 5


def test_same_input_gives_the_same_bytes_whatever_the_workers(tmp_path):
    source = tmp_path / "in"
    for n in range(4):
        write_series(
            source / str(n), Plan(make_volume(seed=n), subject=f"P-{n}", series=f"1.2.{n}")
        )
    write_nifti(source / "P-9.nii.gz", make_volume())
    outputs = [
        snapshot(ingest(source, tmp_path / f"out-{n}", workers=workers).layout.step("ingest"))
        for n, workers in enumerate((1, 2, 1))
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0]) == 13


def test_second_run_leaves_nothing_of_the_first(tmp_path):
    write_series(tmp_path / "a", Plan(make_volume()))
    write_series(tmp_path / "b", Plan(make_volume(), subject="P-2"))
    ingest(tmp_path / "a", tmp_path / "out")
    result = ingest(tmp_path / "b", tmp_path / "out")
    assert {path.name.split(".")[0] for path in result.layout.images.iterdir()} == {
        row["image_id"] for row in result.manifest
    }


def test_names_of_files_change_nothing(tmp_path):
    paths = write_series(tmp_path / "a", Plan(make_volume()))
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for n, path in enumerate(paths):
        (tmp_path / "b" / "deep" / f"Muster^Max.{n * 7 % 5}").write_bytes(path.read_bytes())
    assert (
        ingest(tmp_path / "a", tmp_path / "1").manifest
        == ingest(tmp_path / "b", tmp_path / "2").manifest
    )


def test_kind_leaves_the_other_kind_out(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    write_nifti(tmp_path / "in" / "P-9.nii", make_volume())
    for kind, other in (("dicom", 1), ("nifti", 5)):
        result = ingest(tmp_path / "in", tmp_path / kind, kinds=frozenset({kind}))
        assert [row["source"] for row in result.manifest] == [kind]
        assert [row["reason"] for row in result.sources].count("other-kind") == other


def test_own_output_below_the_source_is_not_ingested(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    ingest(tmp_path / "in", tmp_path / "in" / "results")
    assert ingest(tmp_path / "in", tmp_path / "in" / "results").summary.n_files == 5


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", "01"),
        ("patient01/flair.nii.gz", "patient01"),
        ("case7.nii.gz", "case7"),
        ("case7.nii", "case7"),
    ],
)
def test_subject_of_a_nifti_is_told_by_its_path(path, subject):
    assert guess_subject(path) == subject


def write_nifti(path: Path, array: np.ndarray) -> None:
    """Write a NIfTI with a plain affine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2, 3, 1])), path)


def test_table_for_display_is_flagged_and_not_applied(tmp_path):
    def add_table(dataset, k):
        item = Dataset()
        item.add_new(0x00283002, "US", [4, 0, 16])
        item.add_new(0x00283006, "US", [3, 2, 1, 0])
        dataset.VOILUTSequence = [item]

    plan = Plan(make_volume())
    write_series(tmp_path / "in", plan, change=add_table)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert "voi-lut" in row["flags"].split(",")
    np.testing.assert_array_equal(result.load(row)[0], plan.values())
