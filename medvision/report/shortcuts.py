"""The shortcut audit as facts: what the label can be predicted from that should not tell it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from medvision.domain.record import JsonValue
from medvision.report.sources import JsonObject, Sources
from medvision.report.words import say_count, show_minus

CITATIONS = {
    "permutation": "Ojala M, Garriga GC. Permutation tests for studying classifier performance. J "
    "Mach Learn Res 2010;11:1833-1863.",
    "shortcuts": "Geirhos R et al. Shortcut learning in deep neural networks. Nat Mach Intell "
    "2020;2:665-673. doi:10.1038/s42256-020-00257-z.",
    "ridge": "Hoerl AE, Kennard RW. Ridge regression: biased estimation for nonorthogonal "
    "problems. Technometrics 1970;12:55-67. doi:10.1080/00401706.1970.10488634.",
}

_PROBES = {
    "scanner": "Scanner",
    "acquisition": "Acquisition settings",
    "size": "Size and spacing",
    "format": "Kind and flags of the file",
    "headers": "All headers together",
    "background": "Background, body blanked",
    "border": "Border of the picture",
}
_VERDICTS = {
    "found": "Can be predicted",
    "hint": "A hint",
    "none": "No sign",
    "not-judged": "Cannot be judged",
    "undefined": "Undefined",
    "constant": "One value: nothing to learn",
    "absent": "Not known of any image",
    "no-background": "The body fills most images",
}
_CONTROLS = {
    "permuted": "Labels permuted among subjects",
    "image-level": "Images split, not subjects",
}
_CONTROL_VERDICTS = {
    "chance": "At chance, as it must be",
    "above-chance": "Above chance: something leaks",
    "above-together": "Above chance together: something leaks",
    "below-chance": "Below chance",
    "not-judged": "Cannot be judged",
    "hint": "A hint",
    "differs": "Would have been flattered",
    "lower": "Lower",
    "no-difference": "Not shown to differ",
    "nothing-to-compare": "Nothing to compare",
    "undefined": "Undefined",
}
_MOST_TOLD = 2


@dataclass(frozen=True)
class ShortcutRow:
    """One probe on one target; numbers are None where it was not asked."""

    probe: str
    words: str
    target: str
    shown: str
    value: float | None
    low: float | None
    high: float | None
    network: float | None
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    p_holm: float | None
    verdict: str
    says: str


@dataclass(frozen=True)
class ControlRow:
    """One control on one target; numbers are None where nothing was trained or compared."""

    control: str
    words: str
    target: str
    value: float | None
    low: float | None
    high: float | None
    study: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    verdict: str
    says: str


@dataclass(frozen=True)
class ShortcutFacts:
    """The whole audit; empty where none was made.

    Args:
        rows: One per probe and target.
        controls: One per control and target.
        warnings: Sentences on what was found.
        n_found: How many of them are of probes.
        limits: What the probes cannot show.
        n_looks: How many figures the correction is for.
        confidence: Level of the intervals.
    """

    rows: tuple[ShortcutRow, ...]
    controls: tuple[ControlRow, ...]
    warnings: tuple[str, ...]
    n_found: int
    limits: str
    n_looks: int
    confidence: float

    @property
    def headline(self) -> tuple[str, ...]:
        """What was found as a line of the summary; none where nothing was."""
        if not self.warnings:
            return ()
        more = len(self.warnings) - _MOST_TOLD
        rest = f" {say_count(more, 'more warning')}: see Shortcuts." if more > 0 else ""
        return (f"Shortcuts: {' '.join(self.warnings[:_MOST_TOLD])}{rest}",)


def build_shortcuts(sources: Sources) -> ShortcutFacts:
    """Gather the audit.

    Args:
        sources: Its document `shortcuts`; without it the facts are empty.
    """
    held = sources.document("shortcuts")
    if not held:
        return ShortcutFacts((), (), (), 0, "", 0, 0.0)
    rows = tuple(_build_row(cast(JsonObject, row)) for row in _list(held, "probes"))
    return ShortcutFacts(
        rows=rows,
        controls=tuple(_build_control(cast(JsonObject, row)) for row in _list(held, "controls")),
        n_found=sum(row.verdict == _VERDICTS["found"] for row in rows),
        warnings=tuple(show_minus(str(text)) for text in _list(held, "warnings")),
        limits=str(held["limits"]),
        n_looks=int(cast(int, held["n_looks"])),
        confidence=float(cast(float, held["confidence"])),
    )


def describe_shortcuts(sources: Sources, cite: Callable[[str], str]) -> str:
    """Write the methods' paragraph on the audit; empty where there is none.

    Args:
        sources: Its document.
        cite: Gives a citation's number.
    """
    facts = build_shortcuts(sources)
    asked = dict.fromkeys(row.words for row in facts.rows if row.value is not None)
    controls = dict.fromkeys(row.control for row in facts.controls if row.value is not None)
    told = [_DESCRIBED[name].format(cite=cite("permutation")) for name in controls]
    if not asked:
        return " ".join(told)
    names = ", ".join(f"{name[0].lower()}{name[1:]}" for name in asked)
    return (
        f"Whether the label can be predicted from what should not tell it {cite('shortcuts')} was "
        f"asked of ridge regressions {cite('ridge')}, each shown one thing alone ({names}), fitted "
        "on the train subjects of each fold, their strength chosen on validation subjects, and "
        "tested on its test subjects. A warning needs an interval above chance and a "
        f"permutation test {cite('permutation')}, corrected by Holm for "
        f"{say_count(facts.n_looks, 'test')}. {' '.join(told)}"
    ).rstrip()


_DESCRIBED = {
    "permuted": "As a control the network of the first fold and seed was trained once more on "
    "labels permuted among subjects, copies kept together, and tested on these {cite}.",
    "image-level": "To see what a split of images would have flattered, the same network was "
    "trained on the first fold with images dealt to its sides, whoever's they were.",
}


def _list(held: JsonObject, name: str) -> Sequence[JsonValue]:
    """Return a list of the document."""
    return cast(Sequence[JsonValue], held[name])


def _build_row(row: JsonObject) -> ShortcutRow:
    """Return one probe."""
    probe = str(row["probe"])
    names = ("value", "low", "high", "network", "gain", "gain_low", "gain_high", "p_holm")
    return ShortcutRow(
        probe=probe,
        words=_PROBES.get(probe, probe[0].upper() + probe[1:]),
        target=str(row["target"] or ""),
        shown=str(row["shown"]),
        **_read_numbers(row, names),
        verdict=_VERDICTS[str(row["verdict"])],
        says=show_minus(str(row["words"])),
    )


def _build_control(row: JsonObject) -> ControlRow:
    """Return one control."""
    control = str(row["control"])
    names = ("value", "low", "high", "study", "difference", "difference_low", "difference_high")
    return ControlRow(
        control=control,
        words=_CONTROLS[control],
        target=str(row["target"] or ""),
        **_read_numbers(row, names),
        verdict=_CONTROL_VERDICTS[str(row["verdict"])],
        says=show_minus(str(row["words"])),
    )


def _read_numbers(row: JsonObject, names: Sequence[str]) -> dict[str, float | None]:
    """Return numbers by name, None where there is none."""
    return {
        name: float(value) if isinstance(value := row[name], int | float) else None
        for name in names
    }
