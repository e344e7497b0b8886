"""Every rule: what it asks for comes from one table, and its wildcards tell of nobody."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from medvision.config.requests import REQUESTS

CHECKOUT = Path(__file__).parents[2]

WILDCARDS = {
    *("arm", "start", "share", "control", "fold", "part", "worker", "shard", "shards"),
}
"""What wildcards may be: numbers, and names that the configuration has. They stand in comments of
jobs, which every user of a cluster can read, and in the names of logs: no subject, no image."""


def split_rules(text: str) -> dict[str, str]:
    """Return name and body of each rule of a file."""
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def list_rules() -> dict[str, str]:
    paths = sorted((CHECKOUT / "workflow" / "rules").glob("*.smk"))
    return {name: body for p in paths for name, body in split_rules(p.read_text()).items()}


RULES = {name: body for name, body in list_rules().items() if "localrule: True" not in body}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_asks_for_what_the_table_says(rule: str) -> None:
    body = RULES[rule]
    assert rule in REQUESTS, f"{rule} must have a line in medvision/config/requests.py"
    assert f'threads: asked["{rule}"].threads' in body
    assert f'**asked["{rule}"].resources,' in body
    (resources,) = re.findall(r"    resources:\n((?: {8}.*\n)+)", body)
    assert resources.count("\n") == 1, "its own figures would hide those of the table"


@pytest.mark.parametrize("rule", RULES)
def test_what_a_shell_is_handed_is_quoted(rule: str) -> None:
    """A folder may have a space, or worse."""
    handed = re.findall(r"\{(\w[\w.]*)(:q)?\}", RULES[rule].partition("    shell:")[2])
    paths = {(name, quote) for name, quote in handed if not name.startswith(("wildc", "resources"))}
    assert {("log", ":q"), ("params.config", ":q")} <= paths
    assert {quote for _, quote in paths} == {":q"}


@pytest.fixture
def wildcards(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, set[str]]]:
    """Each rule's wildcards, as Snakemake itself reads the workflow."""
    monkeypatch.chdir(CHECKOUT)
    # The workflow sets both for itself and its jobs.
    monkeypatch.setenv("MEDVISION_UMASK", "")
    held = os.umask(0o022)
    try:
        yield list_wildcards()
    finally:
        os.umask(held)


def list_wildcards() -> dict[str, set[str]]:
    """Return each rule's wildcards."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        held = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            snakefile=CHECKOUT / "workflow" / "Snakefile",
        )
        return {rule.name: set(rule.wildcard_names) for rule in held._workflow.rules}


def test_no_wildcard_of_any_rule_is_a_subject_or_an_image(wildcards: dict[str, set[str]]) -> None:
    assert set(RULES) <= set(wildcards)
    assert {rule: names - WILDCARDS for rule, names in wildcards.items() if names - WILDCARDS} == {}


def test_every_wildcard_is_bound_to_numbers_or_to_names_of_the_configuration() -> None:
    common = (CHECKOUT / "workflow" / "rules" / "common.smk").read_text()
    (block,) = re.findall(r"^wildcard_constraints:\n((?:    .*\n)+)", common, flags=re.MULTILINE)
    assert set(re.findall(r"^    (\w+)=", block, flags=re.MULTILINE)) == WILDCARDS
