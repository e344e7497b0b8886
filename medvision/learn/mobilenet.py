"""MobileNetV2 in two and three dimensions, its modules named as in torchvision."""

from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

_STEM, _LAST = 32, 1280
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""(expansion, channels, repeats, first stride) of the seven stages; table 2 of the paper."""


def _unit(
    channels: int, width: int, kernel: int, *, dims: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, BatchNorm, and the rectifier that ends at six."""
    return nn.Sequential(
        Conv[Conv.CONV, dims](
            channels,
            width,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        Norm[Norm.BATCH, dims](width),
        nn.ReLU6(),
    )


class InvertedResidual(nn.Module):
    """Expands by points, filters each channel by itself, and projects without a rectifier.

    Args:
        channels: Channels of the input.
        width: Channels of the output.
        expansion: Channels in the middle, in multiples of the input's.
        stride: Step of the filter; where it is one and the channels agree, the input is added.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self, channels: int, width: int, *, expansion: int, stride: int, spatial_dims: int
    ) -> None:
        super().__init__()
        middle = channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_unit(channels, middle, 1, dims=spatial_dims))
        layers += [
            _unit(middle, middle, 3, dims=spatial_dims, stride=stride, groups=middle),
            Conv[Conv.CONV, spatial_dims](middle, width, 1, bias=False),
            Norm[Norm.BATCH, spatial_dims](width),
        ]
        self.conv = nn.Sequential(*layers)
        self.is_residual = stride == 1 and channels == width

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width, ...) of (B, channels, ...)."""
        projected: Tensor = self.conv(images)
        return images + projected if self.is_residual else projected


class MobileNetV2(nn.Module):
    """MobileNetV2 of width 1.0; no activation works in place or is used twice.

    Args:
        spatial_dims: 2 or 3.
        channels: C, number of input channels.
        n_classes: Number of labels.

    Source:
        Sandler 2018, doi:10.1109/CVPR.2018.00474.
    """

    def __init__(self, spatial_dims: int, channels: int, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(channels, _STEM, 3, dims=spatial_dims, stride=2)]
        before = _STEM
        for expansion, width, repeats, first in _STAGES:
            for stride in (first, *[1] * (repeats - 1)):
                layers.append(
                    InvertedResidual(
                        before,
                        width,
                        expansion=expansion,
                        stride=stride,
                        spatial_dims=spatial_dims,
                    )
                )
                before = width
        layers.append(_unit(before, _LAST, 1, dims=spatial_dims))
        self.features = nn.Sequential(*layers)
        self.pool = nn.Sequential(Pool[Pool.ADAPTIVEAVG, spatial_dims](1), nn.Flatten())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(_LAST, n_classes))
        self._draw()

    def _draw(self) -> None:
        """Draw the weights as the published network does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, n_classes) of images (B, C, I, J[, K])."""
        logits: Tensor = self.classifier(self.pool(self.features(images)))
        return logits


def _list_blocks() -> tuple[tuple[str, ...], ...]:
    """Return stem, stages and last convolution, each frozen together."""
    blocks: list[tuple[str, ...]] = [("features.0",)]
    place = 1
    for _, _, repeats, _ in _STAGES:
        blocks.append(tuple(f"features.{n}" for n in range(place, place + repeats)))
        place += repeats
    return (*blocks, (f"features.{place}",))


BLOCKS = _list_blocks()
"""What is frozen together, from the input on."""
