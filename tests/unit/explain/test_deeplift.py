"""DeepLift adds up: pools that overlap, activations side by side, and tensors that go two ways."""

import itertools

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from explain_nets import make_settings
from torch import nn
from torch.nn import functional

from medvision.explain.deeplift import build_deeplift
from medvision.explain.methods import attribute
from medvision.explain.network import canonicalise
from medvision.explain.own_inputs import own_inputs
from medvision.learn.backbones import build_backbone
from medvision.runtime.seeds import seed_everything

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")

CPU = torch.device("cpu")


def run(network, image, method, baseline=0.3):
    twin = canonicalise(network, device=CPU).network
    settings = make_settings(baseline=baseline)
    return attribute(twin, image, method=method, target=1, layer="", settings=settings, seed=0)


def shake(network):
    """Give BatchNorm statistics of some use, as training would."""
    for module in network.modules():
        if getattr(module, "running_var", None) is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("backbone", ["small", "resnet18", "squeezenet1_1"])
def test_on_every_backbone_with_relu_the_map_adds_up(backbone, spatial_dims):
    # As a step asks for: Captum's own way through a pool has no such kernel, and raises.
    seed_everything(0)
    network = shake(build_backbone(backbone, spatial_dims=spatial_dims, channels=1, n_classes=2))
    image = torch.rand(1, 1, *(40, 33, 32)[:spatial_dims])
    found = run(network, image, "deeplift")
    assert found.completeness_error < 1e-4 * abs(found.output_difference) + 1e-6


@pytest.mark.parametrize("backbone", ["small", "resnet18", "squeezenet1_1"])
def test_captum_alone_is_wrong_on_each_of_them_and_does_not_say_so(backbone):
    torch.manual_seed(0)
    network = shake(build_backbone(backbone, spatial_dims=2, channels=1, n_classes=2))
    twin = canonicalise(network, device=CPU).network
    image = torch.rand(1, 1, 40, 33)
    baseline = torch.full_like(image, 0.3)
    with torch.no_grad():
        change = float((twin(image) - twin(baseline))[0, 1])
    plain = DeepLift(twin).attribute(image, baseline, target=1)
    assert abs(float(plain.detach().sum()) - change) > 0.01 * abs(change)


class Pooled(nn.Module):
    """One pooling and a straight line."""

    def __init__(self, pool, n_cells):
        super().__init__()
        torch.manual_seed(1)
        self.pool, self.head = pool, nn.Linear(n_cells, 2)

    def forward(self, x):
        return self.head(self.pool(x).flatten(1))


def share_slowly(x, r, *, weight, kernel, stride):
    """Window by window: rise to the image's largest voxel, fall to the baseline's."""
    handed = np.zeros_like(x)
    starts = [range(0, n - kernel + 1, stride) for n in x.shape]
    for cell, start in enumerate(itertools.product(*starts)):
        box = tuple(slice(a, a + kernel) for a in start)
        top = max(x[box].max(), r[box].max())
        for values, share in ((x, top - r[box].max()), (r, x[box].max() - top)):
            place = np.unravel_index(values[box].argmax(), values[box].shape)
            handed[tuple(a + b for a, b in zip(start, place, strict=True))] += weight[cell] * share
    return handed


@pytest.mark.parametrize(("dims", "kernel", "stride"), [(2, 3, 2), (2, 2, 2), (3, 3, 1), (3, 3, 2)])
def test_what_a_pool_hands_back_is_that_of_a_plain_loop_over_its_windows(dims, kernel, stride):
    pool = (nn.MaxPool2d, nn.MaxPool3d)[dims - 2](kernel, stride=stride)
    image, baseline = torch.randn(1, 1, *[7] * dims), torch.randn(1, 1, *[7] * dims)
    network = Pooled(pool, pool(image).numel()).eval()
    found = build_deeplift(network).attribute(image, baseline, target=1)
    expected = share_slowly(
        image[0, 0].numpy(),
        baseline[0, 0].numpy(),
        weight=network.head.weight[1].detach().numpy(),
        kernel=kernel,
        stride=stride,
    )
    np.testing.assert_allclose(found[0, 0].detach(), expected, rtol=1e-4, atol=1e-5)
    captums = DeepLift(network).attribute(image, baseline, target=1)[0, 0].detach()
    assert np.allclose(captums, expected, atol=1e-4) == (kernel == stride)


class Forked(nn.Module):
    """What enters a ReLU also goes round it, and another ReLU follows at once."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.stem, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 2)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.stem(x)
        y = self.act(x) - 2 * x
        return self.head(torch.relu(torch.relu(y) - 0.1).flatten(2).mean(2))


def test_a_tensor_that_goes_two_ways_is_overridden_on_one_alone():
    image = torch.randn(1, 1, 8, 8)
    network = Forked().eval()
    found = run(network, image, "deeplift")
    assert found.completeness_error < 1e-6
    twin = canonicalise(network, device=CPU).network
    baseline = torch.full_like(image, 0.3)
    plain = build_deeplift(twin).attribute(image, baseline, target=1)
    assert abs(float(plain.detach().sum()) - found.output_difference) > 1e-3


class GuidedRelu(torch.autograd.Function):
    """ReLU whose gradient passes where both the input and the gradient are positive."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return functional.relu(x)

    @staticmethod
    def backward(ctx, output_gradient):
        (x,) = ctx.saved_tensors
        return output_gradient * (x > 0) * (output_gradient > 0)


def test_guided_backprop_guides_each_way_by_itself():
    image = torch.randn(1, 1, 8, 8)
    network = Forked().eval()
    x = image.clone().requires_grad_()
    (expected,) = torch.autograd.grad(guide(network, x)[0, 1], x)
    found = run(network, image, "guided_backprop")
    np.testing.assert_allclose(found.grid[..., 0], expected[0, 0], rtol=1e-4, atol=1e-7)


def guide(network, x):
    """The forward pass of `Forked` with guided rectifiers throughout."""
    x = network.stem(x)
    y = GuidedRelu.apply(x) - 2 * x
    return network.head(GuidedRelu.apply(GuidedRelu.apply(y) - 0.1).flatten(2).mean(2))


def test_no_hook_is_left_behind():
    network = canonicalise(Forked().eval(), device=CPU).network
    with own_inputs(network):
        assert any(module._forward_pre_hooks for module in network.modules())
    assert not any(module._forward_pre_hooks for module in network.modules())
