"""Captum's methods against closed forms and plain loops."""

import itertools

import numpy as np
import pytest
import torch
from explain_nets import Detector, Linear, Tiny, make_settings
from torch import nn

from medvision.errors import ExplanationError
from medvision.explain.methods import METHODS, STEP_LIMIT, attribute
from medvision.explain.network import canonicalise

CPU = torch.device("cpu")


class Steep(nn.Module):
    """A step in the sum of the image, as steep as asked."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        score = 10 * torch.sigmoid(self.slope * (x.flatten(1).mean(1) - 0.37))
        return torch.stack([-score, score], dim=1)


def run(network, image, *, method, target=1, layer="act", **changes):
    twin = canonicalise(network, device=CPU).network
    settings = make_settings(**changes)
    return attribute(
        twin, image, method=method, target=target, layer=layer, settings=settings, seed=11
    )


@pytest.mark.parametrize("shape", [(1, 2, 8, 7, 6), (1, 3, 8, 7)])
def test_integrated_gradients_of_a_linear_model_are_weight_times_image(shape):
    torch.manual_seed(0)
    image, weight = torch.randn(shape), torch.randn(shape[1:])
    found = run(Linear(weight), image, method="integrated_gradients", baseline=0.25)
    expected = (weight * (image[0] - 0.25)).sum(0).numpy()
    assert found.grid.shape == (*shape[2:], 1)[:3]
    np.testing.assert_allclose(found.grid.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    assert found.completeness_error == pytest.approx(0, abs=1e-3)
    assert found.output_difference == pytest.approx(float(expected.sum()), rel=1e-4, abs=1e-4)


def test_integrated_gradients_keep_the_sign_of_the_other_class():
    image, weight = torch.rand(1, 1, 4, 4, 4), torch.rand(1, 4, 4, 4)
    mine = run(Linear(weight), image, method="integrated_gradients", target=1)
    other = run(Linear(weight), image, method="integrated_gradients", target=0)
    np.testing.assert_allclose(mine.grid, -other.grid, rtol=1e-5)
    assert (other.grid < 0).all()


def test_steps_are_added_until_the_sum_is_complete():
    image = torch.full((1, 1, 4, 4, 4), 0.9)
    found = run(Steep(120.0), image, method="integrated_gradients")
    assert 8 < found.parameters["steps"] <= 8 * STEP_LIMIT
    assert found.completeness_error <= found.parameters["completeness_gate"]
    assert found.grid.sum() == pytest.approx(found.output_difference, rel=0.05)


def test_steps_stop_at_the_limit_and_the_error_is_told():
    image = torch.full((1, 1, 4, 4, 4), 0.9)
    found = run(Steep(1e9), image, method="integrated_gradients")
    assert found.parameters["steps"] == 8 * STEP_LIMIT
    assert found.completeness_error > found.parameters["completeness_gate"]


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_gradcam_is_the_weighted_sum_of_channels_on_the_layers_grid(spatial_dims):
    network = Tiny(spatial_dims=spatial_dims).eval()
    image = torch.randn(1, 1, *[16] * spatial_dims)
    found = run(network, image, method="layer_gradcam", layer="second", target=0)
    with torch.no_grad():
        before = network.second(torch.relu(network.norm(network.first(image))))
        # The head sees means of rectified cells: gradients reach the positive cells alone.
        gradient = network.head.weight[0].reshape(1, -1, *[1] * spatial_dims) * (before > 0)
        gradient = gradient / before[0, 0].numel()
        weight = gradient.mean(dim=tuple(range(2, before.ndim)), keepdim=True)
        expected = (weight * before).sum(1)[0].numpy()
    np.testing.assert_allclose(found.native.reshape(expected.shape), expected, rtol=1e-3, atol=1e-6)
    assert found.native.min() < 0, "the sign is kept"
    assert found.parameters["native_shape"] == [4, 4, 4][:spatial_dims] + [1] * (3 - spatial_dims)
    assert found.layer == "second"


def test_gradcam_after_an_in_place_activation_equals_the_one_without():
    network = Tiny().eval()
    image = torch.randn(1, 1, 16, 16, 16)
    plain = Tiny().eval()
    plain.act = nn.ReLU()
    found = run(network, image, method="layer_gradcam", layer="second")
    expected = run(plain, image, method="layer_gradcam", layer="second")
    np.testing.assert_array_equal(found.native, expected.native)


def slow_occlusion(network, image, *, window, stride, baseline, target):
    """Each window in turn; a voxel gets the mean over the windows that cover it."""
    axes = image.shape[2:]
    total, count = np.zeros(axes), np.zeros(axes)
    starts = [
        range(0, -(-max(n - w, 0) // s) * s + 1, s)
        for n, w, s in zip(axes, window, stride, strict=True)
    ]
    with torch.no_grad():
        whole = network(image)[0, target]
        for start in itertools.product(*starts):
            box = tuple(slice(a, a + w) for a, w in zip(start, window, strict=True))
            occluded = image.clone()
            occluded[(0, slice(None), *box)] = baseline
            total[box] += float(whole - network(occluded)[0, target])
            count[box] += 1
    return total / count


@pytest.mark.parametrize("shape", [(1, 2, 11, 9), (1, 1, 9, 8, 7)])
def test_occlusion_is_the_mean_fall_of_the_windows_over_a_voxel(shape):
    torch.manual_seed(1)
    image, network = torch.randn(shape), Linear(torch.randn(shape[1:]))
    found = run(
        network,
        image,
        method="occlusion",
        occlusion_window=(4, 3, 5),
        occlusion_stride=(3, 2, 4),
        baseline=0.5,
    )
    n = len(shape) - 2
    expected = slow_occlusion(
        network, image, window=(4, 3, 5)[:n], stride=(3, 2, 4)[:n], baseline=0.5, target=1
    )
    np.testing.assert_allclose(found.grid.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4)


def test_windows_larger_than_the_image_are_clipped_to_it():
    image = torch.rand(1, 1, 6, 5, 2)
    found = run(
        Linear(torch.ones(1, 6, 5, 2)),
        image,
        method="occlusion",
        occlusion_window=(12, 12, 6),
        occlusion_stride=(6, 6, 3),
    )
    assert found.parameters["window"] == [6, 5, 2]
    np.testing.assert_allclose(found.grid, float(image.sum()), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_bit_equal_when_computed_again(method):
    image = torch.randn(1, 1, 16, 16, 16)
    first, again = (run(Tiny(), image, method=method, layer="second") for _ in range(2))
    assert first.grid.tobytes() == again.grid.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_says_nothing_gives_an_empty_map(method):
    network = Detector()
    nn.init.zeros_(network.head.weight)
    assert not run(network, torch.rand(1, 1, 8, 8, 8), method=method).grid.any()


def test_a_network_with_nan_is_refused():
    network = Tiny()
    nn.init.constant_(network.head.bias, float("nan"))
    with pytest.raises(ExplanationError, match="must be finite"):
        run(network, torch.rand(1, 1, 16, 16, 16), method="occlusion")


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(ExplanationError, match="integrated_gradients, kernel_shap, layer_gradcam"):
        run(Tiny(), torch.rand(1, 1, 16, 16, 16), method="lrp")


@pytest.mark.parametrize(("layer", "rule"), [("nowhere", "a module of"), ("head", "a grid of 3")])
def test_a_layer_without_a_grid_is_refused(layer, rule):
    with pytest.raises(ExplanationError, match=rule):
        run(Tiny(), torch.rand(1, 1, 16, 16, 16), method="layer_gradcam", layer=layer)
