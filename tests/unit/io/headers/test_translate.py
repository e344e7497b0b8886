"""A header translated: pseudonyms, role, risk of text, units, protocol, and how the pixels lie."""

from dataclasses import fields

import pytest
from dicom_bytes import (
    IMPLICIT,
    NAMES,
    build_file,
    change,
    element,
    is_trusted,
    read_by_pydicom,
    read_by_scan,
    short,
    text,
)
from pydicom.uid import UID

from medvision.domain.study import Instance
from medvision.io.deidentify import CAPPED_AGE_YEARS
from medvision.io.dicom.objects import CROSS_SECTIONAL
from medvision.io.headers.role import find_role, list_text_risks

CT, MR, PET = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128"))
SC, DX, US = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("7", "1.1", "6.1"))
PARAMETRIC = "1.2.840.10008.5.1.4.1.1.30"
SERIES, STUDY = "1.2.3.11", "1.2.3.1"


def read(**values: bytes | None) -> Instance:
    """Read the small image with attributes changed, by both tiers, which must agree."""
    content = build_file(change(**values))
    instance = read_by_scan(content)
    assert isinstance(instance, Instance)
    other = read_by_pydicom(content)
    for item in fields(Instance):
        if item.name not in ("is_partial", "frames"):
            assert getattr(instance, item.name) == getattr(other, item.name), item.name
    return instance


def test_names_are_those_of_the_identifiers():
    instance = read()
    subject = NAMES.subject("P-1")
    assert instance.subject == subject
    assert instance.study_uid == NAMES.uid(STUDY)
    assert instance.series_uid == NAMES.uid(SERIES)
    assert instance.sop_uid == NAMES.uid("1.2.3.4.5")
    assert instance.image_key == NAMES.image_key(SERIES)
    assert instance.image_name == NAMES.image_id(f"{SERIES}/0", subject=subject)
    assert instance.frame_of_reference == ""
    assert read(FrameOfReferenceUID=text("1.2.9")).frame_of_reference == NAMES.uid("1.2.9")


def test_an_issuer_is_part_of_the_subject_but_not_of_its_clock():
    instance = read(IssuerOfPatientID=text("Clinic"))
    assert instance.subject == NAMES.subject("P-1", issuer="Clinic")
    assert instance.date == read().date == NAMES.shift_date("20200229", subject=read().subject)


def test_the_study_stands_for_a_subject_without_id_and_the_file_for_one_without_study():
    instance = read(PatientID=None)
    assert instance.subject == NAMES.subject(f"study {STUDY}")
    assert "no-patient-id" in instance.flags
    assert instance.date == NAMES.shift_date("20200229", subject=instance.subject)
    bare = read(PatientID=None, StudyInstanceUID=None, SeriesInstanceUID=None)
    assert bare.subject == NAMES.subject("study f")
    assert (bare.study_uid, bare.series_uid, bare.image_key, bare.image_name) == ("", "", "", "")
    assert read(StudyInstanceUID=None).study_uid == NAMES.uid(SERIES)
    assert read(SOPInstanceUID=None).sop_uid == NAMES.uid("f")


@pytest.mark.parametrize(
    ("values", "age"),
    [
        ({"PatientAge": b"045Y"}, 45.0),
        ({"PatientAge": b"006M"}, 0.5),
        ({"PatientAge": b"095Y"}, CAPPED_AGE_YEARS),
        ({"PatientBirthDate": b"19800301"}, 39.0),
        ({"PatientBirthDate": b"19800229"}, 40.0),
        ({"PatientBirthDate": b"20190531"}, 8 / 12),
        ({"PatientBirthDate": b"19200101"}, CAPPED_AGE_YEARS),
        ({"PatientBirthDate": b"19800301", "PatientAge": b"041Y"}, 41.0),
        ({"PatientBirthDate": b"20210101"}, None),
        ({"PatientBirthDate": b"1980    "}, None),
        ({"PatientBirthDate": b"19800301", "StudyDate": None}, None),
        ({}, None),
    ],
)
def test_age_is_stated_or_counted_in_whole_years_and_capped(values, age):
    assert read(**values).age_years == age


@pytest.mark.parametrize(("sex", "told"), [("M", "M"), ("f", "F"), ("O", "O"), ("X", ""), ("", "")])
def test_sex_is_one_of_three_terms_or_unknown(sex, told):
    assert read(PatientSex=text(sex)).sex == told


@pytest.mark.parametrize(
    ("sop_class", "image_type", "role"),
    [
        (CT, "ORIGINAL\\PRIMARY\\AXIAL", "original"),
        (CT, "ORIGINAL\\PRIMARY\\LOCALIZER", "localizer"),
        (MR, "DERIVED\\SECONDARY\\SCOUT", "localizer"),
        (CT, "DERIVED\\PRIMARY\\AXIAL", "derived"),
        (MR, "DERIVED\\PRIMARY\\DIFFUSION\\ADC", "derived"),
        (MR, "ORIGINAL\\PRIMARY\\PROJECTION IMAGE", "derived"),
        (MR, "ORIGINAL\\SECONDARY", "derived"),
        (CT, "DERIVED\\SECONDARY\\SCREEN SAVE", "capture"),
        (SC, "DERIVED\\SECONDARY", "capture"),
        (DX, "DERIVED\\PRIMARY", "original"),
        (DX, "ORIGINAL\\PRIMARY\\PROJECTION", "original"),
        (DX, "DERIVED\\SECONDARY", "derived"),
        (PET, "ORIGINAL\\PRIMARY", "original"),
        (US, "", "original"),
    ],
)
def test_the_role_follows_the_table(sop_class, image_type, role):
    instance = read(SOPClassUID=text(sop_class), ImageType=text(image_type))
    assert instance.role == role
    assert instance.fault is None


def test_a_scout_mode_and_a_workstation_tell_a_role():
    assert read(SOPClassUID=text(CT), ScanOptions=text("SCOUT MODE")).role == "localizer"
    assert read(ScanOptions=text("SCOUT MODE")).role == "original"
    assert read(ConversionType=text("WSD")).role == "capture"
    assert read(ConversionType=text("DI")).role == "original"


@pytest.mark.parametrize("first", ["ORIGINAL", "DERIVED"])
def test_a_parametric_map_is_derived_whatever_its_image_type_says(first):
    assert find_role(PARAMETRIC, (first, "PRIMARY"), scan_options=(), conversion=()) == "derived"
    assert find_role(PARAMETRIC, (), scan_options=(), conversion=()) == "derived"


def test_processing_makes_cross_sections_derived_and_no_radiograph():
    for sop_class in CROSS_SECTIONAL:
        assert find_role(sop_class, ("DERIVED",), scan_options=(), conversion=()) == "derived"


@pytest.mark.parametrize(
    ("sop_class", "annotation", "flags"),
    [
        (MR, "", []),
        (MR, "NO", []),
        (MR, "YES", ["burned-in-annotation", "burned-in-risk"]),
        (US, "", ["burned-in-risk"]),
        (US, "NO", []),
        (SC, "UNKNOWN", ["burned-in-risk"]),
        (SC, "NO", []),
    ],
)
def test_text_is_flagged_by_class_and_annotation_and_never_a_fault(sop_class, annotation, flags):
    instance = read(
        SOPClassUID=text(sop_class), BurnedInAnnotation=text(annotation), ImageType=None
    )
    assert [flag for flag in instance.flags if flag.startswith("burned-in")] == flags
    assert instance.fault is None


def test_a_screenshot_of_any_class_risks_text():
    assert list_text_risks(CT, "capture", annotation=()) == ("burned-in-risk",)


@pytest.mark.parametrize(
    ("values", "units"),
    [
        ({"Modality": b"CT", "RescaleSlope": b"1 "}, "HU"),
        ({"Modality": b"CT", "RescaleSlope": b"1 ", "RescaleType": b"HU"}, "HU"),
        ({"Modality": b"CT", "RescaleSlope": b"1 ", "RescaleType": b"US"}, "none"),
        ({"Modality": b"CT"}, "none"),
        ({"Modality": b"MR", "RescaleSlope": b"1 ", "RescaleType": b"HU"}, "none"),
        ({"Modality": b"PT", "Units": b"BQML"}, "Bq/mL"),
        ({"Modality": b"PT", "Units": b"CNTS"}, "counts"),
        ({"Modality": b"PT", "Units": b"Name"}, "none"),
        ({"Modality": b"PT"}, "none"),
        ({"Modality": b"CT", "Units": b"BQML"}, "none"),
    ],
)
def test_units_are_controlled_terms(values, units):
    assert read(**values).units == units


def test_the_protocol_has_keys_and_units_of_bids_and_terms_of_the_standard():
    protocol = read(
        EchoTime=text("4.53"),
        RepetitionTime=text("2300"),
        FlipAngle=text("9"),
        MagneticFieldStrength=text("3"),
        ScanningSequence=text("GR\\IR"),
        SequenceVariant=text("SK\\SMITH"),
        ScanOptions=text("JOHN DOE"),
        MRAcquisitionType=text("3D"),
        ExposureTime=text("500"),
        PatientPosition=text("HFS"),
        InversionTime=text("-1"),
    ).protocol
    assert dict(protocol) == {
        "EchoTime": 0.00453,
        "ExposureTime": 0.5,
        "FlipAngle": 9.0,
        "MRAcquisitionType": "3D",
        "MagneticFieldStrength": 3.0,
        "PatientPosition": "HFS",
        "RepetitionTime": 2.3,
        "ScanningSequence": "GR_IR",
        "SequenceVariant": "SK",
    }
    assert list(protocol) == sorted(protocol)


def test_what_is_no_term_does_not_leave_the_header():
    told = repr(
        read(
            ImageType=text("ORIGINAL\\PRIMARY\\DOE^JOHN"),
            PhotometricInterpretation=text("DOE JOHN"),
            Modality=text("DOE"),
            Manufacturer=text("DOE"),
            SOPClassUID=text("DOE"),
            ViewPosition=text("DOE"),
        )
    )
    assert "DOE" not in told


def test_the_layout_describes_bits_and_judges_none():
    layout = read(BitsStored=short(12), HighBit=short(15), PixelRepresentation=short(1)).pixels
    assert (layout.bits_allocated, layout.bits_stored, layout.high_bit) == (16, 12, 15)
    assert layout.is_signed
    assert layout.is_plain
    bare = read(BitsStored=None, HighBit=None, PixelRepresentation=None).pixels
    assert (bare.bits_stored, bare.high_bit, bare.is_signed) == (16, 15, False)


def is_plain(content: bytes) -> bool:
    """Say whether a file's pixels can be read without a decoder."""
    instance = read_by_scan(content)
    assert instance.fault is None
    return instance.pixels.is_plain


def test_only_native_whole_grey_samples_without_a_table_are_plain():
    grey = change(PhotometricInterpretation=text("MONOCHROME1"))
    assert is_plain(build_file(grey))
    assert is_plain(build_file(syntax=IMPLICIT))
    assert is_plain(build_file(change(BitsAllocated=short(8))))
    assert is_plain(build_file(change(BitsAllocated=short(32), Rows=short(2))))
    palette = change(PhotometricInterpretation=text("PALETTE COLOR"))
    assert not is_plain(build_file(palette))
    assert not is_plain(
        build_file(change(SamplesPerPixel=short(3), BitsAllocated=short(8), Rows=short(2)))
    )
    assert not is_plain(build_file(change(ModalityLUTSequence=b"")))
    assert not is_plain(build_file(change(BitsAllocated=short(1))))
    assert not is_plain(build_file(change(BitsAllocated=short(12))))
    assert not is_plain(build_file(change(BitsAllocated=short(64), Rows=short(1))))
    floats = (0x7FE00008, "OF", bytes(96))
    assert not is_plain(build_file(change(BitsAllocated=short(32)), pixels=floats))


def test_a_faulty_image_keeps_its_place_in_its_series():
    instance = read_by_scan(build_file(pixels=None))
    assert instance.fault == ("no-pixel-data", "image must have pixel data, got none")
    assert (instance.series_uid, instance.pixels) == (NAMES.uid(SERIES), None)


def test_a_broken_number_refuses_where_the_image_depends_on_it_and_else_is_left_out():
    assert read_by_scan(build_file(change(PixelSpacing=b"a\\b "))) == "unreadable"
    instance = read_by_scan(build_file(change(FlipAngle=b"ninety")))
    assert instance.fault is None
    assert "FlipAngle" not in dict(instance.protocol)


def test_bytes_in_the_place_of_an_identifier_are_no_identifier():
    # One letter would merge all subjects whose names begin with it.
    content = build_file({0x00100020: ("OB", b"P-17")})
    assert read_by_scan(content) == "unreadable"


def test_every_storage_class_of_ct_mr_and_pet_is_cross_sectional():
    assert all("Image Storage" in UID(sop_class).name for sop_class in CROSS_SECTIONAL)


def test_a_late_attribute_is_read_from_files_with_long_headers():
    inserts = {0x00291010: element(0x00291010, "OB", bytes(40_000), implicit=False)}
    content = build_file(
        change(Modality=text("PT"), SOPClassUID=text(PET), Units=text("BQML")), inserts=inserts
    )
    assert is_trusted(content)
    assert read_by_scan(content).units == "Bq/mL"


def test_one_person_has_one_key_whatever_the_identifier() -> None:
    person = {"PatientBirthDate": text("19610203"), "PatientSex": text("F")}
    one = read(PatientID=text("1"), PatientName=text("Doe^Jane^Q"), **person)
    two = read(PatientID=text("2"), PatientName=text("DOE ^JANE"), **person)
    assert one.person_key == two.person_key
    assert one.subject != two.subject
    assert len(one.person_key.removeprefix("person-")) >= 16
    assert "oe" not in one.person_key
    others = [{"PatientBirthDate": text("19610204")}, {"PatientSex": text("M")}]
    for other in others:
        assert read(PatientName=text("Doe^Jane"), **person | other).person_key != one.person_key


@pytest.mark.parametrize(
    ("name", "born"),
    [("", "19610203"), ("Doe^Jane", ""), ("ANON^0001", "19610203"), ("Doe^Jane", "19000101")],
)
def test_a_placeholder_names_nobody(name: str, born: str) -> None:
    assert read(PatientName=text(name), PatientBirthDate=text(born)).person_key == ""
