"""Colours of the figures: one drawing serves print, the light page and the dark page."""

import re

INK, MUTED, RULE, PAPER = "#14181f", "#5b6472", "#dfe3e8", "#fefefe"
FIRST, SECOND, THIRD, FOURTH = "#0b5cad", "#b85c12", "#5a4fa2", "#1a7f6b"

ARM_COLOURS = {
    "transfer": FIRST,
    "scratch": SECOND,
    "transfer-ensemble": THIRD,
    "scratch-ensemble": FOURTH,
}

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    FIRST: "first",
    SECOND: "second",
    THIRD: "third",
    FOURTH: "fourth",
}


def choose_colour(arm: str, *, position: int) -> str:
    """Return an arm's colour; the same on every figure."""
    return ARM_COLOURS.get(arm, (FIRST, SECOND, THIRD, FOURTH)[position % 4])


def make_themable(svg: str, *, name: str) -> str:
    """Return matplotlib's SVG ready to stand inside the page.

    Its colours become the page's own variables, so that dark mode redraws the figure; ids that
    nothing refers to go, and the others get the figure's name, so that no id occurs twice.

    Args:
        svg: A whole SVG file as matplotlib writes it.
        name: Name of the figure, unique on the page.

    Returns:
        One `<svg>` element, hidden from screen readers (its figure has the text).
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        body = re.sub(re.escape(colour), f"var(--{variable})", body, flags=re.IGNORECASE)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", body))
    body = re.sub(r' id="([\w.-]+)"', lambda m: _keep_id(m[1], used, name=name), body)
    body = re.sub(r"(url\(#|href=\"#)([\w-]+)", rf"\g<1>{name}-\g<2>", body)
    body = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1; font-family: inherit", body)
    body = re.sub(r"font-family: [^;\"]*DejaVu[^;\"]*", "font-family: inherit", body)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    return body.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1).strip()


def _keep_id(found: str, used: set[str], *, name: str) -> str:
    """Return the id attribute of an element that is referred to, nothing otherwise."""
    return f' id="{name}-{found}"' if found in used else ""
