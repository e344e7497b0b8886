"""Claims on pictures drawn again from raw maps: the same pixels, and planted faults found."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from reports import make_grids, make_sources

from medvision.report.case import CaseGrids, build_case_view
from medvision.report.explanation import build_explanation
from medvision.report.figure_case import draw_case
from medvision.report.key_layers import KeptLayers, compare_pictures, keep_layers, rebuild_view

CASE = build_explanation(make_sources(explained=1), confidence=0.95).cases[0]
IMAGE = "sub-0_img-0"


def report(grids: CaseGrids) -> tuple[KeptLayers, bytes]:
    view = build_case_view(IMAGE, grids)
    kept = keep_layers(view)
    through_json = json.loads(json.dumps(kept.parameters, sort_keys=True))
    return replace(kept, parameters=through_json), draw_case(CASE, view).png


def judge(kept: KeptLayers, picture: bytes, grids: CaseGrids) -> list[str]:
    maps = {name: grids.maps[name] for name in kept.parameters["scales"]}
    view, faults = rebuild_view(kept, maps, grids.affine, has_geometry=grids.has_geometry)
    fault = compare_pictures(picture, draw_case(CASE, view).png, is_exact=True)
    return [*faults, *([fault] if fault else [])]


@pytest.mark.parametrize(
    "grids",
    [
        make_grids(0),
        make_grids(1, shape=(200, 180, 20)),
        make_grids(2, masked=False),
        replace(make_grids(2, shape=(64, 48, 1), masked=False), has_geometry=False),
    ],
    ids=["lesion", "reduced", "no mask", "flat"],
)
def test_a_picture_drawn_again_from_its_raw_maps_is_equal_to_the_pixel(grids: CaseGrids) -> None:
    assert judge(*report(grids), grids) == []


def test_the_pages_own_pictures_come_out_the_same_from_the_raw_maps() -> None:
    grids = make_grids(1, shape=(200, 180, 20))
    drawn = build_case_view(IMAGE, grids)
    kept = keep_layers(drawn)
    maps = {name: grids.maps[name] for name in drawn.facts.scales}
    view, _ = rebuild_view(kept, maps, grids.affine, has_geometry=True)
    assert view.overlays == drawn.overlays
    assert view.base == drawn.base


def test_layers_that_do_not_fit_the_maps_are_refused() -> None:
    grids = make_grids(0)
    kept, _ = report(grids)
    for shown in ([0], [99], [3, 2], []):
        forged = replace(kept, parameters={**kept.parameters, "shown": shown})
        with pytest.raises((ValueError, IndexError)):
            judge(forged, b"", grids)


def test_one_patch_painted_over_is_found() -> None:
    kept, picture = report(make_grids(0))
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA")).copy()
    pixels[100:106, 100:106] = (242, 84, 20, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    assert "pixels that differ" in judge(kept, stream.getvalue(), make_grids(0))[0]


def test_a_map_whose_values_were_changed_is_found() -> None:
    grids = make_grids(0)
    kept, picture = report(grids)
    key = kept.parameters["key_slice"] - 1
    doctored = grids.maps["occlusion"].copy()
    doctored[:, :, key] *= -1
    maps = {**grids.maps, "occlusion": doctored}
    assert judge(kept, picture, replace(grids, maps=maps))


def test_a_scale_that_does_not_follow_from_the_map_is_named() -> None:
    grids = make_grids(0)
    kept, picture = report(grids)
    scales = {**kept.parameters["scales"], "occlusion": 9.0}
    forged = replace(kept, parameters={**kept.parameters, "scales": scales})
    assert any(fault.startswith("scales must follow") for fault in judge(forged, picture, grids))


def test_the_pictures_of_two_cases_exchanged_are_found() -> None:
    (kept, _), (_, other) = report(make_grids(0)), report(make_grids(3))
    assert judge(kept, other, make_grids(0))


def test_another_font_renderer_is_allowed_for_and_a_large_patch_is_not() -> None:
    plain = np.full((100, 100, 4), 255, dtype=np.uint8)
    faint, large = plain.copy(), plain.copy()
    faint[:, :50, 0] -= 20
    large[:20, :20, 0] = 0

    def encode(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="PNG")
        return stream.getvalue()

    assert compare_pictures(encode(plain), encode(faint), is_exact=False) is None
    assert compare_pictures(encode(plain), encode(faint), is_exact=True)
    assert compare_pictures(encode(plain), encode(large), is_exact=False)
