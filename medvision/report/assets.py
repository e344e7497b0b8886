"""The page's style and scripts: files of the package, joined and known by their digest."""

import base64
import hashlib
from importlib.resources import files

_STYLES = ("vendor/uPlot.min.css", "templates/style.css")
_SCRIPTS = ("templates/script.js", "templates/tables.js")
_VIEWER = ("templates/viewer.js",)
_PLOTS = ("vendor/uPlot.iife.min.js", "templates/plots.js")


def read_style() -> str:
    """Return the page's whole style sheet."""
    return _join(_STYLES)


def read_script(*, has_plots: bool, has_viewer: bool = False) -> str:
    """Return the page's whole script, with that of plots and of volumes where it has some."""
    parts = (*(_PLOTS if has_plots else ()), *(_VIEWER if has_viewer else ()))
    return _join((*_SCRIPTS, *parts))


def hash_script(script: str) -> str:
    """Return a script's digest as the page's content security policy names it."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"sha256-{digest}"


def _join(names: tuple[str, ...]) -> str:
    """Join files of this room."""
    folder = files("medvision.report")
    return "".join(folder.joinpath(name).read_text("utf-8").rstrip() + "\n" for name in names)
