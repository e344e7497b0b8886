"""A de-identified object: no mark survives at any depth, and the image is what it was."""

import io

import numpy as np
import pydicom
import pytest
from canaries import (
    Marks,
    build_marked_enhanced,
    build_marked_slice,
    find_survivors,
    plant_forgotten,
)
from dicoms import ENHANCED_MR, Plan, build_enhanced, build_slice, make_volume
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from medvision.io.deidentify import Pseudonymiser
from medvision.io.profile.actions import METHOD, Options
from medvision.io.profile.anonymise import anonymise

NAMES = Pseudonymiser(bytes(range(32)))
SHIFTED = Options("shift", "remove", "remove")
PLAIN = Options("remove", "remove", "remove")
KEPT = Options("shift", "keep", "keep")
PLAN = Plan(
    make_volume((4, 3, 2)), subject="ZQKANARY-1", study="1.2.999.7777.1", series="1.2.999.7777.1.1"
)


def copy(dataset, options=SHIFTED):
    """Anonymise, write, read back: what a receiver sees, and the bytes that hold it."""
    stream = io.BytesIO()
    anonymise(dataset, NAMES, options=options).save_as(stream, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(stream.getvalue())), stream.getvalue()


@pytest.mark.parametrize("options", [SHIFTED, PLAIN], ids=["shifted", "plain"])
def test_no_mark_of_the_table_survives_in_a_classic_object(options):
    marks = Marks()
    dataset = build_marked_slice(PLAN, 0, marks=marks)
    assert find_survivors([("source", _write(dataset))])["source"]
    _, content = copy(dataset, options)
    assert marks.count > 1900
    assert find_survivors([("copy", content)]) == {}


@pytest.mark.parametrize("options", [SHIFTED, PLAIN], ids=["shifted", "plain"])
def test_no_mark_of_the_table_survives_in_functional_groups(options):
    marks = Marks()
    dataset = build_marked_enhanced(PLAN, marks=marks)
    _, content = copy(dataset, options)
    assert marks.places["functional groups"] > 2000
    assert find_survivors([("copy", content)]) == {}


def test_no_mark_survives_in_attributes_that_the_table_forgets():
    marks = Marks()
    dataset = build_slice(PLAN, 0)
    plant_forgotten(dataset, marks, place="top level")
    nested = Dataset()
    plant_forgotten(nested, marks, place="nested")
    dataset.ReferencedSeriesSequence = [nested]
    dataset.SOPClassUID = PLAN.sop_class
    assert marks.count > 1900
    assert find_survivors([("copy", copy(dataset)[1])]) == {}


def _write(dataset):
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_options_keep_controlled_values_and_never_text():
    dataset = build_slice(PLAN, 0)
    dataset.PatientAge, dataset.PatientSex, dataset.PatientWeight = "097Y", "F", "71.5"
    dataset.EthnicGroup = dataset.PatientState = dataset.Allergies = "ZQKANARY"
    dataset.DeviceSerialNumber = "S-1"
    kept, content = copy(dataset, KEPT)
    assert (kept.PatientAge, kept.PatientSex, kept.PatientWeight) == ("090Y", "F", 71.5)
    assert kept.DeviceSerialNumber == "S-1"
    assert find_survivors([("copy", content)]) == {}
    removed, _ = copy(dataset, SHIFTED)
    assert "PatientAge" not in removed
    assert "PatientWeight" not in removed
    assert removed.PatientSex == ""
    assert removed.DeviceSerialNumber == "ANONYMISED"


@pytest.mark.parametrize(("keyword", "value"), [("PatientSex", "ZQ"), ("PatientAge", "ZQ")])
def test_option_does_not_keep_what_is_no_controlled_value(keyword, value):
    dataset = build_slice(PLAN, 0)
    setattr(dataset, keyword, value)
    kept, _ = copy(dataset, KEPT)
    assert kept.get(keyword, "") == ""


def test_image_geometry_and_rescale_are_what_they_were():
    dataset = build_slice(PLAN, 1)
    kept, _ = copy(dataset)
    for keyword in (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
        *("RescaleSlope", "RescaleIntercept", "Rows", "Columns", "BitsStored", "ImageType"),
        *("Modality", "SOPClassUID", "PhotometricInterpretation"),
    ):
        assert kept[keyword].value == dataset[keyword].value, keyword
    assert np.array_equal(kept.pixel_array, dataset.pixel_array)


def test_frames_of_an_enhanced_object_stay_in_place():
    dataset = build_enhanced(PLAN, order=[1, 0])
    kept, _ = copy(dataset)
    assert kept.SOPClassUID == ENHANCED_MR
    for old, new in zip(
        dataset.PerFrameFunctionalGroupsSequence,
        kept.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        assert new.PlanePositionSequence[0] == old.PlanePositionSequence[0]
        transformation = new.PixelValueTransformationSequence[0]
        assert transformation == old.PixelValueTransformationSequence[0]


def test_meta_information_is_written_anew():
    dataset = build_slice(PLAN, 0)
    dataset.preamble = b"MM" * 64
    dataset.file_meta.SourceApplicationEntityTitle = "HOSPITAL"
    kept, _ = copy(dataset)
    meta = kept.file_meta
    assert kept.preamble == bytes(128)
    assert meta.MediaStorageSOPInstanceUID == kept.SOPInstanceUID == NAMES.uid(f"{PLAN.series}.1")
    assert UID(meta.ImplementationClassUID).is_valid
    assert set(meta.dir()) == {
        *("FileMetaInformationGroupLength", "FileMetaInformationVersion", "TransferSyntaxUID"),
        *("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"),
        *("ImplementationClassUID", "ImplementationVersionName"),
    }


@pytest.mark.parametrize("options", [SHIFTED, PLAIN, KEPT], ids=["shifted", "plain", "kept"])
def test_object_says_that_it_is_deidentified_and_how(options):
    kept, _ = copy(build_slice(PLAN, 0), options)
    assert kept.PatientIdentityRemoved == "YES"
    assert kept.DeidentificationMethod == METHOD
    codes = [
        (code.CodeValue, code.CodingSchemeDesignator)
        for code in kept.DeidentificationMethodCodeSequence
    ]
    assert codes == [(value, "DCM") for value, _ in options.codes]
    is_shifted = options.dates == "shift"
    expected = "MODIFIED" if is_shifted else "REMOVED"
    assert kept.LongitudinalTemporalInformationModified == expected


def test_references_between_objects_still_hold():
    first, second = build_slice(PLAN, 0), build_slice(PLAN, 1)
    reference = Dataset()
    reference.ReferencedSOPClassUID = PLAN.sop_class
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    second.ReferencedImageSequence = [reference]
    kept_first, kept_second = copy(first)[0], copy(second)[0]
    (kept,) = kept_second.ReferencedImageSequence
    assert kept.ReferencedSOPInstanceUID == kept_first.SOPInstanceUID
    assert kept.ReferencedSOPClassUID == PLAN.sop_class
    assert kept_first.StudyInstanceUID == kept_second.StudyInstanceUID == NAMES.uid(PLAN.study)
    assert kept_first.PatientID == kept_first.PatientName == NAMES.subject(PLAN.subject)


def test_uid_that_only_looks_registered_is_mapped():
    dataset = build_slice(PLAN, 0)
    dataset.ContextUID = "1.2.840.10008.19630203"
    dataset.ConversionSourceAttributesSequence = [Dataset()]
    item = dataset.ConversionSourceAttributesSequence[0]
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.77777"
    _, content = copy(dataset)
    assert b"19630203" not in content
    assert b".77777" not in content


def test_known_codes_stay_in_the_words_of_the_dictionary():
    known, local, old = Dataset(), Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator, known.CodeMeaning = "69536005", "SCT", "Muster"
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "H1", "99HOSP", "Muster"
    old.CodeValue, old.CodingSchemeDesignator, old.CodeMeaning = "T-D1100", "SRT", "Muster"
    dataset = build_slice(PLAN, 0)
    dataset.AnatomicRegionSequence = [known, local, old]
    kept, content = copy(dataset)
    codes = [(item.CodeValue, item.CodeMeaning) for item in kept.AnatomicRegionSequence]
    assert codes == [("69536005", "Head"), ("T-D1100", "Head")]
    assert b"Muster" not in content


def test_code_strings_that_are_no_terms_are_replaced():
    dataset = build_slice(PLAN, 0)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "MUSTER"]
    dataset.BodyPartExamined = "MUSTER"
    dataset.Modality = "MUSTER"
    kept, content = copy(dataset)
    assert list(kept.ImageType) == ["ORIGINAL", "PRIMARY", "OTHER"]
    assert kept.BodyPartExamined == ""
    assert kept.Modality == "OT"
    assert b"MUSTER" not in content


def test_numbers_that_are_text_go():
    dataset = build_slice(PLAN, 0)
    dataset.add_new(0x00180060, "LO", "ZQKANARY")
    dataset.add_new(0x00203333, "UN", b"ZQKANARY")
    dataset.add_new(0x00280010, "LO", "ZQKANARY")
    _, content = copy(dataset)
    assert find_survivors([("copy", content)]) == {}


def test_bytes_behind_the_last_pixel_go():
    dataset = build_slice(PLAN, 0)
    plain = dataset.PixelData
    dataset.PixelData = plain + b"ZQKANARY"
    kept, _ = copy(dataset)
    assert kept.PixelData == plain


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_encoding_of_the_file_is_kept(syntax):
    dataset = build_slice(PLAN, 0)
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )
    source = pydicom.dcmread(io.BytesIO(stream.getvalue()), force=True)
    kept, _ = copy(source)
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(kept.pixel_array, source.pixel_array)


def test_source_is_not_changed():
    dataset = build_marked_slice(PLAN, 0, marks=Marks())
    before = _write(dataset)
    copy(dataset)
    assert _write(dataset) == before


def test_same_object_gives_the_same_bytes():
    assert copy(build_slice(PLAN, 0))[1] == copy(build_slice(PLAN, 0))[1]


def test_one_number_of_two_issuers_is_two_subjects_with_one_clock():
    dataset = build_slice(PLAN, 0)
    dataset.StudyDate = "20200105"
    alone, _ = copy(dataset)
    dataset.IssuerOfPatientID = "A"
    issued, _ = copy(dataset)
    assert issued.PatientID == NAMES.subject(PLAN.subject, issuer="A") != alone.PatientID
    assert issued.StudyDate == alone.StudyDate


def test_object_without_identifier_has_its_study_as_subject():
    dataset = build_slice(PLAN, 0)
    del dataset.PatientID
    assert copy(dataset)[0].PatientID == NAMES.subject(f"study {PLAN.study}")
