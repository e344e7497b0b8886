"""A voxel leads back to its stored object: the value there is the voxel's, whatever was done."""

import itertools
import json

import numpy as np
import pydicom
import pytest
from dicoms import Plan, build_enhanced, make_volume, write_series
from ingesting import KEY, ingest
from mosaics import MosaicPlan, build_mosaic

from medvision.domain.tracing import parse_planes, trace_voxel
from medvision.errors import DataError
from medvision.io.deidentify import Pseudonymiser

NAMES = Pseudonymiser(bytes.fromhex(KEY))
TILTED = Plan(make_volume(), shear=(0.0, 0.8, 0.0))


def read_planes(source):
    """Oracle: every stored plane by pseudonymous UID and frame, in modality values, by pydicom."""
    planes = {}
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        dataset = pydicom.dcmread(path)
        pixels = np.asarray(dataset.pixel_array, dtype=float)
        pixels = pixels[np.newaxis] if pixels.ndim == 2 else pixels
        groups = dataset.get("PerFrameFunctionalGroupsSequence", [None] * len(pixels))
        for n, (plane, group) in enumerate(zip(pixels, groups, strict=True), 1):
            rescale = group.PixelValueTransformationSequence[0] if group else dataset
            slope = float(rescale.get("RescaleSlope", 1))
            values = plane * slope + float(rescale.get("RescaleIntercept", 0))
            file = NAMES.file_id(path.relative_to(source).as_posix())
            planes[NAMES.uid(dataset.SOPInstanceUID), n] = values, file
    return planes


def mix(plane, row, column):
    """Oracle: the value between four pixels, row and column counted from 1."""
    total = 0.0
    for r, c in itertools.product((0, 1), (0, 1)):
        y, x = int(np.floor(row)) + r, int(np.floor(column)) + c
        share = (1 - abs(row - y)) * (1 - abs(column - x))
        if share > 1e-9:
            total += share * plane[y - 1, x - 1]
    return total


def check_all_voxels(source, result, *, most_origins=1):
    """Hold every voxel of every image to the stored pixels; return how many were filled."""
    stored = read_planes(source)
    assert result.manifest
    return sum(
        check_image(result, row, stored=stored, most_origins=most_origins)
        for row in result.manifest
    )


def check_image(result, row, *, stored, most_origins):
    array, _ = result.load(row)
    planes = parse_planes(json.loads(result.layout.sidecar(row["image_id"]).read_text()))
    n_filled = 0
    for voxel in np.ndindex(array.shape):
        origins = trace_voxel(planes, voxel)
        assert len(origins) <= most_origins
        if not origins:
            n_filled += 1
            assert array[voxel] == array.min()
            continue
        assert sum(origin.share for origin in origins) == pytest.approx(1)
        value = 0.0
        for origin in origins:
            plane, file = stored[origin.sop_uid, origin.frame]
            assert origin.file == file
            value += origin.share * mix(plane, origin.row, origin.column)
        assert array[voxel] == pytest.approx(value, rel=1e-5, abs=1e-3)
    return n_filled


OBLIQUE = tuple(
    float(x)
    for x in np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0][:, :2].T.reshape(-1)
)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(make_volume()),
        Plan(make_volume(), orientation=OBLIQUE),
        Plan(make_volume(), orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),
        Plan(make_volume(), step=-2.5),
        TILTED,
    ],
    ids=["axial", "oblique", "sagittal", "reversed", "tilted"],
)
def test_every_voxel_of_a_series_is_found_in_its_file(tmp_path, plan):
    # Written in an order, and under instance numbers, that tell nothing.
    write_series(tmp_path / "in", plan)
    result = ingest(tmp_path / "in", tmp_path / "out")
    assert check_all_voxels(tmp_path / "in", result) == 0


def test_every_voxel_of_a_multi_frame_object_is_found_in_its_frame(tmp_path):
    plan = Plan(make_volume(), orientation=OBLIQUE, modality="MR")
    (tmp_path / "in").mkdir()
    build_enhanced(plan, order=[3, 0, 4, 1, 2]).save_as(
        tmp_path / "in" / "one", enforce_file_format=True
    )
    assert check_all_voxels(tmp_path / "in", ingest(tmp_path / "in", tmp_path / "out")) == 0


def test_every_voxel_of_a_mosaic_is_found_in_its_tile(tmp_path):
    (tmp_path / "in").mkdir()
    build_mosaic(MosaicPlan(make_volume((5, 4, 6)))).save_as(
        tmp_path / "in" / "one", enforce_file_format=True
    )
    assert check_all_voxels(tmp_path / "in", ingest(tmp_path / "in", tmp_path / "out")) == 0


def test_a_straightened_tilt_leads_to_places_between_pixels(tmp_path):
    write_series(tmp_path / "in", TILTED)
    result = ingest(tmp_path / "in", tmp_path / "out", tilt="resample")
    assert check_all_voxels(tmp_path / "in", result) > 0


@pytest.mark.parametrize("tilt", ["keep", "resample"])
def test_a_filled_gap_leads_to_both_neighbours(tmp_path, tilt):
    plan = TILTED if tilt == "resample" else Plan(make_volume())
    write_series(tmp_path / "in", plan)[2].unlink()
    result = ingest(tmp_path / "in", tmp_path / "out", gaps="resample", tilt=tilt)
    check_all_voxels(tmp_path / "in", result, most_origins=2)


@pytest.mark.parametrize("mode", ["first", "mean", "each", "4d"])
def test_volumes_lead_to_their_own_files_and_a_mean_to_all(tmp_path, mode):
    for moment in (1, 2):
        plan = Plan(make_volume(seed=moment), series="1.2.3.1.1")

        def tell(dataset, k, moment=moment):
            dataset.SOPInstanceUID = f"1.2.3.1.1.{moment}.{k + 1}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.TemporalPositionIdentifier = moment
            dataset.AcquisitionNumber = moment

        write_series(tmp_path / "in" / str(moment), plan, change=tell)
    result = ingest(tmp_path / "in", tmp_path / "out", volume=mode)
    n_origins = 2 if mode == "mean" else 1
    assert check_all_voxels(tmp_path / "in", result, most_origins=n_origins) == 0


def test_a_planted_fault_is_found(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = ingest(tmp_path / "in", tmp_path / "out")
    path = result.layout.sidecar(result.manifest[0]["image_id"])
    sidecar = json.loads(path.read_text())
    sidecar["SOPInstanceUIDs"].reverse()
    sidecar["SourceFiles"].reverse()
    path.write_text(json.dumps(sidecar))
    with pytest.raises(AssertionError):
        check_all_voxels(tmp_path / "in", result)


def test_an_index_beyond_the_image_is_refused(tmp_path):
    write_series(tmp_path / "in", Plan(make_volume()))
    result = ingest(tmp_path / "in", tmp_path / "out")
    sidecar = json.loads(result.layout.sidecar(result.manifest[0]["image_id"]).read_text())
    planes = parse_planes(sidecar)
    for voxel in ((8, 0, 0), (0, -1, 0), (0, 0), (0, 0, 0, 0)):
        with pytest.raises(DataError, match="index must be within 8x6x5"):
            trace_voxel(planes, voxel)


def test_a_nifti_file_has_no_stored_objects():
    assert parse_planes({"Shape": [2, 2, 2]}) is None
