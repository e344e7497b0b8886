"""What is generated from the models: default.yaml, schema.json and the reference page."""

import argparse
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from medvision.config.model import Study
from medvision.runtime.files import write_text

_HEAD = "Generated from medvision/config/sections.py by `python -m medvision.config.export`."


def _sections() -> dict[str, type[BaseModel]]:
    """Return section name to model, in the order of the work."""
    pairs = {name: info.annotation for name, info in Study.model_fields.items()}
    return {n: m for n, m in pairs.items() if isinstance(m, type) and issubclass(m, BaseModel)}


def _default(info: FieldInfo) -> object:
    """Return a field's default as plain YAML types."""
    value = info.default
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _render_value(value: object) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def render_default_yaml() -> str:
    """Return every key with its default and its description as a comment."""
    lines = [
        "# Every key with its default.",
        f"# {_HEAD}",
        "# Put only what you change into config.yaml.",
    ]
    for name, model in _sections().items():
        lines += ["", f"# {(model.__doc__ or '').splitlines()[0]}", f"{name}:"]
        fields: list[str] = []
        for key, info in model.model_fields.items():
            fields += textwrap.wrap(f"# {info.description}", 96, subsequent_indent="# ")
            fields.append(f"{key}: {_render_value(_default(info))}")
        lines += [f"  {line}" for line in fields]
    return "\n".join(lines) + "\n"


def render_schema() -> str:
    """Return the JSON schema that Snakemake validates the configuration against."""
    schema = Study.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$comment"] = _HEAD
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def render_reference() -> str:
    """Return the reference page: a table per section."""
    lines = ["# Configuration", "", _HEAD, ""]
    for name, model in _sections().items():
        lines += [f"## `{name}`", "", (model.__doc__ or "").splitlines()[0], ""]
        lines += ["| key | default | what it is |", "|---|---|---|"]
        for key, info in model.model_fields.items():
            default = json.dumps(_default(info), ensure_ascii=False)
            lines.append(f"| `{name}.{key}` | `{default}` | {info.description} |")
        lines.append("")
    return "\n".join(lines)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "config/default.yaml": render_default_yaml,
    "config/schema.json": render_schema,
    "docs/reference/config.md": render_reference,
}
"""Path below the checkout to the function that renders it."""


def write_documents(checkout: Path) -> None:
    """Write all generated documents into a checkout."""
    for path, render in DOCUMENTS.items():
        write_text(checkout / path, render())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the documents generated from the models.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path())
    write_documents(parser.parse_args().checkout)
