"""Occlusion from coarse to fine against Captum's, plain loops and closed forms."""

import numpy as np
import pytest
import torch
from explain_nets import Detector, Linear, Tiny, make_lesion_image, make_settings

from medvision.explain.methods import attribute
from medvision.explain.methods.coarse import build_lattice, search_falls, spread_falls
from medvision.explain.methods.scene import open_scene
from medvision.explain.network import canonicalise

CPU = torch.device("cpu")
BOXES = {"occlusion_window": (4, 4, 4), "occlusion_stride": (2, 2, 2)}


def occlude(network, image, **changes):
    twin = canonicalise(network, device=CPU).network
    settings = make_settings(**{**BOXES, **changes})
    return attribute(
        twin, image, method="occlusion", target=1, layer="act", settings=settings, seed=3
    )


@pytest.mark.parametrize("shape", [(1, 2, 11, 9), (1, 1, 9, 8, 7)])
def test_a_search_of_every_box_is_captums_map(shape):
    torch.manual_seed(2)
    image = torch.randn(shape)
    twin = canonicalise(Linear(torch.randn(shape[1:])), device=CPU).network
    settings = make_settings(occlusion_window=(4, 3, 5), occlusion_stride=(3, 2, 4))
    scene = open_scene(twin, image, target=1, layer="act", settings=settings, seed=0)
    grid_shape = (*shape[2:], 1)[:3]
    window, stride = ((4, 3, 1), (3, 2, 1)) if len(shape) == 4 else ((4, 3, 5), (3, 2, 4))
    lattice = build_lattice(grid_shape, window=window, stride=stride)
    falls, n = search_falls(scene, lattice, share=1.0)
    captum = attribute(
        twin, image, method="occlusion", target=1, layer="act", settings=settings, seed=0
    )
    assert n == falls.size == captum.parameters["boxes"] == captum.parameters["boxes_computed"]
    found = spread_falls(falls, lattice, shape=grid_shape)
    np.testing.assert_allclose(found, captum.grid, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("length", "size", "step"), [(12, 4, 2), (11, 4, 3), (4, 4, 4), (7, 3, 3)])
def test_boxes_cover_every_voxel_and_none_lies_outside(length, size, step):
    lattice = build_lattice((length, 1, 1), window=(size, 1, 1), stride=(step, 1, 1))
    covered = {v for n in lattice.starts[0] for v in range(n, min(n + size, length))}
    assert covered == set(range(length))
    assert all(start < length for start in lattice.starts[0])


@pytest.mark.parametrize(("spatial_dims", "share"), [(2, 1 / 2), (3, 1 / 3)])
def test_a_part_of_the_boxes_finds_the_lesion_that_all_of_them_find(spatial_dims, share):
    array, _ = make_lesion_image(5, spatial_dims=spatial_dims)
    image = torch.from_numpy(array)[None]
    network = Detector(spatial_dims=spatial_dims)
    whole, part = occlude(network, image), occlude(network, image, occlusion_share=share)
    assert part.parameters["boxes"] == whole.parameters["boxes"]
    assert part.parameters["boxes_computed"] <= round(part.parameters["boxes"] * share)
    assert np.argmax(part.grid) == np.argmax(whole.grid)
    difference = np.linalg.norm(part.grid - whole.grid) / np.linalg.norm(whole.grid)
    assert 0 < difference < 0.5


def test_the_boxes_not_computed_are_linear_between_those_that_are():
    # The fall of a box is the sum of its voxels: linear where the image is a ramp.
    ramp = torch.linspace(0, 1, 16).reshape(1, 1, 16, 1, 1).expand(1, 1, 16, 16, 16)
    network = Linear(torch.ones(1, 16, 16, 16))
    whole, few = occlude(network, ramp), occlude(network, ramp, occlusion_share=0.01)
    assert few.parameters["boxes_computed"] == 4**3
    np.testing.assert_allclose(few.grid, whole.grid, rtol=1e-3)


def test_more_boxes_come_nearer_to_all_of_them():
    torch.manual_seed(4)
    image, network = torch.randn(1, 1, 16, 16, 16), Tiny()
    whole = occlude(network, image).grid
    misses = [
        np.linalg.norm(occlude(network, image, occlusion_share=share).grid - whole)
        for share in (0.2, 0.5, 0.8, 0.999)
    ]
    assert misses == sorted(misses, reverse=True)
    assert misses[-1] < 0.05 * np.linalg.norm(whole)
