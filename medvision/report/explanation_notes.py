"""What the explanation stage says beside its tables: refusals, grids too coarse, limits."""

from typing import TypeGuard

from medvision.domain.record import JsonValue
from medvision.report.sources import Sources, parse_count
from medvision.report.words import METHODS, say, say_count


def list_notes(sources: Sources) -> tuple[str, ...]:
    """Return what the explanation stage says of single methods: refused, or a grid too coarse."""
    methods = sources.document("explain_summary").get("methods")
    held = methods if isinstance(methods, dict) else {}
    known = {name: facts for name, facts in held.items() if _is_map(facts)}
    notes = [(name, facts.get("too_coarse")) for name, facts in known.items()]
    notes += [(name, note) for name, facts in known.items() for note in _list_refusals(facts)]
    return tuple(f"{say(name, METHODS)}: {note}" for name, note in notes if note)


def read_verdicts(sources: Sources) -> dict[str, tuple[str, str]]:
    """Return each method's and control's verdict over all images, with its reason."""
    summary = sources.document("explain_summary")
    found = {}
    for part in (summary.get("methods"), summary.get("controls")):
        for name, facts in part.items() if _is_map(part) else ():
            held = facts.get("verdict") if _is_map(facts) else None
            if _is_map(held):
                found[name] = (str(held["verdict"]), str(held["reason"]))
    return found


def _list_refusals(facts: dict[str, JsonValue]) -> list[str]:
    """Return each reason for which a method has no map, with the number of images."""
    refused = facts.get("refused")
    return [
        f"refused for {say_count(parse_count(str(held['n_images'])) or 0, 'image')}, no map is "
        f"shown: {held['reason']}."
        for held in (refused if isinstance(refused, list) else [])
        if _is_map(held)
    ]


def _is_map(value: JsonValue) -> TypeGuard[dict[str, JsonValue]]:
    return isinstance(value, dict)


def list_limits(sources: Sources) -> tuple[str, ...]:
    """Return the limits that the explanation stage states."""
    limits = sources.document("explain_summary").get("limits")
    return tuple(str(limit) for limit in limits) if isinstance(limits, list) else ()
