"""A lesion in an oblique, anisotropic, tilted volume comes back to its own voxels.

One test for each of the 48 orders and directions of the source's axes and each transform. What
moves voxels without mixing them must bring the lesion back voxel for voxel; what mixes them, to
within half a voxel of the coarser grid. The map is the preprocessed image itself, led back as
attribution maps are; intensities are left alone, so that the lesion is what is bright.
"""

import contextlib
import itertools

import numpy as np
import pytest
from dicoms import Plan, build_enhanced, make_volume, write_series
from geometry_oracles import find_centroid_mm
from ingesting import KEY, ingest
from plugin_files import write_plugin

from medvision.config.preprocess import PreprocessSection
from medvision.domain.geometry import compute_orientation
from medvision.domain.tracing import parse_planes, trace_voxel
from medvision.explain.grids import map_to_source
from medvision.io.deidentify import Pseudonymiser
from medvision.preprocess.early import plan_early, prepend_steps
from medvision.preprocess.execute import build_executor
from medvision.preprocess.plan import build_plan
from medvision.runtime.files import read_json

SHAPE, SPACING_MM = (20, 17, 14), np.array([0.8, 1.1, 2.5])
LESION = (slice(12, 16), slice(3, 6), slice(8, 11))
"""Nowhere near the middle along any axis: a flip or a swap of axes puts it elsewhere."""

TILT = np.tan(np.radians(12))
CODES = [
    "".join(codes)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*order)
]
TARGETS = ["".join(codes) for codes in itertools.product("RL", "AP", "SI")]
KEEPING = {
    "orientation": {"size": (24, 24, 24)},
    "orientation kept": {"orientation": None, "size": (20, 20, 20)},
    "pad": {"size": (32, 30, 28)},
    "foreground": {"size": (24, 24, 24), "crop_foreground": True, "foreground_above": 50},
    "foreground of the source": {
        "size": (24, 24, 24),
        "crop_foreground": True,
        "foreground_above": 50,
        "foreground_units": "source",
    },
}
"""Transforms that mix no voxels."""

MIXING = {
    "finer": {"spacing_mm": (0.7, 0.7, 0.7), "size": (72, 72, 72)},
    "coarser": {"spacing_mm": (1.6, 1.6, 3.0), "size": (32, 32, 32)},
    "resize": {"sizing": "resize", "size": (16, 24, 18)},
    "resampled and resized": {
        "spacing_mm": (1.0, 1.5, 2.0),
        "sizing": "resize",
        "size": (20, 20, 20),
    },
}
"""Transforms that do."""


def turn():
    """Rotation by 17 degrees about an axis that is none of the body's."""
    x, y, z = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(17)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def make_affine(code, *, tilt=TILT, spacing_mm=SPACING_MM):
    """Voxel axes along the named directions, turned, each of its own length, the last leaning."""
    axes = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1)}
    axes["I"] = (0, 0, -1)
    directions = np.array([axes[letter] for letter in code], dtype=float).T
    leaning = np.eye(3)
    leaning[1, 2] = tilt
    affine = np.eye(4)
    affine[:3, :3] = turn() @ directions @ leaning @ np.diag(spacing_mm)
    affine[:3, 3] = (-31.0, 12.5, 140.0)
    return affine


def make_image(shape=SHAPE, lesion=LESION):
    """A body of 100 in air of 0, with a lesion of 1000."""
    image = np.zeros(shape, dtype=np.float32)
    image[tuple(slice(1, n - 1) if n > 2 else slice(None) for n in shape)] = 100
    image[lesion] = 1000
    return image


def send(image, affine, *, spatial_dims=3, plugins=(), **changes):
    section = PreprocessSection(
        intensity="none", plugins=plugins, **{"spacing_mm": None, **changes}
    )
    plan = build_plan(spatial_dims=spatial_dims, **section.pipeline)
    plan = prepend_steps(plan, plan_early(spatial_dims=spatial_dims, **section.early))
    return build_executor(plan)(image, affine)


def bring_back(volume, image, affine):
    return map_to_source(
        volume.array[0], volume.affine, source_affine=affine, source_shape=image.shape
    )


def check_exact(volume, image, affine, *, lesion=LESION):
    """Voxel for voxel, and nothing else is as bright."""
    back = bring_back(volume, image, affine)
    np.testing.assert_allclose(back[lesion], 1000, rtol=1e-4)
    wanted = np.zeros(image.shape, dtype=bool)
    wanted[lesion] = True
    np.testing.assert_array_equal(back > 550, wanted)


def check_near(volume, image, affine, *, lesion=LESION):
    """Its peak within the lesion, its centre within half a voxel of the coarser grid."""
    back = bring_back(volume, image, affine)
    peak = np.unravel_index(back.argmax(), back.shape)
    assert all(part.start <= n < part.stop for n, part in zip(peak, lesion, strict=True))
    wanted = find_centroid_mm(image, affine, above=0.5)
    found = find_centroid_mm(back, affine, above=0.5)
    to_voxels = np.linalg.inv(volume.affine[:3, :3])
    to_source = np.linalg.inv(affine[:3, :3])
    moved = [np.abs(inverse @ (found - wanted)).max() for inverse in (to_voxels, to_source)]
    assert min(moved) <= 0.5


@pytest.mark.parametrize("transform", KEEPING)
@pytest.mark.parametrize("code", CODES)
def test_a_lesion_comes_back_voxel_for_voxel(code, transform):
    image, affine = make_image(), make_affine(code)
    assert compute_orientation(affine) == code
    check_exact(send(image, affine, **KEEPING[transform]), image, affine)


@pytest.mark.parametrize("transform", MIXING)
@pytest.mark.parametrize("code", CODES)
def test_a_lesion_comes_back_within_half_a_voxel(code, transform):
    image, affine = make_image(), make_affine(code)
    check_near(send(image, affine, **MIXING[transform]), image, affine)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("code", ["LPS", "PIR", "SRA"])
@pytest.mark.parametrize("tilt", [0.0, TILT], ids=["upright", "tilted"])
def test_a_lesion_comes_back_from_every_orientation_that_can_be_asked_for(code, target, tilt):
    image, affine = make_image(), make_affine(code, tilt=tilt)
    volume = send(image, affine, orientation=target, size=(24, 24, 24))
    assert compute_orientation(volume.affine) == target
    check_exact(volume, image, affine)


@pytest.mark.parametrize("code", CODES)
def test_a_lesion_that_a_crop_leaves_whole_comes_back_voxel_for_voxel(code):
    # Cropped in the middle: the lesion lies within, and touches no side of the source.
    image, affine = make_image(lesion=(slice(9, 13), slice(6, 9), slice(5, 8))), make_affine(code)
    volume = send(image, affine, orientation=None, size=(12, 11, 9))
    check_exact(volume, image, affine, lesion=(slice(9, 13), slice(6, 9), slice(5, 8)))


@pytest.mark.parametrize("code", CODES)
def test_a_lesion_that_was_cropped_away_comes_back_nowhere(code):
    image, affine = make_image(), make_affine(code)
    image[9, 8, 6] = 150  # An image of one value only is refused.
    volume = send(image, affine, orientation=None, size=(4, 4, 4))
    assert not (bring_back(volume, image, affine) > 550).any()


FLIPPING = """
    def turn(array, affine):
        moved = affine.copy()
        moved[:3, {axis}] *= -1
        moved[:3, 3] += affine[:3, {axis}] * (array.shape[{axis}] - 1)
        return array[{index}], moved
    """


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR", "SRA", "ILA"])
def test_a_lesion_comes_back_through_a_plug_in_that_flips(tmp_path, code, axis):
    index = ", ".join("::-1" if n == axis else ":" for n in range(3))
    name = write_plugin(tmp_path, FLIPPING.format(axis=axis, index=index))
    image, affine = make_image(), make_affine(code)
    with contextlib.chdir(tmp_path):
        volume = send(image, affine, orientation=None, size=(20, 20, 20), plugins=(f"{name}:turn",))
    check_exact(volume, image, affine)


FLAT = (slice(12, 16), slice(3, 6), slice(0, 1))


@pytest.mark.parametrize("changes", [{"size": (24, 24, 1)}, {"size": (18, 15, 1)}], ids=str)
@pytest.mark.parametrize("code", CODES)
def test_a_lesion_of_a_single_slice_comes_back_to_it(code, changes):
    image, affine = make_image((20, 17, 1), lesion=FLAT), make_affine(code)
    check_exact(send(image, affine, spatial_dims=2, **changes), image, affine, lesion=FLAT)


@pytest.mark.parametrize("code", CODES)
def test_a_lesion_of_a_resized_single_slice_comes_back_within_half_a_voxel(code):
    image, affine = make_image((20, 17, 1), lesion=FLAT), make_affine(code)
    volume = send(image, affine, spatial_dims=2, sizing="resize", size=(30, 13, 1))
    check_near(volume, image, affine, lesion=FLAT)


@pytest.mark.parametrize("fault", ["flipped", "swapped", "shifted", "upright"])
def test_a_wrong_affine_is_found(fault):
    image, affine = make_image(), make_affine("LPS")
    volume = send(image, affine, **KEEPING["orientation"])
    wrong = volume.affine.copy()
    if fault == "flipped":
        wrong[:3, 3] += wrong[:3, 0] * (volume.array.shape[1] - 1)
        wrong[:3, 0] *= -1
    if fault == "swapped":
        wrong[:3, [0, 1]] = wrong[:3, [1, 0]]
    if fault == "shifted":
        wrong[:3, 3] += wrong[:3, 2]
    if fault == "upright":
        wrong[:3, :3] = make_affine("RAS", tilt=0)[:3, :3]
    for check in (check_exact, check_near):
        with pytest.raises(AssertionError):
            check(type(volume)(volume.array, wrong), image, affine)


OBLIQUE = tuple(float(x) for x in turn()[:, :2].T.reshape(-1))


def plant(plan):
    """Put a lesion into a plan's stored pixels; return the places (k, row, column) from 1."""
    plan.volume[:] = 1100
    plan.volume[6:8, 1:3, 5:7] = 3000
    return {(k, row, column) for k in (5, 6) for row in (2, 3) for column in (7, 8)}


@pytest.mark.parametrize("tilt", ["keep", "resample"])
@pytest.mark.parametrize("step", [2.5, -2.5], ids=["along", "against"])
def test_a_lesion_of_tilted_dicom_files_comes_back_to_its_own_pixels(tmp_path, tilt, step):
    plan = Plan(make_volume((12, 10, 9)), orientation=OBLIQUE, step=step)
    # A gantry tilt leans the stack along the columns: by 0.4 rows a slice.
    plan.shear = tuple(0.28 * np.array(OBLIQUE[3:]))
    wanted = plant(plan)
    write_series(tmp_path / "in", plan)
    result = ingest(tmp_path / "in", tmp_path / "out", tilt=tilt)
    assert follow(result) == wanted


def test_a_lesion_of_a_multi_frame_object_comes_back_to_its_own_frames(tmp_path):
    plan, order = Plan(make_volume((12, 10, 9)), orientation=OBLIQUE), [4, 8, 0, 2, 6, 1, 3, 7, 5]
    wanted = {(order.index(k), row, column) for k, row, column in plant(plan)}
    (tmp_path / "in").mkdir()
    dataset = build_enhanced(plan, order=order)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.PixelValueTransformationSequence[0].RescaleSlope = 1
        frame.PixelValueTransformationSequence[0].RescaleIntercept = 0
    dataset.save_as(tmp_path / "in" / "one", enforce_file_format=True)
    result = ingest(tmp_path / "in", tmp_path / "out")
    (row,) = result.manifest
    found = follow(result, by_frame=True)
    assert row["n_files"] == "1"
    assert found == wanted


def follow(result, *, by_frame=False):
    """Preprocess an ingested image, lead it back, and trace what is bright to stored pixels."""
    (row,) = result.manifest
    image, affine = result.load(row)
    image = image.astype(np.float32)
    volume = send(image, affine, size=(24, 24, 24))
    back = bring_back(volume, image, affine)
    planes = parse_planes(read_json(result.layout.sidecar(row["image_id"])))
    names = Pseudonymiser(bytes.fromhex(KEY))
    uids = [names.uid(f"1.2.3.1.1.{k + 1}") for k in range(image.shape[2])]
    found = set()
    for voxel in np.argwhere(back > (back.max() + np.median(image)) / 2):
        origins = trace_voxel(planes, tuple(int(n) for n in voxel))
        for origin in origins:
            place = origin.frame - 1 if by_frame else uids.index(origin.sop_uid)
            found.add((place, round(origin.row), round(origin.column)))
    return found
