"""The controls of the shortcut audit in words."""

from collections.abc import Mapping

from medvision.io.tables import Cell

FIGURES = {
    "auc": "AUC",
    "auc_macro": "mean AUC over the classes",
    "r2": "R²",
    "pearson_r": "correlation of true and predicted value",
}
_FEW = 30
"""Test subjects below which only a gross leak would show."""


def say_figure(row: Mapping[str, Cell], confidence: float, *, n_targets: int) -> str:
    """Say a figure with its interval.

    Args:
        row: With metric, value, low and high.
        confidence: Level of the interval.
        n_targets: Figures whose intervals hold together.
    """
    name = FIGURES[str(row["metric"])]
    if row["value"] is None:
        return f"{name} undefined"
    ends = say_ends(row, ("low", "high"))
    kind = f"interval, {n_targets} findings together," if n_targets > 1 else "interval"
    return f"{name} {float(row['value']):.3f} ({confidence:.0%} {kind} {ends})"


def say_ends(row: Mapping[str, Cell], names: tuple[str, str], *, sign: str = "") -> str:
    """Say the ends of an interval.

    Args:
        row: A row of a table.
        names: Its columns with the two ends.
        sign: `+` to show the sign.
    """
    low, high = (row[name] for name in names)
    if low is None or high is None:
        return "not known"
    return f"{float(low):{sign}.3f} to {float(high):{sign}.3f}"


def say_permuted(row: Mapping[str, Cell], confidence: float) -> str:
    """Say whether permuted labels could be told of test images.

    Args:
        row: Of `shortcuts/controls.tsv`.
        confidence: Level of the interval.
    """
    target = f" of {row['target']}" if row["target"] else ""
    head = f"Trained on permuted labels{target}, the network"
    told = f"{say_figure(row, confidence, n_targets=1)} on {_say_counts(row)}"
    if row["verdict"] == "undefined":
        return f"{head} has no figure: {row['method']}."
    if row["verdict"] == "not-judged":
        return f"{head} cannot be judged against chance: {told}; {row['method']}."
    if row["verdict"] == "below-chance":
        return (
            f"{head} ends below chance: {told}. That is the draw of the labels, or test images "
            "that look like train images of another label; another control.seed tells which."
        )
    if row["verdict"] == "chance":
        few = int(row["n_subjects"] or 0) < _FEW
        limit = " So few subjects would show a gross leak only." if few else ""
        return f"{head} ends at chance, as it must where nothing leaks: {told}.{limit}"
    if row["verdict"] == "hint":
        many = "among several looks this can be chance"
        alone = f"a permutation test does not bear it out (p = {float(row['p_holm'] or 0):.3f})"
        return f"{head} may end above chance: {told}; {many if row['target'] else alone}."
    return f"{head} ends above chance: {told}. {_say_cause(row)}"


def say_together(row: Mapping[str, Cell], *, n_findings: int) -> str:
    """Say that findings end above chance together, though none does by itself.

    Args:
        row: Of `shortcuts/controls.tsv`.
        n_findings: Findings with a figure.
    """
    return (
        f"Trained on permuted labels, the network ends above chance on its {n_findings} findings "
        f"together, though on none by itself: mean AUC {float(row['value'] or 0):.3f}, "
        f"p = {float(row['p_holm'] or 0):.4f}. {_say_cause(row)}"
    )


def _say_cause(row: Mapping[str, Cell]) -> str:
    """Say what lets permuted labels be told."""
    known = int(row["n_siblings"] or 0)
    cause = (
        f"{known} of the test images share a subject or a copy with a train image"
        if known
        else "test images are known from training, or something was chosen by the test images"
    )
    return (
        f"What was dealt at random cannot be learnt from other subjects, so {cause}; the study's "
        "own figure is too high for the same reason."
    )


def say_gap(row: Mapping[str, Cell], confidence: float, *, n_targets: int) -> str:
    """Say what splitting images would have made of the figure.

    Args:
        row: Of `shortcuts/controls.tsv`.
        confidence: Level of the interval.
        n_targets: Findings whose intervals hold together.
    """
    target = f" of {row['target']}" if row["target"] else ""
    told = say_figure(row, confidence, n_targets=n_targets)
    if row["difference"] is None or row["study"] is None:
        return f"Split by image and not by subject{target}: {told}; {row['method']}."
    study, difference = float(row["study"]), float(row["difference"])
    ends = say_ends(row, ("difference_low", "difference_high"), sign="+")
    pair = f"{told} instead of {study:.3f}, difference {difference:+.3f} ({ends})"
    shared = (
        f"{row['n_siblings']} of the {row['n_images']} test images would have had another image of "
        "their subject in training"
    )
    if row["verdict"] == "differs":
        return (
            f"Had images and not subjects been split, the figure{target} would have been flattered:"
            f" {pair}; {shared}. Do not compare this study with one that splits images or slices."
        )
    if row["verdict"] == "lower":
        return f"Split by image and not by subject, the figure{target} is lower: {pair}; {shared}."
    return (
        f"Split by image and not by subject, the figure{target} is not shown to differ: {pair}; "
        f"{shared}."
    )


def say_nothing_to_compare(*, n_siblings: int, n_tested: int, n_moved: int) -> str:
    """Say that subjects have too few images for the split to matter, or that none can be dealt.

    Args:
        n_siblings: Test images that would have had a sibling in train.
        n_tested: All test images.
        n_moved: Images that changed sides.
    """
    if not n_moved:
        return (
            "Split by image and not by subject: cannot be dealt, since no image can change sides "
            "with as many of each kind of label on every side as before; nothing is compared."
        )
    what = "no image has" if not n_siblings else f"{n_siblings} of {n_tested} test images have"
    return (
        f"Split by image and not by subject: nothing to compare, since {what} another image of the "
        "same subject in training."
    )


def _say_counts(row: Mapping[str, Cell]) -> str:
    """Say on how many images of how many subjects."""
    return f"{row['n_images']} test images of {row['n_subjects']} subjects"
