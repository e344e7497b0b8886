"""The reference page of the commands, written from their own help."""

import argparse
from pathlib import Path

import click

from medvision.cli.main import COMMANDS, main
from medvision.runtime.files import write_text

PAGE = "docs/reference/cli.md"


def render_reference() -> str:
    """Return the page: each command's help as the terminal shows it."""
    lines = [
        "# Commands",
        "",
        "Generated from the commands' own help by `python -m medvision.cli.reference`.",
        "",
    ]
    for name in COMMANDS:
        lines += [f"## medvision {name}", "", "```text", _render_help(name), "```", ""]
    return "\n".join(lines)


def _render_help(name: str) -> str:
    """Return one command's help, with its subcommands' where it has some."""
    parent = click.Context(main, info_name="medvision", **main.context_settings)
    command = main.get_command(parent, name)
    if command is None:
        raise LookupError(name)
    context = click.Context(command, info_name=name, parent=parent, terminal_width=92)
    texts = [command.get_help(context)]
    shown = {n: each for n, each in getattr(command, "commands", {}).items() if not each.hidden}
    for below, inner in shown.items():
        inner_context = click.Context(inner, info_name=below, parent=context, terminal_width=92)
        texts.append(inner.get_help(inner_context))
    return "\n\n".join(texts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the reference page of the commands.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path())
    write_text(parser.parse_args().checkout / PAGE, render_reference())
