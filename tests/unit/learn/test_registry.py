"""Sources of weights: described once and strictly; what they expect becomes an entrance."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from medvision.domain.network_form import PLAIN
from medvision.errors import ConfigError, WeightsError
from medvision.learn.entrance import build_form
from medvision.learn.registry import CATALOGUE, find_shelf, get_source, read_source, read_sources

NOWHERE = Path("/nowhere")
SOURCES = read_sources(NOWHERE)


def test_the_catalogue_holds_what_users_ask_for():
    backbones = {source.backbone for source in SOURCES.values()}
    assert {"densenet121", "resnet18", "resnet50", "efficientnet_b0"} <= backbones
    kinds = ("imagenet", "medicalnet", "radimagenet", "torchxrayvision", "monai")
    assert all(any(kind in name for name in SOURCES) for kind in kinds)


@pytest.mark.parametrize("name", SOURCES)
def test_every_description_says_where_its_facts_are_from_and_what_to_cite(name):
    source = SOURCES[name]
    assert source.facts
    assert source.citation
    assert source.licence
    assert source.url is None or source.url.startswith("https://")
    # A digest that is not published is none: a prefix is said in the file's name.
    assert source.sha256_prefix is None or source.sha256_prefix in source.file


@pytest.mark.parametrize("name", SOURCES)
def test_every_backbone_named_is_one_of_ours(name):
    from medvision.learn.backbones import BACKBONES

    assert SOURCES[name].backbone in BACKBONES


def write(folder, **changes):
    held = yaml.safe_load((CATALOGUE / "resnet18-imagenet.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**held, **changes}))
    return path


def test_a_description_on_the_shelf_is_a_source_like_any_other(tmp_path):
    write(tmp_path, title="Mine")
    assert get_source("mine", tmp_path).title == "Mine"


def test_the_description_in_the_guide_is_one(tmp_path, checkout):
    text = (checkout / "docs" / "how-to" / "use-pretrained-weights.md").read_text()
    blocks = text.split("```yaml\n")[1:]
    (tmp_path / "knee.yaml").write_text(blocks[-1].partition("```")[0])
    source = read_source(tmp_path / "knee.yaml")
    assert build_form(source, intensity="percentile", channels=1).mean == (0.41,)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"licence": None, "licences": "MIT"}, "keys missing or unknown: licences"),
        ({"dimensions": 4}, "dimensions must be 2 or 3"),
        ({"file": "../x.pt"}, "file must be a plain name"),
        ({"sha256": "f37072fd"}, "sha256 must be 64 digits"),
        ({"input": {"channels": 3, "scaling": "range"}}, "range must be given"),
        ({"input": {"channels": 2, "scaling": None, "mean": [1]}}, "one per channel"),
        ({"input": {"canals": 3}}, "canals"),
    ],
)
def test_a_faulty_description_is_refused_with_its_fault(tmp_path, changes, fault):
    with pytest.raises(WeightsError, match=fault):
        read_source(write(tmp_path, **changes))


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(WeightsError, match=r"must be one of .*resnet18-imagenet.*, got vgg"):
        get_source("vgg", NOWHERE)


def test_the_shelf_is_where_the_variable_says_else_among_the_users_data():
    assert find_shelf({"MEDVISION_WEIGHTS": "/w"}) == Path("/w")
    assert find_shelf({"XDG_DATA_HOME": "/d"}) == Path("/d/medvision/weights")


def form(name, intensity="window", channels=1):
    return build_form(SOURCES[name], intensity=intensity, channels=channels)


def compute_input(found, value):
    """What the weights see of an intensity of the study's, per channel."""
    return [(value - mean) / sd for mean, sd in zip(found.mean, found.sd, strict=True)]


def test_black_and_white_reach_the_bounds_that_each_source_expects():
    for name, bounds in {
        "mobilenet_v2-imagenet-folded": (-1, 1),
        "densenet121-torchxrayvision": (-1024, 1024),
    }.items():
        for value, bound in zip((0, 1), bounds, strict=True):
            assert compute_input(form(name), value) == pytest.approx(
                [bound] * SOURCES[name].input.channels
            )
    red = compute_input(form("resnet18-imagenet"), 1)[0]
    assert red == pytest.approx((1 - 0.485) / 0.229)


def test_scaled_deviations_enter_as_they_are():
    assert form("resnet18-medicalnet", "zscore") == PLAIN
    grey = form("resnet18-imagenet", "zscore")
    assert (grey.mean, grey.sd) == ((0.0,) * 3, (1.0,) * 3)
    assert form("resnet18-imagenet", "zscore", channels=3) == PLAIN


def test_channels_that_do_not_correspond_share_one_scale():
    found = form("resnet18-imagenet", channels=2)
    assert found.mean == pytest.approx([sum((0.485, 0.456, 0.406)) / 3] * 2)


@pytest.mark.parametrize(
    ("name", "intensity"),
    [
        ("resnet18-medicalnet", "window"),
        ("densenet121-torchxrayvision", "zscore"),
        ("resnet18-imagenet", "auto"),
        ("resnet18-imagenet", "none"),
    ],
)
def test_arrays_that_no_entrance_can_mend_are_refused(name, intensity):
    with pytest.raises(ConfigError, match=rf"for the weights {name}, got {intensity}"):
        form(name, intensity)


def test_a_source_that_does_not_say_what_it_expects_changes_nothing():
    source = replace(
        SOURCES["resnet18-imagenet"],
        input=replace(SOURCES["resnet18-imagenet"].input, scaling=None),
    )
    assert build_form(source, intensity="auto", channels=1) == PLAIN
