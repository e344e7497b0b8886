"""SqueezeNet 1.1 in two and three dimensions, without BatchNorm, small enough for a CPU."""

from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, cat, nn

_SQUEEZED = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
"""Place in `features` to the channels that a fire module squeezes into; it expands eightfold."""

_POOLED = (2, 5, 8)
_STEM = 64


class Fire(nn.Module):
    """Squeezes the channels by points, then expands them by points and by cubes, side by side.

    Args:
        channels: Channels of the input.
        squeezed: Channels in the middle; eight times as many leave.
        spatial_dims: 2 or 3.
    """

    def __init__(self, channels: int, squeezed: int, *, spatial_dims: int) -> None:
        super().__init__()
        conv, expanded = Conv[Conv.CONV, spatial_dims], 4 * squeezed
        self.squeeze = conv(channels, squeezed, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = conv(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = conv(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 8 squeezed, I, J[, K]) of (B, C, I, J[, K])."""
        squeezed = self.squeeze_activation(self.squeeze(images))
        return cat(
            [
                self.expand1x1_activation(self.expand1x1(squeezed)),
                self.expand3x3_activation(self.expand3x3(squeezed)),
            ],
            1,
        )


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1, its modules named as in torchvision, whose files so fit.

    Two departures. No activation works in place or is used twice, so that every attribution method
    applies. The published head rectifies its class maps before it takes their mean; here logits
    may be negative, since a new head of two classes whose maps start below zero would never learn.

    Args:
        spatial_dims: 2 or 3.
        channels: C, number of input channels.
        n_classes: Number of labels.

    Source:
        Iandola 2016, arXiv:1602.07360; version 1.1 of the authors' repository.
    """

    def __init__(self, spatial_dims: int, channels: int, n_classes: int) -> None:
        super().__init__()
        conv, width = Conv[Conv.CONV, spatial_dims], _STEM
        layers: list[nn.Module] = [conv(channels, width, 3, stride=2), nn.ReLU()]
        for place in range(2, 13):
            if place in _POOLED:
                layers.append(Pool[Pool.MAX, spatial_dims](3, stride=2, ceil_mode=True))
            else:
                layers.append(Fire(width, _SQUEEZED[place], spatial_dims=spatial_dims))
                width = 8 * _SQUEEZED[place]
        self.features = nn.Sequential(*layers)
        pool = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), conv(width, n_classes, 1), pool, nn.Flatten()
        )
        self._draw(head=self.classifier[1])

    def _draw(self, *, head: nn.Module) -> None:
        """Draw the weights as the published network does: by He's rule, the head's small."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                if module is head:
                    nn.init.normal_(module.weight, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, n_classes) of images (B, C, I, J[, K])."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


BLOCKS = (
    ("features.0",),
    ("features.3", "features.4"),
    ("features.6", "features.7"),
    ("features.9", "features.10", "features.11", "features.12"),
)
"""What is frozen together, from the input on: the stem, then the fires between two poolings."""
