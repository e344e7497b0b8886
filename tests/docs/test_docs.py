"""The documents say what is true: commands, exit codes, links."""

import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from medvision import errors
from medvision.cli.main import COMMANDS, main
from medvision.cli.reference import render_reference
from medvision.config.model import load_study
from medvision.io import reasons
from medvision.preprocess import rejection

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    [*CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("*.md"), *CHECKOUT.glob("config/*.md")]
)


def families() -> dict[str, int]:
    base = errors.MedvisionError
    found = inspect.getmembers(
        errors, lambda item: inspect.isclass(item) and issubclass(item, base)
    )
    return {name: family.exit_code for name, family in found if family is not base}


def test_each_error_family_has_a_code_of_its_own_and_its_row() -> None:
    page = (CHECKOUT / "docs" / "reference" / "errors.md").read_text()
    for name, code in families().items():
        assert f"| {code} | {name} |" in page
    assert len(set(families().values())) == len(families())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    text = (CHECKOUT / "docs" / "reference" / "cli.md").read_text()
    assert f"## medvision {command}" in text


def test_the_page_of_the_commands_is_what_they_say_of_themselves() -> None:
    assert (CHECKOUT / "docs" / "reference" / "cli.md").read_text() == render_reference()


def list_examples() -> list[str]:
    """Return the command lines below `Example:` in the commands' help."""
    return re.findall(r"Example:\n +medvision (.+)", render_reference())


@pytest.mark.parametrize("example", list_examples())
def test_the_example_in_a_commands_help_names_options_and_settings_that_exist(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CHECKOUT)
    context, words = click.Context(main), shlex.split(example)
    command: click.Command = main
    while isinstance(command, click.Group) and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0)) or pytest.fail(example)
    if "bundle" in example:
        words[0] = "."
    options = command.make_context(None, words).params
    if "overrides" in options:
        load_study(options["config"], overrides=options["overrides"])


def test_every_command_shows_an_example() -> None:
    page = render_reference()
    groups = ("audit", "weights", "cluster")
    assert page.count("Example:") == page.count("Usage:") - len(groups)


def list_codes(text: str, *, heading: str) -> dict[str, str]:
    """Return the table of code and meaning below a heading."""
    section = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("Refused", reasons.REFUSED),
        ("Not an image", reasons.NON_IMAGE),
        ("Flags", reasons.FLAGS),
        ("Left out", rejection.REASONS),
    ],
)
def test_every_reason_code_is_documented_and_no_other(heading: str, codes: dict[str, str]) -> None:
    text = (CHECKOUT / "docs" / "reference" / "outputs.md").read_text()
    assert list_codes(text, heading=heading) == dict(sorted(codes.items()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_commands_in_the_pages_exist(page: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    used = re.findall(r"^medvision (\w+)", "\n".join(blocks), flags=re.MULTILINE)
    assert set(used) <= set(COMMANDS)
