"""A network with an entrance is explained as one without: in the study's own grey images."""

import numpy as np
import pytest
import torch

from medvision.domain.network_form import NetworkForm
from medvision.explain.network import canonicalise, compute_certificate
from medvision.explain.sanity import randomise_weights
from medvision.learn.backbones import build_backbone, gradcam_layer
from medvision.runtime.checkpoint import ModelMeta, load_model, save_model

IMAGENET = NetworkForm((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FORMS = {
    "colours": (2, IMAGENET),
    "folded": (2, NetworkForm((0.5,) * 3, (0.5,) * 3, norm="folded")),
    "planes": (3, NetworkForm((0.5,), (0.5,), convolution="acs")),
}
SIZE = (40, 33, 24)


def build(kind, backbone="mobilenet_v2"):
    dims, form = FORMS[kind]
    torch.manual_seed(0)
    network = build_backbone(backbone, spatial_dims=dims, channels=1, n_classes=2, form=form)
    return network.eval(), torch.rand(2, 1, *SIZE[:dims])


@pytest.mark.parametrize("kind", FORMS)
def test_a_sealed_network_answers_as_it_did_when_it_was_trained(kind, tmp_path):
    network, images = build(kind)
    dims, form = FORMS[kind]
    meta = ModelMeta("mobilenet_v2", dims, 1, ("a", "b"), "0", form)
    save_model(tmp_path / "m.safetensors", network.state_dict(), meta=meta)
    loaded, _ = load_model(tmp_path / "m.safetensors", build=build_backbone)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


@pytest.mark.parametrize("kind", FORMS)
def test_the_canonical_copy_keeps_the_entrance(kind):
    network, images = build(kind)
    twin = canonicalise(network, device=torch.device("cpu"))
    assert twin.rewrites == ()
    assert compute_certificate(network, twin.network, batch=images) == 0


@pytest.mark.parametrize("depth", ["top", "full"])
@pytest.mark.parametrize("kind", FORMS)
def test_random_weights_leave_the_entrance_as_it_is(kind, depth):
    network, images = build(kind)
    twin = randomise_weights(network, depth=depth, seed=0)
    assert torch.equal(twin.entrance.mean, network.entrance.mean)
    with torch.no_grad():
        assert not torch.allclose(twin(images), network(images))


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "mobilenet_v2"])
def test_the_grey_images_attribution_is_that_of_its_copies_added_up(backbone):
    from captum.attr import IntegratedGradients

    network, images = build("colours", backbone)
    torch.manual_seed(0)
    plain = build_backbone(backbone, spatial_dims=2, channels=3, n_classes=2).eval()
    plain.load_state_dict(network.state_dict())
    # In float64, since rounding decides which of two equal cells a pooling takes.
    network, plain, images = network.double(), plain.double(), images.double()
    baseline = torch.full_like(images, 0.3)
    # The entrance is affine: both run along the same straight path.
    found = IntegratedGradients(network).attribute(images, baseline, target=1)
    copies = IntegratedGradients(plain).attribute(
        network.entrance(images), network.entrance(baseline), target=1
    )
    expected = copies.sum(1, keepdim=True).detach()
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("backbone", ["squeezenet1_1", "mobilenet_v2"])
def test_gradcam_finds_its_layer(backbone):
    from captum.attr import LayerGradCam

    network, images = build("colours", backbone)
    layer = network.get_submodule(gradcam_layer(backbone))
    assert LayerGradCam(network, layer).attribute(images, target=1).isfinite().all()
