"""Images with text in their pixels are refused, flagged or blanked as the rules say."""

import pickle

import numpy as np
import pytest
from encoded import build_image, describe, make_ramp

from medvision.errors import ConfigError, DataError
from medvision.io.pixels.regions import (
    RegionRule,
    blank,
    check_burned_in,
    find_regions,
    read_rules,
)
from medvision.io.reasons import FLAGS, REFUSED, RefusalError

RULES = """
- match: {modality: US, manufacturer: GE, rows: 40, columns: 48}
  regions: [[0, 0, 5, 48], [30, 40, 10, 8]]
- match: {sop_class: 1.2.840.10008.5.1.4.1.1.7}
  regions: [[0, 0, 1, 1]]
"""


def write(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


def make_instance(**values):
    return describe(build_image(make_ramp()), **values)


def test_rules_are_read_and_travel_between_processes(tmp_path):
    rules = read_rules(write(tmp_path, RULES))
    assert rules[0] == RegionRule(
        ((0, 0, 5, 48), (30, 40, 10, 8)), modality="US", manufacturer="GE", rows=40, columns=48
    )
    assert pickle.loads(pickle.dumps(rules)) == rules


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"modality": "US", "manufacturer": "GE"}, 2),
        ({"modality": "US", "manufacturer": "ge"}, 2),
        ({"modality": "US", "manufacturer": "GE", "rows": 41}, 0),
        ({"modality": "US", "manufacturer": "Philips"}, 0),
        ({"modality": "CT", "manufacturer": "GE"}, 0),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7"}, 1),
        (
            {"modality": "US", "manufacturer": "GE", "sop_class": "1.2.840.10008.5.1.4.1.1.7"},
            3,
        ),
    ],
)
def test_a_rule_counts_where_all_that_it_names_is_equal(tmp_path, values, count):
    rules = read_rules(write(tmp_path, RULES))
    assert len(find_regions(rules, make_instance(**values))) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a list"),
        ("{}", "must be a list"),
        ("- 5", "rule 1: must have match and regions"),
        ("- {match: {modality: US}}", "rule 1: must have match and regions"),
        ("- {match: {}, regions: [[0, 0, 1, 1]]}", "must name an attribute"),
        ("- {match: {patient: X}, regions: [[0, 0, 1, 1]]}", "got patient"),
        ("- {match: {rows: 0}, regions: [[0, 0, 1, 1]]}", "rows must be above 0"),
        ("- {match: {modality: 5}, regions: [[0, 0, 1, 1]]}", "modality must be a text"),
        ("- {match: {modality: US}, regions: []}", "regions must be a list"),
        ("- {match: {modality: US}, regions: [[0, 0, 1]]}", r"\[row, column, height, width\]"),
        ("- {match: {modality: US}, regions: [[0, 0, 0, 1]]}", r"\[row, column, height, width\]"),
        ("- {match: {modality: US}, regions: [[-1, 0, 1, 1]]}", r"\[row, column, height, width\]"),
        ("- {match: {modality: US}, regions: [[0, 0, 1.5, 1]]}", r"\[row, column, height, width\]"),
        (RULES + "- {match: {modality: US}, regions: [[a, 0, 1, 1]]}", "rule 3"),
        ("- [", "must be YAML"),
        ("- !!python/object/apply:os.getcwd []", "must be YAML"),
    ],
)
def test_a_broken_rule_is_named(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as error:
        read_rules(path)
    assert str(path) in str(error.value)
    assert error.value.hint != ConfigError.default_hint


def test_rules_that_cannot_be_read_are_an_error_of_the_data(tmp_path):
    with pytest.raises(DataError):
        read_rules(tmp_path / "absent.yaml")


@pytest.mark.parametrize("extra", [(), (3,), (3, 2), (3, 2, 3)])
def test_regions_are_filled_with_the_least_value_on_every_plane(extra):
    rng = np.random.default_rng(0)
    values = rng.integers(5, 100, (48, 40, *extra)).astype(np.int16)  # columns first
    blanked = blank(values, [(2, 10, 4, 6)])
    assert (blanked[10:16, 2:6] == values.min()).all()
    outside = np.ones(values.shape, bool)
    outside[10:16, 2:6] = False
    np.testing.assert_array_equal(blanked[outside], values[outside])
    assert blanked.dtype == values.dtype
    assert not np.shares_memory(blanked, values)


def test_real_values_without_a_number_do_not_become_the_filling():
    values = np.array([[np.nan, 3.0], [4.0, 5.0]], np.float32)
    assert blank(values, [(0, 0, 1, 1)])[0, 0] == 3.0


@pytest.mark.parametrize("region", [(0, 0, 41, 1), (0, 0, 1, 49), (39, 47, 2, 1)])
def test_a_region_that_the_image_does_not_have_is_refused(region):
    with pytest.raises(RefusalError) as refusal:
        blank(np.zeros((48, 40, 1)), [region])
    assert refusal.value.reason == "burned-in-risk"


@pytest.mark.parametrize("code", ["burned-in-annotation", "burned-in-risk"])
def test_risks_are_refused_by_default_flagged_on_request_and_lifted_by_blanking(code):
    instance = make_instance(flags=(code,))
    with pytest.raises(RefusalError) as refusal:
        check_burned_in(instance, burned_in="refuse", is_blanked=False)
    assert refusal.value.reason == code
    assert code in REFUSED
    assert check_burned_in(instance, burned_in="flag", is_blanked=False) == (code,)
    flags = check_burned_in(instance, burned_in="refuse", is_blanked=True)
    assert flags == (code, "regions-blanked")
    assert set(flags) <= FLAGS.keys()


def test_an_image_without_risk_passes():
    assert check_burned_in(make_instance(), burned_in="refuse", is_blanked=False) == ()
