"""Each method against a closed form, or against a slow and plain version of its paper."""

import itertools
import math

import numpy as np
import pytest
import torch
from explain_nets import Linear, Tiny, make_settings
from torch import nn
from torch.nn import functional

from medvision.explain.methods import attribute
from medvision.explain.network import canonicalise
from medvision.explain.supervoxels import cut_supervoxels

CPU = torch.device("cpu")
SHAPES = [(1, 2, 8, 7, 6), (1, 3, 8, 7)]
SEED = 11
TARGET = 1


def run(network, image, *, method, layer="second", seed=SEED, target=TARGET, **changes):
    twin = canonicalise(network.eval(), device=CPU).network
    return attribute(
        twin,
        image,
        method=method,
        target=target,
        layer=layer,
        settings=make_settings(**changes),
        seed=seed,
    )


def gradient(network, image, target=TARGET):
    x = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(network.eval()(x)[:, target].sum(), x)
    return found


def assert_map(found, expected, *, rtol=1e-4, atol=1e-6):
    """Compare with a map (1, C, ...), channels added up."""
    values = expected[0].sum(0).detach().numpy()
    np.testing.assert_allclose(found.grid.reshape(values.shape), values, rtol=rtol, atol=atol)


@pytest.fixture(params=[2, 3])
def case(request):
    """A small network with ReLU and an image, in 2D and in 3D."""
    dims = request.param
    network = Tiny(spatial_dims=dims).eval()
    nn.init.normal_(network.norm.running_mean)
    return network, torch.rand(1, 1, *[16] * dims)


@pytest.mark.parametrize("shape", SHAPES)
def test_on_a_linear_network_every_method_is_exact(shape):
    torch.manual_seed(0)
    image, weight, baseline = torch.randn(shape), torch.randn(shape[1:]), 0.25
    network, change = Linear(weight), weight * (image - 0.25)
    options = {"baseline": baseline, "noise_level": 0.0}
    for method in ("saliency", "smoothgrad"):
        assert_map(run(network, image, method=method, **options), weight[None])
    assert_map(run(network, image, method="input_x_gradient", **options), weight * image)
    for method in ("integrated_gradients", "gradient_shap", "deeplift"):
        found = run(network, image, method=method, **options)
        assert_map(found, change, atol=1e-5)
        assert found.completeness_error < 1e-3
    window = (4, 4, 3)
    found = run(network, image, method="kernel_shap", occlusion_window=window, **options)
    volume = image[0].numpy().reshape(shape[1], *(*shape[2:], 1)[:3])
    labels = cut_supervoxels(volume, cell=tuple(found.parameters["cell"]))
    flat = change[0].sum(0).numpy().ravel()
    shares = np.bincount(labels.ravel(), weights=flat) / np.bincount(labels.ravel())
    np.testing.assert_allclose(found.grid, shares[labels], rtol=1e-3, atol=1e-4)
    assert found.grid.sum() == pytest.approx(found.output_difference, abs=1e-3)


def test_saliency_is_the_signed_gradient_of_plain_autograd(case):
    network, image = case
    found = run(network, image, method="saliency")
    assert_map(found, gradient(network, image))
    assert found.grid.min() < 0 < found.grid.max()


def test_input_times_gradient_is_that_product(case):
    network, image = case
    found = run(network, image, method="input_x_gradient")
    assert_map(found, image * gradient(network, image))


def test_smoothgrads_noise_can_be_drawn_again_from_its_record(case):
    network, image = case
    found = run(network, image, method="smoothgrad", noise_draws=6, batch_size=4)
    recorded = found.parameters
    torch.manual_seed(recorded["torch_seed"])
    total, left = torch.zeros_like(image), recorded["draws"]
    while left:
        n = min(left, recorded["internal_batch_size"])
        noise = torch.normal(0, torch.full((n, *image.shape[1:]), recorded["noise_sd"]))
        total += gradient(network, image + noise).sum(0, keepdim=True)
        left -= n
    assert recorded["noise_sd"] == pytest.approx(0.1 * float(image.max() - image.min()))
    assert_map(found, total / recorded["draws"])


def test_gradient_shap_can_be_drawn_again_from_its_record(case):
    network, image = case
    found = run(network, image, method="gradient_shap", noise_draws=6, batch_size=4, baseline=0.2)
    recorded = found.parameters
    torch.manual_seed(recorded["torch_seed"])
    rng = np.random.RandomState(recorded["numpy_seed"])
    total, left = torch.zeros_like(image), recorded["draws"]
    while left:
        n = min(left, recorded["internal_batch_size"])
        noisy = image + torch.normal(0, torch.full((n, *image.shape[1:]), recorded["noise_sd"]))
        rng.choice(1, n)
        share = torch.tensor(rng.uniform(0, 1, n), dtype=torch.float32)
        share = share.reshape(-1, *[1] * (image.ndim - 1))
        slopes = gradient(network, share * noisy + (1 - share) * 0.2)
        total += ((noisy - 0.2) * slopes).sum(0, keepdim=True)
        left -= n
    assert_map(found, total / recorded["draws"], rtol=1e-3)


class GuidedRelu(torch.autograd.Function):
    """ReLU whose gradient passes where both the input and the gradient are positive."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, output_gradient):
        (x,) = ctx.saved_tensors
        return output_gradient * (x > 0) * (output_gradient > 0)


def run_tiny(network, image, relu):
    """The forward pass of `Tiny` with another function at the place of its ReLU."""
    x = relu(network.norm(network.first(image)))
    return network.head(relu(network.second(x)).flatten(2).mean(2))


def guide(network, image):
    x = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(run_tiny(network, x, GuidedRelu.apply)[0, TARGET], x)
    return found


def test_guided_backprop_is_springenbergs_rule(case):
    network, image = case
    found = run(network, image, method="guided_backprop")
    assert_map(found, guide(network, image))
    plain = gradient(network, image)
    distance = (guide(network, image) - plain).norm() / plain.norm()
    assert found.parameters["distance_to_saliency"] == pytest.approx(float(distance), rel=1e-3)


def test_guided_gradcam_is_the_product_with_rectified_gradcam(case):
    network, image = case
    network.head.weight.data = network.head.weight.data.abs()
    dims = image.ndim - 2
    found = run(network, image, method="guided_gradcam", layer="norm")
    cells = network.norm(network.first(image)).detach().requires_grad_()
    logit = network.head(torch.relu(network.second(torch.relu(cells))).flatten(2).mean(2))
    (slopes,) = torch.autograd.grad(logit[0, TARGET], cells)
    weight = slopes.mean(dim=tuple(range(2, cells.ndim)), keepdim=True)
    camera = torch.relu((weight * cells).sum(1, keepdim=True))
    mode = "trilinear" if dims == 3 else "bilinear"
    wide = functional.interpolate(camera, size=image.shape[2:], mode=mode)
    assert_map(found, guide(network, image) * wide, rtol=1e-3)
    assert found.grid.any()
    assert found.layer == "norm"
    assert found.parameters["voxels_per_cell"] == [2.0] * dims + [1.0] * (3 - dims)


def test_deeplift_is_the_rescale_rule(case):
    network, image = case
    found = run(network, image, method="deeplift", baseline=0.3)
    seen = []

    def keep(x):
        seen.append(x.detach())
        return x.clamp(min=0)

    for start in (image, torch.full_like(image, 0.3)):
        run_tiny(network, start, keep)
    here, there = seen[:2], seen[2:]
    slopes = iter(
        [
            torch.where(
                (a - b).abs() < 1e-10,
                (a > 0).float(),
                (a.clamp(min=0) - b.clamp(min=0)) / (a - b),
            )
            for a, b in zip(here, there, strict=True)
        ]
    )
    x = image.clone().requires_grad_()
    straight = run_tiny(network, x, lambda z: z * next(slopes))
    (multiplier,) = torch.autograd.grad(straight[0, TARGET], x)
    assert_map(found, multiplier * (image - 0.3), rtol=1e-3)
    assert found.completeness_error < 1e-5


def shapley(network, image, labels, *, baseline):
    """Shares of all supervoxels, by their mean effect over all orders of joining."""
    n = int(labels.max()) + 1
    worth = {}
    for present in itertools.product((False, True), repeat=n):
        kept = torch.from_numpy(np.array(present)[labels])
        with torch.no_grad():
            worth[present] = float(network(torch.where(kept, image, baseline))[0, TARGET])
    shares = np.zeros(n)
    for present, value in worth.items():
        size = sum(present)
        for part in range(n):
            if not present[part]:
                joined = (*present[:part], True, *present[part + 1 :])
                weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
                shares[part] += weight * (worth[joined] - value)
    return shares


@pytest.mark.parametrize("dims", [2, 3])
def test_kernel_shap_approaches_shapleys_shares_over_all_orders(dims):
    torch.manual_seed(3)
    network, image = Tiny(spatial_dims=dims, seed=3).eval(), torch.randn(1, 1, *[16] * dims) * 3
    found = run(
        network,
        image,
        method="kernel_shap",
        occlusion_window=(8, 8, 16),
        shap_draws=800,
        baseline=0.5,
    )
    labels = cut_supervoxels(
        image[0].numpy().reshape(1, *(16, 16, 16 if dims == 3 else 1)), cell=(8, 8, 16)
    )
    expected = shapley(network, image, labels.reshape(image.shape[2:]), baseline=0.5)
    shares = np.bincount(labels.ravel(), weights=found.grid.ravel())
    assert found.parameters["supervoxels"] == len(expected) == 4
    np.testing.assert_allclose(shares, expected, atol=0.05 * np.abs(expected).sum())
    assert found.completeness_error < 1e-4


@pytest.mark.parametrize("method", ["smoothgrad", "gradient_shap", "kernel_shap"])
def test_what_is_drawn_depends_on_the_seed_alone_and_leaves_no_trace(method):
    network, image = Tiny(2).eval(), torch.rand(1, 1, 16, 16)
    maps = []
    for stray in (1, 2):
        torch.manual_seed(stray)
        np.random.seed(stray)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        maps.append(run(network, image, method=method).grid)
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    np.testing.assert_array_equal(*maps)
    assert not np.array_equal(run(network, image, method=method, seed=12).grid, maps[0])
