"""The methods text, written from the configuration that was run, with its citations."""

from collections.abc import Callable
from dataclasses import dataclass

from medvision.domain.record import JsonValue
from medvision.report import predicting
from medvision.report.ablation import describe_ablation
from medvision.report.added import describe_added
from medvision.report.certainty_text import write_certainty
from medvision.report.citations import METHODS_CITATIONS
from medvision.report.consistency import describe_consistency
from medvision.report.external import describe_external, describe_outside
from medvision.report.pretraining import describe_pretraining
from medvision.report.scaling import N4, describe_scaling, list_early
from medvision.report.searching import SEARCHED, describe_searches, is_searched
from medvision.report.shortcuts import describe_shortcuts
from medvision.report.sources import Sources
from medvision.report.statistics_text import write_statistics
from medvision.report.storage import describe_storage
from medvision.report.training import write_training
from medvision.report.transfer import describe_transfer
from medvision.report.words import METHODS, join_words, say, say_within

Cite = Callable[[str], str]
"""Gives a citation's number, and remembers that it was used."""

Writer = Callable[[Sources, Cite], str]


@dataclass(frozen=True)
class MethodsFacts:
    """Paragraphs as (heading, text with [n] citations), and the citations in their order."""

    paragraphs: tuple[tuple[str, str], ...]
    citations: tuple[str, ...]

    def begin_with(self, heading: str, text: str) -> "MethodsFacts":
        """Return the same after a further paragraph, which cites nothing.

        Args:
            heading: Its heading.
            text: What it says.
        """
        return MethodsFacts(((heading, text), *self.paragraphs), self.citations)


def build_methods(sources: Sources, *, n_folds: int) -> MethodsFacts:
    """Write the methods section of a paper about this run.

    Args:
        sources: The settings in force; sections that are missing leave their paragraph out.
        n_folds: Number of folds that exist.

    Returns:
        Text that names only what was configured.
    """
    cited: list[str] = []

    def cite(key: str) -> str:
        if key not in cited:
            cited.append(key)
        return f"[{cited.index(key) + 1}]"

    writers: tuple[tuple[str, str, Writer], ...] = (
        ("Splitting", "cohort", lambda s, _: _write_split(s, n_folds) + describe_external(s)),
        ("Preprocessing", "preprocess", _write_preprocess),
        ("Network", "model", _write_network),
        ("Training", "train", lambda s, c: write_training(s, c) + describe_added(s)),
        ("Hyper-parameters", "train", describe_searches),
        ("Prediction", "predict", predicting.write_prediction),
        ("Statistics", "evaluate", lambda s, c: write_statistics(s, c) + describe_outside(s)),
        ("Certainty", "evaluate", write_certainty),
        ("Transfer", "evaluate", describe_transfer),
        ("Synthetic images", "evaluate", describe_ablation),
        ("Shortcuts", "evaluate", describe_shortcuts),
        ("Explanations", "explain", _write_explanations),
    )
    paragraphs = tuple(
        (heading, text)
        for heading, section, write in writers
        if section in sources.settings and (text := write(sources, cite))
    )
    return MethodsFacts(paragraphs, tuple(METHODS_CITATIONS[key] for key in cited))


def _write_split(sources: Sources, n_folds: int) -> str:
    """How subjects were split."""
    words = {
        "group": "Subjects that share an image were kept in one split.",
        "stop": "The run would have ended, had two subjects shared an image.",
        "report": "Images shared by two subjects were reported and may lie in different splits.",
    }
    share, seed = _get(sources, "cohort.validation_fraction"), _get(sources, "cohort.seed")
    leakage = words.get(str(_get(sources, "cohort.on_leakage")), "")
    if n_folds == 1:
        given = "The split into training, validation and test was used as the labels give it."
        return f"{given} {leakage}"
    label = {"multilabel": "each finding", "regression": "range of the value"}.get(
        str(sources.setting("data", "task")), "label"
    )
    by = [label, *(str(name) for name in _as_list(_get(sources, "cohort.stratify_by")))]
    return (
        f"Subjects, not images, were split, spread evenly by {' and '.join(by)} (seed {seed}): "
        f"{_say_scheme(sources, n_folds, share)} {leakage}"
    )


def _say_scheme(sources: Sources, n_folds: int, share: JsonValue) -> str:
    """Say who was tested and who validated, and how often all of it was done."""
    n_repeats = _get(sources, "cohort.repeats")
    held_out, inner = _get(sources, "cohort.held_out"), _get(sources, "cohort.inner_folds")
    folds = _get(sources, "cohort.folds") or n_folds
    again = f" All of it was done {n_repeats} times." if _is_many(n_repeats) else ""
    if held_out:
        return (
            f"a share of {held_out} was tested by every training; the rest was parted into {folds} "
            f"folds, each of which validated once.{again}"
        )
    if _is_many(inner):
        return (
            f"in {folds} folds each subject was tested once; a fold's other subjects were parted "
            f"into {inner} inner folds, each of which validated once.{again}"
        )
    return (
        f"in {folds} folds each subject was tested once. Of a fold's other subjects a share of "
        f"{share} was held back for validation.{again}"
    )


def _is_many(value: JsonValue) -> bool:
    """Say whether a setting is a number above 1."""
    return isinstance(value, int) and value > 1


def _write_preprocess(sources: Sources, cite: Cite) -> str:
    """How images became arrays."""
    is_flat = sources.document("array_meta").get("spatial_dims") == 2
    parts = [] if is_flat else _list_spatial(sources)
    first = _write_early(sources, cite)
    parts.append(describe_scaling(sources.document("array_meta")))
    if _get(sources, "preprocess.crop_foreground"):
        parts.append("the foreground was cropped")
    how = "resized" if _get(sources, "preprocess.sizing") == "resize" else "padded or cropped"
    size = _as_list(_get(sources, "preprocess.size"))
    extent = f"{_say_sizes(size[:2])} pixels" if is_flat else f"{_say_sizes(size)} voxels"
    parts.append(f"images were {how} to {extent}")
    stored = describe_storage(sources.document("array_meta"))
    return f"{first}With MONAI {cite('monai')}, {join_words(parts)}. {stored}".strip()


def _write_early(sources: Sources, cite: Cite) -> str:
    """Say the steps on the source, before all others; nothing where there are none."""
    parts = []
    for name in list_early(sources.document("array_meta")):
        if name == N4:
            parts.append(f"the bias field of MR volumes was corrected by N4 {cite('n4')}")
        else:
            parts.append(f"the study's own function {name} was applied")
    return f"First, on the source's own grid, {join_words(parts)}. " if parts else ""


def _list_spatial(sources: Sources) -> list[str]:
    """Say the steps that only volumes go through."""
    parts = []
    if orientation := _get(sources, "preprocess.orientation"):
        parts.append(f"volumes were brought to {orientation} orientation")
    if spacing := _get(sources, "preprocess.spacing_mm"):
        parts.append(f"volumes were resampled to {_say_sizes(_as_list(spacing))} mm voxels")
    return parts


def _write_network(sources: Sources, cite: Cite) -> str:
    """Which network, from which weights."""
    backbone = str(_get(sources, "model.backbone"))
    key = "resnet" if backbone.startswith("resnet") else backbone
    name = "small convolutional network" if backbone == "small" else backbone
    reference = f" {cite(key)}" if key in METHODS_CITATIONS else ""
    weights = _get(sources, "model.weights")
    if weights == "pretrain":
        origin = describe_pretraining(sources, cite)
    elif weights == "none":
        origin = "It started from random weights."
    else:
        origin = _say_given(str(weights))
    policy = {
        "full": "All layers were trained.",
        "partial": f"The first {_get(sources, 'model.frozen_blocks')} blocks stayed frozen.",
        "linear": "Only the head was trained.",
        "gradual": "The head was trained first; a further block, from the head down, was released "
        f"each {_get(sources, 'model.unfreeze_epochs')} epochs {cite('depth')}."
        if _get(sources, "model.policy") == "gradual"
        else "",
    }.get(str(_get(sources, "model.policy")), "")
    what = "network" if sources.setting("data", "task") == "regression" else "classifier"
    kernels = (
        " Training kernels were chosen for speed: run again, it differs in its last digits."
        if sources.setting("train", "kernels") == "fast"
        else ""
    )
    return f"The {what} was a {name}{reference}. {origin} {policy}{kernels}".strip()


def _say_given(weights: str) -> str:
    """Name what `model.weights` says, unless it is a path, whose folders may name people."""
    if weights.startswith("path-"):
        return "It started from weights that were given as a file."
    return f"It started from the weights {weights}."


def _write_explanations(sources: Sources, cite: Cite) -> str:
    """Which attributions, and how they were checked."""
    methods = _get(sources, "explain.methods")
    names = [str(name) for name in _as_list(methods)]
    said = join_words(
        [
            f"{say_within(say(n, METHODS))}{' ' + cite(n) if n in METHODS_CITATIONS else ''}"
            for n in names
        ]
    )
    return (
        f"{_name_explained(sources)} was attributed to the input by {said}, computed with "
        f"Captum {cite('captum')} and mapped back to the source image's own grid; "
        f"{_describe_absence(sources)} stood for absence. "
        f"Each map was checked: against the network with randomised weights {cite('sanity')}; by "
        f"deletion against {_get(sources, 'explain.random_orders')} random orders "
        f"{cite('deletion')}; and, where a lesion mask exists, by the pointing game "
        f"{cite('pointing')}. Images were chosen by a fixed rule with seed "
        f"{_get(sources, 'explain.seed')}, {_say_included(sources)} included."
        f"{describe_consistency(sources, cite)}"
    )


def _say_included(sources: Sources) -> str:
    """Say what the choice of images does not leave out."""
    return (
        "large errors" if sources.setting("data", "task") == "regression" else "wrong predictions"
    )


def _name_explained(sources: Sources) -> str:
    """Name what was explained."""
    return {
        "multilabel": "The logit of one finding of each image",
        "regression": "The predicted value",
    }.get(str(sources.setting("data", "task")), "The logit of the explained class")


def _describe_absence(sources: Sources) -> str:
    """What attributions and deletion were measured against."""
    baseline = _get(sources, "explain.baseline")
    if baseline != "blur":
        return f"a scaled intensity of {baseline}"
    sd = " × ".join(str(n) for n in _as_list(_get(sources, "explain.blur_voxels")))
    return f"the image itself, blurred (standard deviation {sd} voxels),"


def _get(sources: Sources, key: str) -> JsonValue:
    """Return `section.field` of the settings, or that it was searched."""
    if is_searched(sources, key):
        return SEARCHED
    section, _, name = key.partition(".")
    return sources.setting(section, name)


def _as_list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _say_sizes(sizes: list[JsonValue]) -> str:
    """Return sizes as 3 × 3 × 5."""
    return " × ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in sizes)
