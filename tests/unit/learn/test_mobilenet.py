"""MobileNetV2: the published function of the published tensors."""

import torch
from torch.nn import functional

from medvision.learn.mobilenet import BLOCKS, MobileNetV2

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
STAGES += ((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def forward_plainly(tensors, images):
    """Table 2 of the paper by the published names, function by function."""

    def unit(x, conv, norm, *, cap=True, **how):
        x = functional.conv2d(x, tensors[f"{conv}.weight"], **how)
        parts = ("running_mean", "running_var", "weight", "bias")
        x = functional.batch_norm(x, *(tensors[f"{norm}.{part}"] for part in parts))
        return x.clamp(0, 6) if cap else x

    x, place, before = unit(images, "features.0.0", "features.0.1", stride=2, padding=1), 1, 32
    for expansion, width, repeats, first in STAGES:
        for n in range(repeats):
            stem, stride, y, at = f"features.{place}.conv", first if n == 0 else 1, x, 0
            if expansion != 1:
                y, at = unit(y, f"{stem}.0.0", f"{stem}.0.1"), 1
            how = {"stride": stride, "padding": 1, "groups": before * expansion}
            y = unit(y, f"{stem}.{at}.0", f"{stem}.{at}.1", **how)
            y = unit(y, f"{stem}.{at + 1}", f"{stem}.{at + 2}", cap=False)
            x = x + y if stride == 1 and before == width else y
            place, before = place + 1, width
    x = unit(x, f"features.{place}.0", f"features.{place}.1").mean((2, 3))
    return functional.linear(x, tensors["classifier.1.weight"], tensors["classifier.1.bias"])


def test_logits_are_those_of_the_published_network():
    torch.manual_seed(0)
    network = MobileNetV2(2, 3, 5)
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(4, 3, 64, 64))
        network.eval()
        images = torch.rand(2, 3, 64, 96)
        expected = forward_plainly(network.state_dict(), images)
        assert torch.allclose(network(images), expected, atol=1e-5)


def test_parameters_are_as_many_as_published():
    assert sum(p.numel() for p in MobileNetV2(2, 3, 1000).parameters()) == 3_504_872


def test_blocks_are_stem_seven_stages_and_last_convolution():
    assert len(BLOCKS) == 9
    assert BLOCKS[-1] == ("features.18",)
