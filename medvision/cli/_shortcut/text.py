"""The shortcut audit in words."""

from collections.abc import Mapping, Sequence

from medvision.io.tables import Cell

_PROBES = {
    "scanner": "the scanner alone",
    "acquisition": "the acquisition settings alone",
    "size": "the image's size and spacing alone",
    "format": "the kind and flags of the file alone",
    "headers": "all headers together, without the picture",
    "background": "the background alone, the body blanked",
    "border": "the border of the picture alone",
}
_FIGURES = {"auc": "AUC", "auc_macro": "mean AUC over the classes", "r2": "R²"}

_LIMITS = (
    "A label that can be predicted from a part does not prove that the network uses this part: it "
    "shows that it could, and that its figure alone cannot tell the difference.",
    "No sign is no proof of absence: the probes are linear and see coarse descriptions, and the "
    "upper end of each interval is not excluded.",
)


def name_probe(name: str) -> str:
    """Return what a probe is shown, in words.

    Args:
        name: Such as `border`, or `column site`.
    """
    return _PROBES.get(name, f"the {name} of the labels alone")


def say_probe(row: Mapping[str, Cell], confidence: float) -> str:
    """Say what a probe found.

    Args:
        row: Of `shortcuts/probes.tsv`, all but its words.
        confidence: Level of the intervals.
    """
    name, target = str(row["probe"]), str(row["target"])
    what = f"The label {target}" if target else "The label"
    if row["value"] is None:
        return f"{what} from {name_probe(name)}: {row['method']}."
    figure = f"{_FIGURES[str(row['metric'])]} {float(row['value']):.3f}"
    counts = f"on {row['n_images']} held-out images of {row['n_subjects']} subjects"
    told = f"{figure} ({confidence:.0%} interval{_say_ends(row)}) {counts}"
    said = {
        "not-judged": f"Whether {what[0].lower()}{what[1:]} can be predicted from "
        f"{name_probe(name)} cannot be judged: {told}; {row['method']}.",
        "found": f"{what} can be predicted from {name_probe(name)}: {told}.{_say_network(row)}",
        "hint": f"A hint that {what[0].lower()}{what[1:]} can be predicted from "
        f"{name_probe(name)}: {told}; among so many looks this can be chance.",
        "none": f"No sign that {what[0].lower()}{what[1:]} can be predicted from "
        f"{name_probe(name)}: {told}.",
    }
    return said[str(row["verdict"])]


def say_not_asked(shown: Mapping[str, str]) -> str:
    """Say why a probe was not asked.

    Args:
        shown: Its row of `shortcuts/shown.tsv`.
    """
    name = shown["probe"]
    what = name_probe(name)[0].upper() + name_probe(name)[1:]
    reasons = {
        "constant": "one value in all images: nothing to learn",
        "absent": "not known of any image: nothing to look at",
        "no-background": "the body fills most images: too little to look at",
    }
    return f"{what}: {reasons[shown['state']]}."


def say_limits(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Say what the probes cannot show.

    Args:
        rows: Of `shortcuts/probes.tsv`.
    """
    verdicts = {row["verdict"] for row in rows}
    said = [_LIMITS[0]] if verdicts & {"found", "hint"} else []
    said += [_LIMITS[1]] if "none" in verdicts else []
    return " ".join(said)


def _say_ends(row: Mapping[str, Cell]) -> str:
    """Say the interval's ends."""
    if row["low"] is None or row["high"] is None:
        return " not known"
    return f" {float(row['low']):.3f} to {float(row['high']):.3f}"


def _say_network(row: Mapping[str, Cell]) -> str:
    """Say what the network has beyond a probe."""
    if row["network"] is None or row["gain"] is None:
        return ""
    network, gain = float(row["network"]), float(row["gain"])
    said = f" The network has {network:.3f}"
    if row["gain_low"] is None or row["gain_high"] is None:
        return f"{said}."
    low, high = float(row["gain_low"]), float(row["gain_high"])
    ends = f"{gain:+.3f} ({low:+.3f} to {high:+.3f})"
    if low <= 0:
        return f"{said}, which is not shown to be better: {ends}."
    return f"{said}: {ends}."
