"""The page's style and scripts: files of the package, joined and known by their digest."""

import base64
import hashlib
from importlib.resources import files

_STYLES = ("vendor/uPlot.min.css", "templates/style.css")
_SCRIPTS = (
    *("templates/script.js", "templates/tables.js"),
    *("vendor/uPlot.iife.min.js", "templates/plots.js"),
)


def read_style() -> str:
    """Return the page's whole style sheet."""
    return _join(_STYLES)


def read_script() -> str:
    """Return the page's whole script, the library of the plots within it."""
    return _join(_SCRIPTS)


def hash_script(script: str) -> str:
    """Return a script's digest as the page's content security policy names it."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"sha256-{digest}"


def _join(names: tuple[str, ...]) -> str:
    """Join files of this room."""
    folder = files("medvision.report")
    return "".join(folder.joinpath(name).read_text("utf-8").rstrip() + "\n" for name in names)
