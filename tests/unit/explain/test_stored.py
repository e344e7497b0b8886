"""A share that was stored and read again is what it was, also in memory."""

import json

import numpy as np
import torch
from explain_nets import Detector
from explain_runs import CLASSES, SETTINGS, load_image, make_predictions

from medvision.domain.labels.rows import Classes
from medvision.explain.bench import Hands
from medvision.explain.case import Trained
from medvision.explain.stored import _load_grid, _store_grid, load_share, store_share
from medvision.explain.study import draw_brief, explain_share


def test_a_share_comes_back_as_it_was() -> None:
    network = Detector(3)
    hands = Hands(
        load_image=load_image,
        load_network=lambda _: Trained(network, CLASSES, "cells"),
        save_map=lambda *_, **__: "digest",
        device=torch.device("cpu"),
    )
    changes = {"images": 2, "stability_images": 1, "cascade_images": 1}
    brief = draw_brief(make_predictions(), Classes(CLASSES, "nodule"), **{**SETTINGS, **changes})
    share = explain_share(brief, hands=hands)
    value, grids = store_share(share)
    again = load_share(json.loads(json.dumps(value)), lambda number: grids[number])
    assert (again.networks, again.consistency) == (share.networks, share.consistency)
    for one, other in zip(share.finished, again.finished, strict=True):
        assert (one.written, one.spacing_mm, one.diameters_mm) == (
            other.written,
            other.spacing_mm,
            other.diameters_mm,
        )
        a, b = one.explained, other.explained
        assert (a.case, a.refusals, a.checks, a.similarities) == (
            b.case,
            b.refusals,
            b.checks,
            b.similarities,
        )
        for held, read in ((a.sanity_maps, b.sanity_maps), (a.control_maps, b.control_maps)):
            assert list(held) == list(read)
            for name in held:
                np.testing.assert_array_equal(held[name], read[name])
        for method, shown in a.attributions.items():
            np.testing.assert_array_equal(shown.grid, b.attributions[method].grid)
            assert shown.parameters == b.attributions[method].parameters
            assert (shown.native is None) == (b.attributions[method].native is None)


def test_a_map_keeps_the_order_of_its_axes_in_memory() -> None:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for axes in ((0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)):
        grid = base.transpose(axes)
        grids: list[np.ndarray] = []
        place = _store_grid(grid, grids)
        assert grids[0].flags.c_contiguous
        again = _load_grid(json.loads(json.dumps(place)), grids.__getitem__)
        np.testing.assert_array_equal(again, grid)
        assert again.strides == grid.strides
