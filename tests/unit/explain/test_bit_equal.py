"""A map has the same bytes on one thread and on two, and whatever is explained beside it."""

import pytest
import torch
from explain_nets import make_settings

from medvision.explain.methods import attribute
from medvision.explain.network import canonicalise, reference_precision
from medvision.learn.backbones import build_backbone, gradcam_layer

METHODS = ("integrated_gradients", "layer_gradcam")
SHAPES = {2: (48, 40), 3: (32, 28, 20)}


@pytest.fixture(params=[("small", 3), ("small", 2)], ids=lambda p: f"{p[0]}-{p[1]}D")
def scene(request):
    backbone, dims = request.param
    torch.manual_seed(0)
    network = build_backbone(backbone, spatial_dims=dims, channels=1, n_classes=2)
    twin = canonicalise(network, device=torch.device("cpu")).network
    return twin, gradcam_layer(backbone), torch.rand(3, 1, *SHAPES[dims])


def make(scene, method, *, place, threads=1):
    network, layer, images = scene
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with reference_precision():
            return attribute(
                network,
                images[place : place + 1],
                method=method,
                target=1,
                layer=layer,
                settings=make_settings(baseline="blur", completeness=0.01),
                seed=0,
            ).grid
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", METHODS)
def test_one_thread_and_two_give_the_same_bytes(scene, method):
    one, two = (make(scene, method, place=0, threads=n) for n in (1, 2))
    assert one.any()
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_the_place_among_others_and_what_went_before_change_no_byte(scene, method):
    network, layer, images = scene
    first = make(scene, method, place=2)
    turned = (network, layer, images.flip(0).clone())
    make(turned, method, place=1)
    assert first.tobytes() == make(turned, method, place=0).tobytes()
