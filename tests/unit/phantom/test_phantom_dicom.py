"""Slices are CT images by the standard, whatever their encoding."""

import warnings
from functools import cache
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medvision.phantom.dicom import CODECS, COMPRESSED_EVERY, encode_slices, format_decimal
from medvision.phantom.scan import Scan, draw_scan
from medvision.phantom.scanner import SCANNERS
from medvision.phantom.subject import build_subject

REQUIRED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ImageType",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "KVP",
)


@cache
def _scan(model: int) -> Scan:
    subject = build_subject(2, model, scanner=SCANNERS[model], source="dicom", label="nodule")
    return draw_scan(2, subject, visit=0, size=(40, 40, 10))


@cache
def _read(model: int) -> tuple[pydicom.FileDataset, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return tuple(pydicom.dcmread(BytesIO(content)) for content in encode_slices(_scan(model)))


@pytest.mark.parametrize("model", range(len(SCANNERS)))
def test_files_hold_what_the_standard_requires(model: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dataset in _read(model):
            assert all(keyword in dataset for keyword in REQUIRED)
            assert dataset.SOPClassUID == CTImageStorage
            assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
            assert dataset.SOPInstanceUID.is_valid
            pydicom.dcmwrite(BytesIO(), dataset, enforce_file_format=True)


@pytest.mark.parametrize("model", range(len(SCANNERS)))
def test_every_encoding_decodes_to_the_stored_values(model: int) -> None:
    scan = _scan(model)
    for k, dataset in enumerate(_read(model)):
        np.testing.assert_array_equal(dataset.pixel_array, scan.stored[:, :, k].T)


def test_every_third_slice_is_compressed_and_all_codecs_occur() -> None:
    found = set()
    for model, scanner in enumerate(SCANNERS):
        syntaxes = [dataset.file_meta.TransferSyntaxUID for dataset in _read(model)]
        wanted = CODECS[scanner.codec][0] if scanner.codec != "none" else ExplicitVRLittleEndian
        assert set(syntaxes[::COMPRESSED_EVERY]) == {wanted}
        assert set(syntaxes[1::COMPRESSED_EVERY]) == {ExplicitVRLittleEndian}
        found.add(wanted)
    assert len(found) == 1 + len(CODECS)


def test_scanners_differ_in_spacing_orientation_order_and_scale() -> None:
    heads = [_read(model)[0] for model in range(len(SCANNERS))]
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "Manufacturer"):
        assert len({str(head[keyword].value) for head in heads}) > 1
    assert len({(float(h.RescaleSlope), float(h.RescaleIntercept)) for h in heads}) == len(SCANNERS)
    assert {head.PixelRepresentation for head in heads} == {0, 1}
    rising = [
        _read(m)[0].InstanceNumber < _read(m)[-1].InstanceNumber for m in range(len(SCANNERS))
    ]
    assert set(rising) == {True, False}


def test_headers_identify_made_up_people_only() -> None:
    for model in range(len(SCANNERS)):
        head = _read(model)[0]
        assert str(head.PatientName).startswith("Zz")
        assert head.PatientID.startswith("PHX-")
        assert head.PatientBirthDate
        assert any(element.tag.is_private for element in head)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0, "0"), (3.0, "3"), (-1.5, "-1.5"), (1e-12, "0")]
)
def test_decimal_strings_are_short_and_plain(value: float, text: str) -> None:
    assert format_decimal(value) == text


def test_decimal_strings_keep_a_nanometre_within_sixteen_characters() -> None:
    generator = np.random.default_rng(0)
    for value in generator.uniform(-400, 400, 200):
        text = format_decimal(value)
        assert len(text) <= 16
        assert float(text) == pytest.approx(value, abs=1e-9)
