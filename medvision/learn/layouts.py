"""Names of one layout of weights in another: torchvision, MedicalNet, RadImageNet, MONAI."""

import re
from collections.abc import Callable, Collection, Mapping

from torch import Tensor

Rename = Callable[[str], str]
"""Name in the file -> name in our network; unknown names stay."""

_WRAPPERS = ("module.", "model.", "net.", "network.")
"""What DataParallel, trainers and bundles put before every name."""

_RADIMAGENET_RESNET = {
    "0": "conv1",
    "1": "bn1",
    "4": "layer1",
    "5": "layer2",
    "6": "layer3",
    "7": "layer4",
}
_EFFICIENTNET_UNITS = {
    "expand": ("_expand_conv", "_bn0"),
    "filter": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
_EFFICIENTNET_STARTS = (0, 1, 3, 5, 8, 11, 15)
"""Number of blocks before each stage of EfficientNet-B0: MONAI counts blocks through."""


def _rename_densenet(name: str) -> str:
    """DenseNet of torchvision; its old files say `norm.1` for `norm1`."""
    name = re.sub(r"(denselayer\d+)\.(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)
    return re.sub(r"^classifier\.", "class_layers.out.", name)


def _rename_efficientnet(name: str) -> str:
    """EfficientNet of torchvision: eight stages between two more, the parts by number."""
    for old, new in (
        (r"^features\.0\.0\.", "_conv_stem."),
        (r"^features\.0\.1\.", "_bn0."),
        (r"^features\.8\.0\.", "_conv_head."),
        (r"^features\.8\.1\.", "_bn1."),
        (r"^classifier\.1\.", "_fc."),
    ):
        name = re.sub(old, new, name)
    found = re.match(r"^features\.([1-7])\.(\d+)\.block\.(\d)\.(fc1|fc2|0|1)\.(.+)$", name)
    if found is None:
        return name
    stage, block, part, inner, last = found.groups()
    # The first stage expands nothing, so that its parts begin with the filter.
    kinds = ("expand", "filter", "squeeze", "project")[1 if stage == "1" else 0 :]
    if int(part) >= len(kinds):
        return name
    kind = kinds[int(part)]
    if kind == "squeeze":
        ours = {"fc1": "_se_reduce", "fc2": "_se_expand"}.get(inner, inner)
    else:
        ours = _EFFICIENTNET_UNITS[kind][int(inner)] if inner in "01" else inner
    place = _EFFICIENTNET_STARTS[int(stage) - 1] + int(block)
    return f"_blocks.{int(stage) - 1}.{place}.{ours}.{last}"


def _rename_radimagenet_resnet(name: str) -> str:
    """RadImageNet's ResNet: the children of torchvision's, by number, below `backbone`."""
    first, _, rest = name.removeprefix("backbone.").partition(".")
    return f"{_RADIMAGENET_RESNET[first]}.{rest}" if first in _RADIMAGENET_RESNET else name


def _rename_radimagenet_densenet(name: str) -> str:
    """RadImageNet's DenseNet: torchvision's features as the first child of `backbone`."""
    return _rename_densenet(re.sub(r"^backbone\.0\.", "features.", name))


LAYOUTS: dict[str, Rename] = {
    "ours": str,
    "torchvision-densenet": _rename_densenet,
    "torchvision-efficientnet": _rename_efficientnet,
    "radimagenet-resnet": _rename_radimagenet_resnet,
    "radimagenet-densenet": _rename_radimagenet_densenet,
}
"""Layout to its renaming. The ResNet, SqueezeNet and MobileNetV2 of torchvision, the ResNets of
MedicalNet, and MONAI's networks are named as ours."""


def rename_tensors(
    tensors: Mapping[str, Tensor], names: Collection[str]
) -> tuple[str, dict[str, tuple[str, Tensor]]]:
    """Rename a file's tensors by the layout that fits the network best.

    Args:
        tensors: Names in the file to tensors.
        names: Names in the network.

    Returns:
        (layout, tensors): the layout's name; our name to (name in the file, tensor). Equally good
        layouts: the first in `LAYOUTS`.
    """
    plain = {_strip(name): (name, tensor) for name, tensor in tensors.items()}
    known = set(names)

    def count(layout: str) -> int:
        return sum(LAYOUTS[layout](name) in known for name in plain)

    best = max(LAYOUTS, key=count)
    return best, {LAYOUTS[best](name): held for name, held in plain.items()}


def _strip(name: str) -> str:
    """Return a name without its wrappers."""
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name
