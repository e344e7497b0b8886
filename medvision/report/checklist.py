"""Reporting checklists filled from a run: what the report answers, and what only authors can."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import NotRequired, TypedDict

from medvision.report.evidence import EVIDENCE, Evidence
from medvision.report.facts import Facts

CHECKLISTS = ("tripod_ai", "claim")
CHECKLISTS_COLUMNS = (
    *("checklist", "item", "part", "topic", "asks", "state", "where", "for_authors"),
)

_NOT_RUN = "The step that would answer this was not run."
_STATES = {
    "answered": ("pass", "✓", "Answered here"),
    "part": ("unsure", "…", "In part"),
    "authors": ("none", "–", "For the authors"),
}


class _ItemText(TypedDict):
    """One item as its file holds it; `otherwise` is for the authors where none of it is there."""

    item: str
    part: str
    topic: str
    asks: str
    evidence: list[str]
    authors: str
    otherwise: NotRequired[str]


class _ChecklistText(TypedDict):
    """A checklist as its file holds it."""

    key: str
    title: str
    citation: str
    items: list[_ItemText]


@dataclass(frozen=True)
class Place:
    """Where on the page an item is answered."""

    anchor: str
    words: str


@dataclass(frozen=True)
class ChecklistItem:
    """One item, and how far the report answers it.

    Args:
        item: Number in the checklist.
        part: Part of a paper that it belongs to.
        topic: Its topic.
        asks: What it asks for, in our own words.
        state: `answered`, `part` or `authors`.
        places: Where on the page; none where it is left to the authors.
        authors: What the authors must still say; empty where nothing is left.
    """

    item: str
    part: str
    topic: str
    asks: str
    state: str
    places: tuple[Place, ...]
    authors: str

    @property
    def look(self) -> tuple[str, str, str]:
        """Return style, icon and words of the state, so that colour never stands alone."""
        return _STATES[self.state]


@dataclass(frozen=True)
class Checklist:
    """A filled checklist."""

    key: str
    title: str
    citation: str
    items: tuple[ChecklistItem, ...]

    def count(self, state: str) -> int:
        """Return how many items are in a state."""
        return sum(item.state == state for item in self.items)


def fill_checklists(facts: Facts) -> tuple[Checklist, ...]:
    """Fill every checklist from the facts of a run.

    An item counts as answered only where all that its file names is on the page and nothing is
    left to the authors; where nothing of it is on the page it is left blank for them.

    Args:
        facts: All facts of the report.

    Returns:
        TRIPOD+AI and CLAIM; every place is an id of the page that is rendered of these facts.

    Source:
        Collins GS et al. 2024, doi:10.1136/bmj-2023-078378; Tejani AS et al. 2024,
        doi:10.1148/ryai.240300. Items are paraphrased.
    """
    return tuple(_fill(_read_checklist(name), facts) for name in CHECKLISTS)


def list_checklist_rows(checklists: tuple[Checklist, ...]) -> list[dict[str, str]]:
    """Return all items as rows of a table, places as anchors of report.html.

    Args:
        checklists: The filled checklists.

    Returns:
        Rows with the columns `checklist`, `item`, `part`, `topic`, `asks`, `state`, `where` and
        `for_authors`.
    """
    return [
        {
            "checklist": held.key,
            "item": item.item,
            "part": item.part,
            "topic": item.topic,
            "asks": item.asks,
            "state": item.state,
            "where": " ".join(f"report.html#{place.anchor}" for place in item.places),
            "for_authors": item.authors,
        }
        for held in checklists
        for item in held.items
    ]


def _read_checklist(name: str) -> _ChecklistText:
    """Read a checklist of the package."""
    text = files("medvision.report").joinpath("checklists", f"{name}.json").read_text("utf-8")
    held: _ChecklistText = json.loads(text)
    return held


def _fill(held: _ChecklistText, facts: Facts) -> Checklist:
    """Fill one checklist."""
    items = tuple(_fill_item(item, facts) for item in held["items"])
    return Checklist(held["key"], held["title"], held["citation"], items)


def _choose(names: list[str], facts: Facts) -> Evidence:
    """Return the first of several that the facts hold, such as what a task has in another's place.

    Where none is held it is the first.
    """
    held = [EVIDENCE[name] for name in names]
    return next((each for each in held if each.holds(facts)), held[0])


def _fill_item(item: _ItemText, facts: Facts) -> ChecklistItem:
    """Judge one item."""
    evidence = [_choose(names.split("/"), facts) for names in item["evidence"]]
    found = [held for held in evidence if held.holds(facts)]
    is_whole = len(found) == len(evidence) and not item["authors"]
    state = "authors" if not found else "answered" if is_whole else "part"
    missing = ", ".join(held.words.lower() for held in evidence if held not in found)
    left = f"Not in this report: {missing}." if found and missing else ""
    return ChecklistItem(
        item=item["item"],
        part=item["part"],
        topic=item["topic"],
        asks=item["asks"],
        state=state,
        places=tuple(Place(held.anchor, held.words) for held in found),
        authors=" ".join(text for text in (item["authors"], left) if text)
        or ("" if found else item.get("otherwise", _NOT_RUN)),
    )
