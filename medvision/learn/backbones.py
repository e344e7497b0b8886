"""The networks by name: how each is built, and what its parts are called."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from monai.networks.layers.factories import Conv
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.efficientnet import EfficientNetBN
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

from medvision.domain.network_form import PLAIN, NetworkForm
from medvision.errors import ConfigError
from medvision.learn import mobilenet, squeezenet
from medvision.learn.form import apply_form

Builder = Callable[[int, int, int], nn.Module]
"""(spatial_dims, channels, n_classes) -> network with logits (B, n_classes)."""

Block = tuple[str, ...]
"""Dotted names of the modules that are frozen together."""


@dataclass(frozen=True)
class Backbone:
    """What the rest of the package must know of a network.

    Args:
        build: Makes the network with random weights from torch's global generator.
        head: Dotted names of the modules that belong to the labels, not to the images.
        blocks: All other modules with weights, from the input on.
        gradcam_layer: Last module whose output still has a grid (LayerGradCam's layer).
    """

    build: Builder
    head: Block
    blocks: tuple[Block, ...]
    gradcam_layer: str


def build_backbone(
    name: str,
    *,
    spatial_dims: int,
    channels: int,
    n_classes: int,
    form: NetworkForm = PLAIN,
) -> nn.Module:
    """Build a network with random weights.

    Two classes give two logits: every label has its own, so that each can be attributed.

    Args:
        name: A key of `BACKBONES`.
        spatial_dims: 2 for batches (B, C, I, J), 3 for (B, C, I, J, K).
        channels: C, number of input channels.
        n_classes: Number of outputs, at least 1.
        form: How images enter, and which layers are not as in the paper.

    Returns:
        Network in train mode; maps a float32 batch to logits (B, n_classes).

    Raises:
        ConfigError: The name is unknown, or a number is out of range.

    Source:
        DenseNet-121: Huang 2017, doi:10.1109/CVPR.2017.243. ResNet: He 2016,
        doi:10.1109/CVPR.2016.90. EfficientNet-B0: Tan and Le 2019, arXiv:1905.11946.
        SqueezeNet: Iandola 2016, arXiv:1602.07360. MobileNetV2: Sandler 2018,
        doi:10.1109/CVPR.2018.00474.
    """
    if spatial_dims not in (2, 3):
        raise ConfigError(f"model.backbone: spatial_dims must be 2 or 3, got {spatial_dims}.")
    if channels < 1 or n_classes < 1:
        raise ConfigError(
            f"model.backbone: channels and outputs must be >= 1, got {channels}, {n_classes}."
        )
    network = get_backbone(name).build(spatial_dims, form.count_inner(channels), n_classes)
    return apply_form(network, form, spatial_dims=spatial_dims, channels=channels)


def get_backbone(name: str) -> Backbone:
    """Return a network's entry.

    Raises:
        ConfigError: The name is unknown.
    """
    try:
        return BACKBONES[name]
    except KeyError:
        known = ", ".join(sorted(BACKBONES))
        raise ConfigError(f"model.backbone: name must be one of {known}, got {name}.") from None


def head_names(name: str) -> Block:
    """Return the dotted names of the modules that belong to the labels."""
    return get_backbone(name).head


def blocks(name: str) -> tuple[Block, ...]:
    """Return the blocks of modules from the input on, without the head."""
    return get_backbone(name).blocks


def gradcam_layer(name: str) -> str:
    """Return the dotted name of the last module whose output has a grid."""
    return get_backbone(name).gradcam_layer


def _build_densenet121(spatial_dims: int, channels: int, n_classes: int) -> nn.Module:
    """DenseNet-121 as published, except that odd grids lose no border when they are halved.

    Without that, an axis of fewer than 29 voxels vanishes; even grids are the same either way.
    """
    network = DenseNet(spatial_dims=spatial_dims, in_channels=channels, out_channels=n_classes)
    for module in network.features.modules():
        if isinstance(module, nn.AvgPool2d | nn.AvgPool3d):
            module.ceil_mode = True
    return cast(nn.Module, network)


def _build_resnet(
    kind: str, layers: tuple[int, ...], *, spatial_dims: int, channels: int, n_classes: int
) -> nn.Module:
    """MONAI's ResNet with the published stem.

    MONAI's own default stem has stride 1, which costs 8 times the work in 3D; the stem of the
    paper, and of all published weights, has stride 2.
    """
    network = ResNet(
        block=kind,
        layers=list(layers),
        block_inplanes=[64, 128, 256, 512],
        spatial_dims=spatial_dims,
        n_input_channels=channels,
        conv1_t_stride=2,
        shortcut_type="B",
        num_classes=n_classes,
        bias_downsample=False,
    )
    return cast(nn.Module, network)


def _build_resnet18(spatial_dims: int, channels: int, n_classes: int) -> nn.Module:
    """ResNet-18."""
    return _build_resnet(
        "basic",
        (2, 2, 2, 2),
        spatial_dims=spatial_dims,
        channels=channels,
        n_classes=n_classes,
    )


def _build_resnet50(spatial_dims: int, channels: int, n_classes: int) -> nn.Module:
    """ResNet-50."""
    return _build_resnet(
        "bottleneck",
        (3, 4, 6, 3),
        spatial_dims=spatial_dims,
        channels=channels,
        n_classes=n_classes,
    )


def _build_efficientnet_b0(spatial_dims: int, channels: int, n_classes: int) -> nn.Module:
    """EfficientNet-B0 with the plain swish, since the memory-saving one hides its gradient.

    MONAI fixes the padding for images of side 224, so that short or odd axes fail or lose their
    border; here each strided convolution pads by what it is given, which is the same at 224.
    """
    network = EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=spatial_dims,
        in_channels=channels,
        num_classes=n_classes,
    )
    network.set_swish(memory_efficient=False)
    for module in list(network.modules()):
        for name, convolution in list(module.named_children()):
            if isinstance(convolution, nn.Conv2d | nn.Conv3d) and convolution.stride[0] > 1:
                padding = _SamePadding(convolution.kernel_size, convolution.stride)
                setattr(module, f"{name}_padding", padding)
    return cast(nn.Module, network)


class _SamePadding(nn.Module):
    """Pads so that a strided convolution returns ceil(n / stride) cells, as its authors did."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, images: Tensor) -> Tensor:
        """Return images (B, C, I, J[, K]) with zeros around, the odd one at the end."""
        pads: list[int] = []
        # torch wants the last axis first.
        for size, kernel, stride in zip(
            reversed(images.shape[2:]), reversed(self.kernel), reversed(self.stride), strict=True
        ):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(images, pads)


_SMALL_FEATURES = 12
_SMALL_STEM = {2: ((7, 7), (2, 2)), 3: ((7, 7, 5), (2, 2, 1))}
"""Kernel and stride of the small network's stem by dimensions: gentle along K, since volumes
are most often thick there."""


def _build_small(spatial_dims: int, channels: int, n_classes: int) -> nn.Module:
    """A narrow DenseNet for CPUs: 8 x 8 x 6 cells for 64 x 64 x 24 voxels.

    Two dense blocks of three layers, and a stem that keeps the step along K small. BatchNorm and
    not group normalisation: normalising each image just before its mean is taken leaves little
    of a small lesion (measured: chance on the source task).
    """
    network = DenseNet(
        spatial_dims=spatial_dims,
        in_channels=channels,
        out_channels=n_classes,
        init_features=_SMALL_FEATURES,
        growth_rate=8,
        block_config=(3, 3),
    )
    kernel, stride = _SMALL_STEM[spatial_dims]
    stem = Conv[Conv.CONV, spatial_dims](
        channels,
        _SMALL_FEATURES,
        kernel,
        stride=stride,
        padding=tuple(n // 2 for n in kernel),
        bias=False,
    )
    nn.init.kaiming_normal_(stem.weight)
    network.features.conv0 = stem
    return cast(nn.Module, network)


def _densenet_blocks(n_blocks: int) -> tuple[Block, ...]:
    """Stem, then each dense block with the transition (or last norm) that follows it."""
    middle = tuple(
        (f"features.denseblock{n}", f"features.transition{n}") for n in range(1, n_blocks)
    )
    last = (f"features.denseblock{n_blocks}", "features.norm5")
    return (("features.conv0", "features.norm0"), *middle, last)


_RESNET_BLOCKS: tuple[Block, ...] = (
    ("conv1", "bn1"),
    ("layer1",),
    ("layer2",),
    ("layer3",),
    ("layer4",),
)
_EFFICIENTNET_BLOCKS: tuple[Block, ...] = (
    ("_conv_stem", "_bn0"),
    *((f"_blocks.{n}",) for n in range(7)),
    ("_conv_head", "_bn1"),
)


def _densenet(build: Builder, *, n_blocks: int) -> Backbone:
    """The parts of any DenseNet; its grid ends at the last ReLU, before pooling."""
    return Backbone(
        build, ("class_layers.out",), _densenet_blocks(n_blocks), gradcam_layer="class_layers.relu"
    )


BACKBONES: dict[str, Backbone] = {
    "small": _densenet(_build_small, n_blocks=2),
    "densenet121": _densenet(_build_densenet121, n_blocks=4),
    "resnet18": Backbone(_build_resnet18, ("fc",), _RESNET_BLOCKS, gradcam_layer="layer4"),
    "resnet50": Backbone(_build_resnet50, ("fc",), _RESNET_BLOCKS, gradcam_layer="layer4"),
    "efficientnet_b0": Backbone(
        _build_efficientnet_b0, ("_fc",), _EFFICIENTNET_BLOCKS, gradcam_layer="_bn1"
    ),
    "squeezenet1_1": Backbone(
        squeezenet.SqueezeNet, ("classifier.1",), squeezenet.BLOCKS, gradcam_layer="features.12"
    ),
    "mobilenet_v2": Backbone(
        mobilenet.MobileNetV2, ("classifier.1",), mobilenet.BLOCKS, gradcam_layer="features.18"
    ),
}
