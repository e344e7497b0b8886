"""Claims on the volumes of the page: values, sign and place kept, bounded size, no name."""

import base64
import gzip
import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from reports import make_grids

from medvision.report import viewer
from medvision.report.viewer import (
    Library,
    ViewerRoom,
    build_colours,
    encode_volumes,
    read_library,
)

LIBRARY = Library(version="1", script="c2NyaXB0", licence="a licence")
WINDOW = (-1000.0, 200.0)


def decode(packed: str) -> Nifti1Image:
    return Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(packed)))


def test_values_come_back_within_the_rounding_that_is_stated() -> None:
    grids = make_grids(0)
    volumes = encode_volumes(grids, window=WINDOW)
    image = decode(volumes.image).get_fdata()
    step = float(np.ptp(grids.image)) / 65_535
    assert np.abs(image - grids.image).max() <= 0.51 * step + 1e-3
    for name, packed in volumes.maps.items():
        step = volumes.scales[name] / 1000
        held = decode(packed).get_fdata()
        assert np.abs(held - grids.maps[name]).max() <= 0.51 * step
        assert held.min() < 0 < held.max()


def test_whole_intensities_come_back_as_they_are() -> None:
    grids = replace(make_grids(0), image=np.rint(make_grids(0).image))
    assert np.array_equal(
        decode(encode_volumes(grids, window=WINDOW).image).get_fdata(), grids.image
    )


def test_zero_stays_zero_and_an_empty_map_has_no_volume() -> None:
    grids = make_grids(0)
    half = grids.maps["occlusion"].copy()
    half[:32] = 0
    maps = {"occlusion": half, "saliency": np.zeros_like(half)}
    volumes = encode_volumes(replace(grids, maps=maps), window=WINDOW)
    assert set(volumes.maps) == {"occlusion"}
    assert not decode(volumes.maps["occlusion"]).get_fdata()[:32].any()


def test_a_volume_keeps_its_place_and_names_nobody() -> None:
    affine = np.array([[0.9, 0.1, 0, -20], [-0.1, 0.9, 0.2, 4], [0, -0.2, 2.4, 7], [0, 0, 0, 1.0]])
    held = decode(encode_volumes(replace(make_grids(0), affine=affine), window=WINDOW).image)
    assert np.allclose(held.affine, affine, atol=1e-5)
    assert bytes(held.header["descrip"]).strip(b"\0") == b""
    assert bytes(held.header["db_name"]).strip(b"\0") == b""


def test_equal_arrays_give_equal_volumes() -> None:
    assert encode_volumes(make_grids(3), window=WINDOW) == encode_volumes(
        make_grids(3), window=WINDOW
    )


def test_volumes_beyond_the_room_are_left_out_and_counted() -> None:
    one = encode_volumes(make_grids(0), window=WINDOW).n_bytes
    room = ViewerRoom(2.5 * one / 1e6, library=LIBRARY)
    for n in range(3):
        room.add(f"image-{n}", make_grids(0), window=WINDOW)
    held = room.close()
    assert (list(held.volumes), held.n_left_out) == (["image-0", "image-1"], 1)


def test_an_image_one_voxel_thick_is_no_volume_and_none_is_missed() -> None:
    room = ViewerRoom(9, library=LIBRARY)
    room.add("flat", make_grids(2, shape=(64, 48, 1)), window=WINDOW)
    assert not room.close().is_there
    assert room.close().n_left_out == 0


@pytest.mark.parametrize(("viewer_mb", "library"), [(0, LIBRARY), (9, None)])
def test_without_room_or_package_there_is_no_viewer(
    viewer_mb: float, library: Library | None
) -> None:
    room = ViewerRoom(viewer_mb, library=library)
    room.add("image", make_grids(0), window=WINDOW)
    assert not room.close().is_there
    assert room.close().n_left_out == 0


def test_a_missing_package_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(viewer, "distribution", raise_missing)
    assert read_library() is None


def test_the_viewers_colours_are_those_of_the_pictures() -> None:
    colours = build_colours()
    for side in colours.values():
        assert side["A"][0] == 0
        assert side["I"][0] == 0
        assert side["I"][-1] == 255
    assert colours["for"]["R"][-1] > colours["for"]["B"][-1]
    assert colours["against"]["B"][-1] > colours["against"]["R"][-1]


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)], ids=["RAS", "LAS", "RPI"])
def test_the_cross_starts_at_the_same_place_whichever_way_the_axes_run(
    flips: tuple[int, int, int],
) -> None:
    grids = make_grids(0)
    peak = np.zeros_like(grids.image)
    peak[40, 10, 20] = -3.0
    turned = peak[tuple(slice(None, None, step) for step in flips)]
    held = replace(grids, maps={"a": turned}, mask=None, affine=np.diag([*flips, 1.0]))
    volumes = encode_volumes(held, window=WINDOW)
    assert volumes.start == pytest.approx((40.5 / 64, 10.5 / 64, 20.5 / 24))
    assert not volumes.is_in_lesion


def test_where_there_is_a_lesion_the_cross_starts_within_it() -> None:
    grids = replace(make_grids(0), affine=np.eye(4))
    volumes = encode_volumes(grids, window=WINDOW)
    assert grids.mask is not None
    i, j, k = (int(s * n) for s, n in zip(volumes.start, grids.mask.shape, strict=True))
    assert grids.mask[i, j, k] > 0
    assert volumes.is_in_lesion
