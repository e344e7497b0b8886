"""Level 5 of an audit: the sampled maps held against implementations that share no code."""

import json
from typing import TYPE_CHECKING

from medvision.audit.findings import Check, Finding
from medvision.cli._recompute.attributions import describe_software
from medvision.cli._recompute.images import PluginError
from medvision.cli._recompute.request import (
    Answer,
    MissingSourceError,
    Pair,
    draw_pairs,
    name_pairs,
)
from medvision.cli._recompute.scene import Scene
from medvision.domain.explanation.recomputed import TOLERANCE, compute_relative_distance
from medvision.errors import MedvisionError
from medvision.runtime.progress import track

if TYPE_CHECKING:
    from medvision.domain.volume import FloatGrid
    from medvision.explain.case import CaseImage
    from medvision.explain.independent import Question

INDEPENDENT = "independent"
QUESTION = "Does an implementation that shares no code agree on the sampled maps?"

_MORE_STEPS = 4
"""Integrated gradients are also summed at this many times the nodes."""


def check_independently(scene: Scene) -> list[Check]:
    """Hold a sample of the maps against plain autograd, a plain loop, and MONAI's Grad-CAM.

    Args:
        scene: The bundle's explanations, and what the auditor handed over.

    Returns:
        One check; methods that are written once only are named as not checked.

    Raises:
        MedvisionError: A table of the bundle cannot be read.
    """
    from medvision.explain.independent import INDEPENDENT as WRITTEN

    answer, pairs = Answer([], [], describe_software(scene.record)), draw_pairs(scene.request)
    distances: list[float] = []
    finer: list[float] = []
    for pair in track(pairs, "asking another implementation", total=len(pairs)):
        if pair[1] not in WRITTEN or _is_coarse(scene, pair):
            answer.missed.append(f"{_describe(scene, pair)} is written once only")
            continue
        try:
            distances.append(_hold(scene, pair, answer=answer, finer=finer))
        except (MissingSourceError, PluginError) as error:
            answer.missed.append(error.message.removesuffix("."))
        except MedvisionError as error:
            answer.findings.append(Finding(_name(pair), "map", "computable", error.message))
    if distances:
        far = f"{len(distances)} at most {max(distances):.2g} of their length away"
        answer.notes.insert(0, f"{name_pairs(pairs)}, {far}")
    if finer:
        answer.notes.append(
            f"at {_MORE_STEPS} times the nodes {len(finer)} maps of integrated gradients are at "
            f"most {max(finer):.2g} of their length away, and their sums are held to the gate"
        )
    return [answer.as_check(INDEPENDENT, QUESTION)]


def _is_coarse(scene: Scene, pair: Pair) -> bool:
    """Say whether a map of occlusion was made from coarse to fine, not of every box."""
    return pair[1] == "occlusion" and scene.plan.settings.occlusion_share < 1


def _describe(scene: Scene, pair: Pair) -> str:
    """Return a method in words."""
    return f"{pair[1]} from coarse to fine" if _is_coarse(scene, pair) else pair[1]


def _hold(scene: Scene, pair: Pair, *, answer: Answer, finer: list[float]) -> float:
    """Compute one map another way and return how far the bundle's is from it."""
    from medvision.explain.again import return_to_source
    from medvision.explain.independent import explain_independently
    from medvision.explain.network import reference_precision

    image = scene.load_image(scene.cases[pair[0]])
    question = _ask(scene, pair, image)
    held = scene.read_map(pair)
    with reference_precision():
        grid = explain_independently(pair[1], question)
        distance = compute_relative_distance(held, return_to_source(grid, image))
        if distance > TOLERANCE:
            rule = f"that of another implementation, to {TOLERANCE:g} of its length"
            found = f"one {distance:.3g} of its length away"
            answer.findings.append(Finding(_name(pair), "map", rule, found))
        if pair[1] == "integrated_gradients":
            finer.append(_hold_sum(scene, pair, question=question, grid=grid, answer=answer))
    return distance


def _ask(scene: Scene, pair: Pair, image: "CaseImage") -> "Question":
    """Return what the other implementation is asked: the network as its checkpoint has it."""
    import torch

    from medvision.explain.independent import Question

    case = scene.cases[pair[0]]
    trained = scene.open_desk(case).trained
    parameters = json.loads(scene.rows[pair]["parameters"])
    return Question(
        network=trained.network,
        image=torch.tensor(image.array, dtype=torch.float32)[None],
        target=trained.classes.index(case.target),
        layer=trained.layer,
        settings=scene.plan.settings,
        steps=int(parameters.get("steps", scene.plan.settings.steps)),
    )


def _hold_sum(
    scene: Scene, pair: Pair, *, question: "Question", grid: "FloatGrid", answer: Answer
) -> float:
    """Hold the sum of integrated gradients against that at other nodes, to the recorded gate.

    A network with ReLU is bent along the way, so that single voxels depend on the nodes by a few
    hundredths of the map's length; the gate promises the sum, and the sum is what is held. What
    the other nodes themselves miss the change of the logit by is allowed besides.

    Returns:
        The relative distance of the two maps, which is told and not judged.
    """
    from medvision.explain.independent import compute_difference, integrate_with_more_steps

    gate = float(json.loads(scene.rows[pair]["parameters"])["completeness_gate"])
    finer = integrate_with_more_steps(question, factor=_MORE_STEPS)
    sums = [float(each.astype(float).sum()) for each in (grid, finer)]
    gap, allowed = abs(sums[0] - sums[1]), gate + abs(sums[1] - compute_difference(question))
    if gap > allowed:
        rule = f"within {allowed:.3g} logit of that at {_MORE_STEPS} times the nodes"
        answer.findings.append(Finding(_name(pair), "sum", rule, f"one {gap:.3g} away"))
    return compute_relative_distance(grid, finer)


def _name(pair: Pair) -> str:
    """Return the path of a map."""
    return "explain/maps/{}/{}.nii.gz".format(*pair)
