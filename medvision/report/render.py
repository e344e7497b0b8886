"""The page and the model card from facts and pictures: templates filled, nothing computed."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from medvision.domain.record import JsonValue
from medvision.report.assets import hash_script, read_script, read_style
from medvision.report.canvas import Picture
from medvision.report.case import CaseView
from medvision.report.checklist import Checklist
from medvision.report.comparing import ComparisonFacts
from medvision.report.evidence import name_paragraph
from medvision.report.facts import Facts
from medvision.report.metric import Metric
from medvision.report.model_card import ModelCard
from medvision.report.overlay import build_palette
from medvision.report.quality import QualityRow
from medvision.report.viewer import Viewer, build_colours
from medvision.report.words import (
    ARMS,
    CHECK_MEANINGS,
    METHODS,
    say,
    say_count,
    say_number,
)

_OPTIONAL = (
    *("roc", "calibration", "decision", "risk_coverage", "findings", "scatter", "bland_altman"),
    "cascade",
)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """The axis of the headline's interval plot, in percent of its width."""

    low: float
    high: float
    step: float = 0.1

    @property
    def ticks(self) -> list[float]:
        """Return the steps within the axis."""
        first, last = round(self.low / self.step), round(self.high / self.step)
        return [round(n * self.step, 9) for n in range(first, last + 1)]

    def place(self, value: float) -> str:
        """Return a value's place; a margin keeps labels inside."""
        share = (value - self.low) / (self.high - self.low)
        return f"{2 + 96 * share:.2f}%"


def render_page(
    facts: Facts,
    figures: Mapping[str, Picture],
    *,
    views: Mapping[str, CaseView],
    pictures: Mapping[str, bytes] | None = None,
    checklists: Sequence[Checklist] = (),
    plots: Mapping[str, JsonValue] | None = None,
    viewer: Viewer | None = None,
) -> str:
    """Render the whole page as one self-contained HTML file.

    Args:
        facts: All numbers and words.
        figures: Charts by name.
        views: Pictures of the cases shown, by image_id.
        pictures: PNG of the contact sheet's tiles and of leaking pairs, by image_id; none
            without.
        checklists: Filled from the same facts; none without.
        plots: Values of the charts that can be read out, by figure; none without.
        viewer: Volumes and what shows them; none without.

    Returns:
        HTML that loads nothing from elsewhere; equal arguments give equal text.
    """
    environment = _build_environment()
    script = read_script(has_plots=True, has_viewer=viewer is not None and viewer.is_there)
    main = facts.performance.main
    shown = [(case, views.get(case.image_id)) for case in facts.explanation.cases]
    return environment.get_template("report.html.j2").render(
        facts=facts,
        figures={**dict.fromkeys(_OPTIONAL), **figures},
        training=[p for name, p in figures.items() if name.startswith("training-")],
        cases=[(case, view) for case, view in shown if view is not None],
        tiles=_list_tiles(facts, pictures or {}),
        pictures=pictures or {},
        contents=_list_contents(facts, has_checklists=bool(checklists)),
        checklists=checklists,
        plots=plots or {},
        viewer=viewer,
        colours=build_colours(),
        headline=next((metric for metric in main if metric.value is not None), None),
        scale=_choose_scale(main, facts.performance.chance),
        by_metric=_group_by_metric(facts.performance.metrics),
        confusions=[arm for arm in facts.performance.arms if arm.confusion],
        meanings=[
            (facts.explanation.check_words[check], CHECK_MEANINGS[check])
            for check in facts.explanation.checks
            if check in CHECK_MEANINGS
        ],
        ramp=_build_ramp(),
        style=Markup(read_style()),  # noqa: S704 - the package's own file
        script=Markup(script),  # noqa: S704 - the package's own file
        script_digest=hash_script(script),
    )


def render_model_card(card: ModelCard, *, version: str) -> str:
    """Render the model card as Markdown with a YAML head."""
    template = _build_environment().get_template("model_card.md.j2")
    return template.render(card=card, version=version)


def _list_contents(facts: Facts, *, has_checklists: bool) -> list[tuple[str, str]]:
    """Return (anchor, heading) of the sections that have something to say."""
    everything = {
        "summary": ("Summary", True),
        "data": ("Data and leakage", True),
        "quality": ("Image quality", facts.quality.n_images > 0),
        "training": ("Training", bool(facts.performance.histories)),
        "performance": ("Performance", bool(facts.performance.metrics)),
        "transfer": ("Transfer", bool(facts.transfer.rows)),
        "ablation": ("Synthetic images", bool(facts.ablation.rows)),
        "shortcuts": ("Shortcuts", bool(facts.shortcuts.rows or facts.shortcuts.controls)),
        "errors": ("Errors", facts.errors.n_images > 0),
        "novelty": ("Unlike the train images", bool(facts.novelty.rows or facts.novelty.headers)),
        "explanations": ("Explanations", bool(facts.explanation.cases)),
        "methods": ("Methods", bool(facts.methods.paragraphs)),
        "reproducibility": ("Reproducibility", True),
        "limits": ("Limits", True),
        "checklists": ("Checklists", has_checklists),
    }
    return [(anchor, heading) for anchor, (heading, is_there) in everything.items() if is_there]


def _list_tiles(facts: Facts, pictures: Mapping[str, bytes]) -> list[tuple[QualityRow, bytes]]:
    """Return the tiles of the contact sheet for which there is a picture."""
    rows = {row.image_id: row for row in facts.quality.rows}
    return [(rows[name], pictures[name]) for name in facts.quality.tiles if name in pictures]


@cache
def _build_environment() -> Environment:
    """Return the templates' environment: escaping on, an unknown name is an error.

    One for all pages: to compile the templates takes longer than to fill them.
    """
    environment = Environment(
        loader=PackageLoader("medvision.report"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "arm": lambda arm: say(arm, ARMS),
        "method": lambda method: say(method, METHODS),
        "count": say_count,
        "number": _show_number,
        "whole": lambda n: "–" if n is None else str(n),
        "percent": lambda share: "–" if share is None else f"{100 * share:.3g}%",
        "tenth": lambda share: "–" if share is None else f"{100 * share:.1f}%",
        "short": _show_short,
        "sentence": _show_sentence,
        "data_uri": _show_data_uri,
        "tall": lambda view: round(100 * _count_rows(view) / view.size[0], 4),
        "top": lambda view: round(-100 * (view.key * (view.size[0] + 2) + 1) / view.size[0], 4),
        "pretty": _show_settings,
        "values": _show_values,
        "paragraph": name_paragraph,
    }
    return environment


def _show_number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    return say_number(value, digits=digits, signed=signed)


def _show_short(value: float) -> str:
    """Show three significant digits, whole numbers from a hundred on."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    if "e" in text:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return text.replace("-", "−")


def _show_sentence(text: str) -> str:
    """Show a text as a sentence; names within keep their letters."""
    return f"{text[:1].upper()}{text[1:]}."


def _show_data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _show_settings(settings: Mapping[str, JsonValue]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False)


def _show_values(values: JsonValue) -> Markup:
    """Return JSON for an attribute in single quotes: far shorter than with each quote escaped."""
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    for character, entity in (("&", "&amp;"), ("'", "&#39;"), ("<", "&lt;")):
        text = text.replace(character, entity)
    return Markup(text)  # noqa: S704 - all that ends an attribute or opens a tag is escaped


def _count_rows(view: CaseView) -> int:
    """Return the rows of a case's tall picture, spare rows included."""
    return len(view.facts.shown) * (view.size[0] + 2)


def _build_ramp() -> str:
    """Return the colour bar as a CSS gradient: the overlay's own colours."""
    palette = build_palette()
    stops = [f"rgba({r},{g},{b},{a / 255:.3f})" for r, g, b, a in palette[::5].tolist()]
    return f"linear-gradient(90deg, {', '.join(stops)})"


def _choose_scale(metrics: Sequence[Metric], chance: float | None) -> Scale:
    """Return an axis in whole tenths that holds every interval and chance."""
    held = [v for m in metrics for v in (m.value, m.low, m.high) if v is not None]
    held += [] if chance is None else [chance]
    if held and chance is None:
        return _choose_round_scale(max(held))
    low = min([*held, 0.9])
    return Scale(max(0.0, int(10 * low) / 10), 1.0)


def _choose_round_scale(highest: float) -> Scale:
    """Return an axis from 0 in at most six round steps."""
    rough = max(highest, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return Scale(0.0, step * math.ceil(highest / step), step)


def _group_by_metric(metrics: Sequence[Metric]) -> list[tuple[str, list[Metric]]]:
    """Return (words, metrics of each arm), in the order of the first arm."""
    names = dict.fromkeys(metric.words for metric in metrics)
    return [(name, [metric for metric in metrics if metric.words == name]) for name in names]


def render_comparison(facts: ComparisonFacts) -> str:
    """Render the page of two studies side by side, as self-contained as the report's."""
    script = read_script(has_plots=False)
    contents = ("summary", "performance", "configuration", "cohort", "software")
    return (
        _build_environment()
        .get_template("comparison.html.j2")
        .render(
            facts=facts,
            contents=[(name, name.capitalize()) for name in contents],
            style=Markup(read_style()),  # noqa: S704 - the package's own file
            script=Markup(script),  # noqa: S704 - the package's own file
            script_digest=hash_script(script),
        )
    )
