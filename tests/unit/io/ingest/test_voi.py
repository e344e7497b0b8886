"""A radiograph's window or table for display goes into its sidecar, its values stay."""

import json

import numpy as np
import pytest
from dicoms import Plan, make_volume, write_radiograph, write_series
from ingesting import ingest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from medvision.domain.voi import Voi, apply_voi, decode_voi

PLANE = np.random.default_rng(0).integers(0, 4096, (9, 7), dtype=np.uint16)


def read_sidecar(result, row):
    return json.loads(result.layout.sidecar(row["image_id"]).read_text())


def build_table(entries, *, first=0, bits=12, vr="US"):
    item = Dataset()
    item.add_new(0x00283002, vr, [len(entries), first, bits])
    item.add_new(0x00283006, "OW", np.asarray(entries, "<u2").tobytes())
    item.LUTExplanation = "Doe^John"
    return [item]


@pytest.mark.parametrize(
    ("header", "white"),
    [
        ({"WindowCenter": "2000", "WindowWidth": "900"}, 4095),
        ({"WindowCenter": ["2000", "5"], "WindowWidth": ["900", "7"]}, 4095),
        ({"WindowCenter": "900", "WindowWidth": "3000", "VOILUTFunction": "SIGMOID"}, 4095),
        ({"WindowCenter": "900", "WindowWidth": "30.5", "VOILUTFunction": "LINEAR_EXACT"}, 4095),
        ({"VOILUTSequence": build_table(range(4095, -1, -1))}, 4095),
        ({"VOILUTSequence": build_table([0, 9, 99, 1023], first=1000, bits=10)}, 1023),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_the_sidecar_holds_shows_values_as_pydicom_does(tmp_path, header, white, photometric):
    values = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": photometric}
    path = write_radiograph(tmp_path / "in", PLANE, **values, **header)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    voi = decode_voi(read_sidecar(result, row)["VOI"])
    assert row["voi"] == voi.function
    grid, _ = result.load(row)
    dataset = dcmread(path)
    np.testing.assert_array_equal(grid[..., 0].T, PLANE)
    expected = apply_voi_lut(dataset.pixel_array, dataset) / white
    np.testing.assert_allclose(apply_voi(grid[..., 0].T, voi), expected, atol=1e-6)


def test_the_window_is_of_modality_values(tmp_path):
    header = {"RescaleSlope": "2", "RescaleIntercept": "-1000", "BitsStored": 12, "HighBit": 11}
    window = {"WindowCenter": "500", "WindowWidth": "2000"}
    path = write_radiograph(tmp_path / "in", PLANE, **header, **window)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    voi = decode_voi(read_sidecar(result, row)["VOI"])
    dataset = dcmread(path)
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = -1000, 2 * 4095 - 1000
    grid, _ = result.load(row)
    np.testing.assert_allclose(
        apply_voi(grid[..., 0].T, voi), (shown - low) / (high - low), atol=1e-6
    )


def test_a_table_of_negative_values_begins_below_zero(tmp_path):
    table = build_table([0, 100, 4095], first=-1, vr="SS")
    header = {"RescaleSlope": "1", "RescaleIntercept": "-2048", "VOILUTSequence": table}
    write_radiograph(tmp_path / "in", PLANE, **header)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert decode_voi(read_sidecar(result, row)["VOI"]).first == -1


@pytest.mark.parametrize(
    "header",
    [
        {"WindowCenter": "40", "WindowWidth": "0"},
        {"WindowCenter": "40", "WindowWidth": "80", "VOILUTFunction": "GAMMA"},
        {"VOILUTSequence": build_table([])},
    ],
)
def test_a_window_without_meaning_is_flagged_and_the_image_goes_on(tmp_path, header):
    write_radiograph(tmp_path / "in", PLANE, **header)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert row["voi"] == ""
    assert "voi-unusable" in row["flags"].split(",")
    assert "VOI" not in read_sidecar(result, row)


def test_an_explanation_does_not_leave_the_header(tmp_path):
    write_radiograph(tmp_path / "in", PLANE, VOILUTSequence=build_table(range(4096)))
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert "Doe" not in result.layout.sidecar(row["image_id"]).read_text()


def test_a_volume_has_no_window_and_neither_has_a_header_without_one(tmp_path):
    window = {"WindowCenter": "40", "WindowWidth": "400"}
    write_series(tmp_path / "in", Plan(make_volume(), extra=window))
    write_radiograph(tmp_path / "in", PLANE)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert [row["voi"] for row in result.manifest] == ["", ""]
    assert not any("voi-unusable" in row["flags"] for row in result.manifest)


def test_a_frames_own_window_comes_before_the_top_levels(tmp_path):
    group, frame = Dataset(), Dataset()
    group.WindowCenter, group.WindowWidth = "100", "50"
    frame.FrameVOILUTSequence = [group]
    header = {"WindowCenter": "7", "WindowWidth": "7"}
    header["SharedFunctionalGroupsSequence"] = [frame]
    write_radiograph(tmp_path / "in", PLANE, **header)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert decode_voi(read_sidecar(result, row)["VOI"]) == Voi("LINEAR", 100, 50)


def test_each_view_of_a_series_has_its_own_window(tmp_path):
    for n, width in enumerate(("900", "1200")):
        plane = np.roll(PLANE, n)[: 9 - n]
        header = {"WindowCenter": "2000", "WindowWidth": width, "SeriesInstanceUID": "1.2.4.0"}
        write_radiograph(tmp_path / "in", plane, uid=f"1.2.4.{n + 1}", **header)
    result = ingest(tmp_path / "in", tmp_path / "out")
    found = {
        row["shape"]: decode_voi(read_sidecar(result, row)["VOI"]).width for row in result.manifest
    }
    assert found == {"7x9x1": 900, "7x8x1": 1200}


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian])
def test_a_compressed_radiograph_tells_its_window_too(tmp_path, syntax):
    window = {"WindowCenter": "2000", "WindowWidth": "900"}
    path = write_radiograph(tmp_path / "plain", PLANE, **window)
    (tmp_path / "in").mkdir()
    dataset = dcmread(path)
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "in" / "image", enforce_file_format=True)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    assert decode_voi(read_sidecar(result, row)["VOI"]) == Voi("LINEAR", 2000, 900)
