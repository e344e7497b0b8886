"""Level 3 of an audit: arrays and maps computed again from source pixels and weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from medvision.audit.findings import Check, Finding
from medvision.cli._recompute.compared import compare_values
from medvision.cli._recompute.images import PluginError
from medvision.cli._recompute.request import (
    ATTRIBUTIONS,
    Answer,
    MissingSourceError,
    OtherSourceError,
    Pair,
    draw_pairs,
    name_pairs,
)
from medvision.cli._recompute.scene import Scene, name_model
from medvision.domain.explanation.recomputed import TOLERANCE, Comparison, compare_maps
from medvision.domain.record import JsonValue
from medvision.errors import MedvisionError
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from medvision.domain.attribution import Attribution

ARRAYS = "arrays"
MAPS = "maps"
QUESTIONS = {
    ARRAYS: "Do the arrays follow from the source pixels, preprocessed again?",
    MAPS: "Do the sampled maps follow from source pixels and weights, computed again?",
}
_FIGURE_TOLERANCE = 1e-3
"""Of a logit or a map's extreme, as a share of it: several times what float32 leaves open."""

_VARYING = ("completeness_gate", "distance_to_saliency", "noise_sd")
"""Parameters that were computed, and may differ in their last digits."""


def check_attributions(scene: Scene) -> list[Check]:
    """Compute a sample of the maps again from source pixels and weights.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Returns:
        Two checks, of the arrays and of the maps. What cannot be asked is told and no fault.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    pairs = draw_pairs(scene.request)
    arrays, maps = _open_answers(scene, pairs)
    kinds: list[str] = []
    for pair in track(pairs, "computing maps again", total=len(pairs)):
        if not _check_array(scene, pair[0], answer=arrays):
            maps.missed.append("maps of the images whose arrays were not checked")
            continue
        try:
            found = _check_map(scene, pair)
        except MedvisionError as error:
            maps.findings.append(Finding(_name(pair), "map", "computable", error.message))
            continue
        maps.findings += found.findings
        kinds.append(found.comparison.closeness)
    counts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    maps.notes[:0] = [f"{name_pairs(pairs)} by seed {scene.request.seed}: {', '.join(counts)}"]
    return [arrays.as_check(ARRAYS, QUESTIONS[ARRAYS]), maps.as_check(MAPS, QUESTIONS[MAPS])]


def _open_answers(scene: Scene, pairs: Sequence[Pair]) -> tuple[Answer, Answer]:
    """Return both answers with what a reader must know before."""
    arrays, maps = Answer([], [], []), Answer([], [], [])
    arrays.notes.append(f"{len({image_id for image_id, _ in pairs})} images drawn")
    maps.notes += describe_software(scene.record)
    device = str(scene.record.get("device", "cpu"))
    if device != "cpu":
        maps.notes.append(f"maps were made on {device}: no tolerance was measured for it")
    return arrays, maps


def describe_software(record: Mapping[str, JsonValue]) -> list[str]:
    """Return which libraries are of another version here than in a record, in words.

    Args:
        record: Of the step explain.
    """
    import importlib.metadata

    held = cast(Mapping[str, str], record.get("software", {}))
    others = []
    for name in ("torch", "captum", "monai", "numpy", "scipy"):
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here = "none"
        if name in held and held[name] != here:
            others.append(f"{name} {held[name]} (here {here})")
    if not others:
        return []
    return [f"made with {', '.join(others)}: install these versions where maps differ"]


def _check_array(scene: Scene, image_id: str, *, answer: Answer) -> bool:
    """Preprocess one image again, and say whether that could be done."""
    try:
        found = scene.prepare(image_id)
    except (MissingSourceError, PluginError) as error:
        answer.missed.append(error.message.removesuffix("."))
        return False
    except OtherSourceError as error:
        answer.findings.append(Finding(image_id, "source image", "the manifest's", error.message))
        return False
    except MedvisionError as error:
        answer.findings.append(Finding(image_id, "source image", "usable", error.message))
        return False
    answer.findings += [fault for fault in found.findings if fault not in answer.findings]
    if not found.is_same:
        answer.notes.append("arrays not bit-equal: judged by the maps that follow from them")
    return True


@dataclass(frozen=True)
class _Found:
    """What came of one map."""

    comparison: Comparison
    findings: list[Finding]


def _check_map(scene: Scene, pair: Pair) -> _Found:
    """Compute one map again, and hold map, row and network against the bundle's."""
    from medvision.explain.again import DRAWN, attribute_again, return_to_source

    case = scene.cases[pair[0]]
    image, desk = scene.load_image(case), scene.open_desk(case)

    def compute(*, precise: bool) -> "Attribution":
        return attribute_again(
            case, image, desk=desk, method=pair[1], plan=scene.plan, precise=precise
        )

    again = compute(precise=False)
    comparison = compare_maps(
        scene.read_map(pair),
        return_to_source(again.grid, image),
        compute_precise=None
        if pair[1] in DRAWN
        else lambda: return_to_source(compute(precise=True).grid, image),
    )
    findings = _find_row_faults(scene, pair, again=again)
    findings += _find_state_faults(scene, pair, state_hash=desk.canonical.state_hash)
    fault = _judge(scene, comparison)
    if fault is not None:
        findings.append(Finding(_name(pair), "map", *fault))
    return _Found(comparison, findings)


def _judge(scene: Scene, comparison: Comparison) -> tuple[str, str] | None:
    """Return (rule, what was found) of a map that is not the one computed again."""
    if comparison.closeness == "another map":
        rule = f"the one computed again, to {TOLERANCE:g} of its length"
        advice = describe_software(scene.record)
        return rule, "; ".join([str(comparison), *advice])
    if comparison.closeness != "bit-equal" and is_same_machine(scene.record):
        rule = "bit-equal: processor, threads and software are those of the record"
        return rule, str(comparison)
    return None


def is_same_machine(record: Mapping[str, JsonValue]) -> bool:
    """Say whether a record is of this very kind of machine and software.

    Args:
        record: Of the step explain; one that does not tell its machine is of another.
    """
    from medvision.runtime.machine import describe_machine

    facts = cast(Mapping[str, JsonValue], record.get("facts", {}))
    is_cpu = record.get("device") == "cpu"
    return is_cpu and facts.get("machine") == describe_machine() and not describe_software(record)


def _find_row_faults(scene: Scene, pair: Pair, *, again: "Attribution") -> list[Finding]:
    """Hold the row of a map against what was computed again beside it."""
    row, where = scene.rows[pair], f"{ATTRIBUTIONS} {pair[0]} {pair[1]}"
    held = json.loads(row["parameters"])
    wanted = json.loads(json.dumps(again.parameters))
    findings = [
        Finding(where, f"parameters{fault.thing and '.' + fault.thing}", fault.rule, fault.found)
        for fault in compare_values("", wanted=_drop(wanted), held=_drop(held))
    ]
    figures = {
        "completeness_error": (again.completeness_error, abs(again.output_difference)),
        "output_difference": (again.output_difference, abs(again.output)),
    }
    for name, (value, scale) in figures.items():
        text = row[name]
        if (value is None) != (not text) or (
            value is not None and abs(value - float(text)) > _FIGURE_TOLERANCE * max(scale, 1e-3)
        ):
            findings.append(Finding(where, name, f"{value}, computed again", text or "empty"))
    return findings + _find_text_faults(scene, pair, again=again)


def _find_text_faults(scene: Scene, pair: Pair, *, again: "Attribution") -> list[Finding]:
    """Hold class, layer and the baseline's digest in the row of a map against those found again."""
    row, where = scene.rows[pair], f"{ATTRIBUTIONS} {pair[0]} {pair[1]}"
    baseline = again.baseline_digest or ""
    if baseline and row["baseline_digest"] and not is_same_machine(scene.record):
        # Like the map itself, it need not have equal bits on another machine.
        baseline = row["baseline_digest"]
    wanted = {
        "target": scene.cases[pair[0]].target,
        "layer": again.layer or "",
        "baseline_digest": baseline,
    }
    return [
        Finding(where, name, text or "empty", row[name] or "empty")
        for name, text in wanted.items()
        if row[name] != text
    ]


def _drop(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the parameters that were set, without those that were measured."""
    return {name: value for name, value in parameters.items() if name not in _VARYING}


def _find_state_faults(scene: Scene, pair: Pair, *, state_hash: str) -> list[Finding]:
    """Hold the network's state against the one that explain says it had."""
    model = name_model(scene.cases[pair[0]])
    facts = cast(Mapping[str, JsonValue], scene.record.get("facts", {}))
    for network in cast(Sequence[Mapping[str, JsonValue]], facts.get("networks", [])):
        if (network["arm"], network["fold"], network["seed"]) == model:
            if network["state_hash"] == state_hash:
                return []
            where = f"explain/record.json {model[0]} fold {model[1]} seed {model[2]}"
            return [Finding(where, "state_hash", f"{state_hash}, of its weights", "another")]
    return [Finding("explain/record.json", "networks", f"one of {_name(pair)}", "none")]


def _name(pair: Pair) -> str:
    """Return the path of a map."""
    return "explain/maps/{}/{}.nii.gz".format(*pair)
