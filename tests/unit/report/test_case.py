"""Claims on cases: slice by rule, bounded size, honest captions."""

from dataclasses import replace

import numpy as np
from reports import make_grids

from medvision.report.case import build_case_view, choose_key_slice


def test_the_lesion_chooses_the_slice() -> None:
    view = build_case_view("sub-0_img-0", make_grids(0))
    mask = make_grids(0).mask
    assert mask is not None
    assert view.facts.key_slice == int(mask.sum(axis=(0, 1)).argmax()) + 1
    assert "lesion" in view.facts.rule
    assert view.outlines[view.key]


def test_without_a_mask_the_largest_value_chooses_the_slice() -> None:
    maps = {"a": np.zeros((4, 3, 3), dtype=np.float32)}
    maps["a"][2, 1, 1] = -9
    maps["a"][1, 1, 1] = 5
    assert choose_key_slice(maps, None)[0] == 2
    assert choose_key_slice(maps, np.zeros((4, 3, 3), dtype=bool))[0] == 2
    assert choose_key_slice({}, None)[0] == 0


def test_a_large_volume_stays_small_and_says_so() -> None:
    grids = make_grids(1, shape=(200, 180, 60))
    view = build_case_view("sub-0_img-0", grids)
    assert view.facts.reduction == 2
    assert view.facts.key_slice in view.facts.shown
    assert len(view.facts.shown) < view.facts.n_slices == 60
    assert len(view.base) + sum(map(len, view.overlays.values())) < 800_000


def test_a_flat_image_without_mask_has_one_slice() -> None:
    grids = make_grids(2, shape=(64, 48, 1), masked=False)
    view = build_case_view("sub-0_img-0", replace(grids, has_geometry=False, window=None))
    assert view.facts.shown == (1,)
    assert not view.facts.has_mask
    assert view.edges == ("", "", "", "")


def test_slices_keep_their_shape_in_mm() -> None:
    grids = replace(make_grids(0), affine=np.diag([2.0, 4.0, 9.0, 1.0]))
    assert build_case_view("sub-0_img-0", grids).aspect == (64 * 2) / (64 * 4)


def test_an_empty_map_has_no_overlay() -> None:
    grids = make_grids(0)
    empty = {**grids.maps, "occlusion": np.zeros_like(grids.image)}
    view = build_case_view("sub-0_img-0", replace(grids, maps=empty))
    assert "occlusion" not in view.overlays
    assert view.facts.scales["occlusion"] == 0


def test_equal_arrays_give_equal_pictures() -> None:
    first, second = (build_case_view("sub-0_img-0", make_grids(3)) for _ in range(2))
    assert first.base == second.base
    assert first.overlays == second.overlays
