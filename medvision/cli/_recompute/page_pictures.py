"""The pictures of the explained cases as they stand in the page, read without running it."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

_CASE = re.compile(r"case-(\d+)")
_URI = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


@dataclass
class CasePictures:
    """PNG files of one case.

    Args:
        bases: Every place that shows the image without a map: the plain one, and what lies below
            each map.
        maps: What lies over it, in the order of the page.
    """

    bases: list[bytes] = field(default_factory=list)
    maps: list[bytes] = field(default_factory=list)


def read_case_pictures(html: str) -> Mapping[int, CasePictures]:
    """Read the pictures that are inlined in the cases' articles.

    Args:
        html: The page. Nothing in it is run.

    Returns:
        Number of a case to its pictures; those of a picture that is no readable data are empty.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.cases


class _Reader(HTMLParser):
    """Collects `img.layer` and the style that lies below maps, article by article."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.cases: dict[int, CasePictures] = {}
        self._case: CasePictures | None = None
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag == "article" and (found := _CASE.fullmatch(held.get("id", ""))):
            self._case = self.cases.setdefault(int(found[1]), CasePictures())
        self._is_style = tag == "style"
        classes = held.get("class", "").split()
        if self._case is None or tag != "img" or "layer" not in classes:
            return
        group = self._case.maps if "map" in classes else self._case.bases
        group.append(_decode(held.get("src", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._case = None
        self._is_style = False

    def handle_data(self, data: str) -> None:
        if self._is_style and self._case is not None:
            self._case.bases.append(_decode(data))


def _decode(text: str) -> bytes:
    """Return the bytes of the first picture in a text; none where there is no readable one."""
    found = _URI.search(text)
    if found is None:
        return b""
    try:
        return base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return b""
