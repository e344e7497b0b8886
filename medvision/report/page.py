"""The whole report from plain rows and arrays: what the command `report` calls."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from medvision.domain.record import JsonValue
from medvision.report.canvas import Picture
from medvision.report.case import CaseView
from medvision.report.checklist import Checklist, fill_checklists
from medvision.report.facts import Facts, facts_to_json, to_json
from medvision.report.figure_case import draw_case
from medvision.report.figures import draw_figures
from medvision.report.model_card import build_model_card, model_card_to_json
from medvision.report.plots import build_plots
from medvision.report.render import render_model_card, render_page
from medvision.report.sheet import GreyPicture, encode_pictures
from medvision.report.viewer import Viewer

MAX_CASES = 8


@dataclass(frozen=True)
class Report:
    """Everything that the report stage writes.

    Args:
        html: The page.
        model_card: Markdown.
        model_card_json: The same as JSON.
        facts: Content of report.json.
        checklists: Filled from the facts.
        figures: File name without folder, to PNG bytes.
    """

    html: str
    model_card: str
    model_card_json: JsonValue
    facts: JsonValue
    checklists: tuple[Checklist, ...]
    figures: dict[str, bytes]


def build_report(
    facts: Facts,
    *,
    views: Mapping[str, CaseView],
    pictures: Mapping[str, GreyPicture] | None = None,
    viewer: Viewer | None = None,
) -> Report:
    """Render page, model card and figures.

    Args:
        facts: All numbers and words.
        views: Pictures of the explained cases by image_id, at most `MAX_CASES` so that the page
            stays small.
        pictures: Grey pictures of the tiles of the contact sheet by image_id; none without.
        viewer: Volumes that can be opened in three planes; none without.

    Returns:
        The report; equal arguments give equal bytes.
    """
    figures = draw_figures(facts)
    cases = [
        draw_case(case, views[case.image_id])
        for case in facts.explanation.cases
        if case.image_id in views
    ]
    files = {name: figure for name, figure in figures.items() if not name.startswith("training-")}
    checklists, card = fill_checklists(facts), build_model_card(facts)
    return Report(
        html=render_page(
            facts,
            figures,
            views=views,
            pictures=encode_pictures(pictures or {}),
            checklists=checklists,
            plots=build_plots(facts),
            viewer=viewer,
        ),
        model_card=render_model_card(card, version=facts.version),
        model_card_json=model_card_to_json(card),
        facts=_join_facts(facts, views, checklists=checklists),
        checklists=checklists,
        figures=_list_files([*files.values(), *cases]),
    )


def _join_facts(
    facts: Facts, views: Mapping[str, CaseView], *, checklists: tuple[Checklist, ...]
) -> JsonValue:
    """Return the facts with what is said about the pictures, and the checklists."""
    joined = cast(dict[str, JsonValue], facts_to_json(facts))
    displays = [cast(JsonValue, asdict(view.facts)) for view in views.values()]
    filled = [_describe_checklist(held) for held in checklists]
    return {**joined, "displays": displays, "checklists": filled}


def _describe_checklist(held: Checklist) -> JsonValue:
    """Return a checklist as JSON, with the counts that the page shows."""
    states = Counter(item.state for item in held.items)
    plain = cast(dict[str, JsonValue], to_json(asdict(held)))
    return {**plain, "n_by_state": dict(states)}


def _list_files(pictures: list[Picture]) -> dict[str, bytes]:
    return {f"{picture.name}.png": picture.png for picture in pictures}
