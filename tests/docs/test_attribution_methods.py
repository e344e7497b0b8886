"""What the page on attributions says of methods and layers is what the code has."""

from pathlib import Path

import pytest

from medvision.config.explain import REFUSED
from medvision.explain.methods import METHODS
from medvision.learn.backbones import BACKBONES, gradcam_layer

PAGE = Path(__file__).parents[2] / "docs/explanation/attribution.md"


@pytest.mark.parametrize("name", [*METHODS, *REFUSED])
def test_each_method_is_explained(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text()


@pytest.mark.parametrize("name", BACKBONES)
def test_the_layer_of_each_backbone_is_documented(name: str) -> None:
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.count("|") == 4]
    layers = [layer for _, names, layer, *_ in rows if f"`{name}`" in names]
    assert layers == [f" `{gradcam_layer(name)}` "]
