"""The cohort's view: per method and check the pass rate with interval, grids and limits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medvision.domain.attribution import Check
from medvision.domain.record import JsonValue
from medvision.explain.checks import SOURCES
from medvision.explain.margins import summarise_margins
from medvision.explain.names import is_control
from medvision.explain.outcomes import say_explained
from medvision.explain.selection import Selection
from medvision.explain.verdicts import CONFIDENCE, conclude_cohort, summarise_rows

if TYPE_CHECKING:  # An audit, which summarises rows again, needs no torch.
    from medvision.explain.bench import Finished
    from medvision.explain.work import Plan

VARYING = {
    *("completeness_gate", "steps", "distance_to_saliency", "noise_sd", "supervoxels"),
    *("torch_seed", "numpy_seed"),
}
"""Parameters that differ from image to image."""

LIMITS = (
    "Integrated gradients, occlusion and deletion depend on the baseline that stands for absence; "
    "an image with voxels replaced by it is not one the network was trained on.",
    "Grad-CAM keeps its sign (no ReLU); its cells are taken to tile the array edge to edge, which "
    "the network's padding may shift by a part of a cell.",
    "Maps are interpolated onto the source's grid: they are no finer than the array on which they "
    "were computed.",
    "Weight randomisation compares maps at reduced settings, the same for all networks: integrated "
    "gradients at 8 steps, occlusion in boxes of 1.5 windows side by side, Grad-CAM on its cells, "
    "means over noise of 8 draws, KernelSHAP on supervoxels of 1.5 windows with half the draws.",
    "Intervals of the checks are Wilson's, over one image per subject; models of several folds are "
    "pooled.",
    "The controls are the image's edges, smoothed noise, each method's map of a network with "
    "random weights, and its map of another class shown as that of the class explained; the last "
    "two are made at reduced settings. A check that a control passes tells little by itself: the "
    "verdict is the conjunction.",
    "Class sensitivity compares maps at reduced settings.",
)


def summarise(
    selection: Selection,
    finished: "Sequence[Finished]",
    *,
    checks: Sequence[Check],
    plan: "Plan",
    networks: Sequence[JsonValue],
) -> dict[str, JsonValue]:
    """Return the summary of an explained selection.

    Args:
        selection: The cases and how they were drawn.
        finished: The explained cases.
        checks: All rows of checks.
        plan: Methods and parameters.
        networks: Per network what was rewritten in its copy, and with what certificate.

    Returns:
        Plain JSON types: selection, networks, methods, controls, parameters, limits.
    """
    settings = plan.settings
    explained, limit = say_explained(selection.task, selection.target)
    return {
        "selection": selection.as_dict(),
        "task": selection.task,
        "explained": explained,
        "confidence": CONFIDENCE,
        "networks": describe_networks(networks),
        "methods": {
            method: summarise_map(checks, method, seed=plan.seed)
            | describe_method(finished, method)
            for method in plan.methods
        },
        "controls": {
            name: summarise_map(checks, name, seed=plan.seed) for name in list_controls(checks)
        },
        "masks": describe_masks(finished),
        "parameters": {
            "seed": plan.seed,
            "steps": settings.steps,
            "batch_size": settings.batch_size,
            **settings.describe_baseline(),
            "occlusion_window": list(settings.occlusion_window),
            "occlusion_stride": list(settings.occlusion_stride),
            "occlusion_share": settings.occlusion_share,
            "completeness": settings.completeness,
            "noise_draws": settings.noise_draws,
            "noise_level": settings.noise_level,
            "shap_draws": settings.shap_draws,
            "random_orders": plan.random_orders,
            "deletion_steps": plan.deletion_steps,
        },
        "limits": [limit, *LIMITS],
    }


def list_controls(checks: Sequence[Check]) -> list[str]:
    """Return the names of the controls, those that do not look at the network first.

    Args:
        checks: All rows of checks.
    """
    names = sorted({check.method for check in checks if is_control(check.method)})
    return sorted(names, key=lambda name: "." in name)


def summarise_map(checks: Sequence[Check], name: str, *, seed: int) -> dict[str, JsonValue]:
    """Return what a method or control came to: its verdict, each check, and its margins.

    Args:
        checks: All rows of checks.
        name: Method or control.
        seed: Seed of the resampling.
    """
    own = [check for check in checks if check.method == name]
    return {
        "verdict": conclude_cohort(own),
        "checks": {
            check: summarise_rows([row for row in own if row.check == check]) for check in SOURCES
        },
        "margins": summarise_margins(own, name, seed=seed),
    }


def describe_method(finished: "Sequence[Finished]", method: str) -> dict[str, JsonValue]:
    """Return a method's parameters, and its layer and cells where it has them.

    Args:
        finished: The explained cases.
        method: Name of the method.
    """
    shown = [done for done in finished if method in done.explained.attributions]
    attributions = [done.explained.attributions[method] for done in shown]
    described: dict[str, JsonValue] = {"refused": _list_refusals(finished, method)}
    if not attributions:
        return described | {"parameters": {}}
    first = attributions[0]
    described["parameters"] = {k: v for k, v in first.parameters.items() if k not in VARYING}
    if "steps" in first.parameters:
        described["steps_used"] = [a.parameters["steps"] for a in attributions]
    if first.native is not None:
        described |= _describe_cells(shown, method)
    return described


def _list_refusals(finished: "Sequence[Finished]", method: str) -> JsonValue:
    """Return why a method was refused, each reason with its number of images."""
    held = [done.explained.refusals.get(method) for done in finished]
    reasons = [refusal.reason for refusal in held if refusal is not None]
    return [
        {"reason": reason, "n_images": reasons.count(reason)} for reason in dict.fromkeys(reasons)
    ]


def _describe_cells(finished: "Sequence[Finished]", method: str) -> dict[str, JsonValue]:
    """Return Grad-CAM's layer, native grid and cell size, and whether it can show the lesions."""
    first = finished[0].explained.attributions[method]
    cells = first.parameters["voxels_per_cell"]
    per_cell = [float(str(n)) for n in cells] if isinstance(cells, list) else []
    cell_mm = [n * mm for n, mm in zip(per_cell, finished[0].spacing_mm, strict=True)]
    longest_mm = max(mm for mm, n in zip(cell_mm, first.grid.shape, strict=True) if n > 1)
    diameters_mm = [mm for done in finished for mm in done.diameters_mm]
    too_coarse = sum(mm < longest_mm for mm in diameters_mm)
    note = None
    if too_coarse:
        note = (
            f"{too_coarse} of {len(diameters_mm)} lesions are smaller than one cell "
            f"({longest_mm:.3g} mm along its longest edge): too coarse to outline them."
        )
    return {
        "layer": first.layer,
        "native_shape": first.parameters["native_shape"],
        "cell_mm": [round(mm, 6) for mm in cell_mm],
        "too_coarse": note,
    }


def describe_networks(networks: Sequence[JsonValue]) -> JsonValue:
    """Return how much was rewritten in the copies, and how far their logits are off.

    Args:
        networks: As the record of the step has them.
    """
    return [
        {key: network[key] for key in ("arm", "fold", "seed", "certificate", "hidden")}
        | {"n_rewrites": len(rewrites) if isinstance(rewrites := network["rewrites"], list) else 0}
        for network in networks
        if isinstance(network, dict)
    ]


def describe_masks(finished: "Sequence[Finished]") -> JsonValue:
    """Return how many cases had a mask, and how large its lesions are.

    Args:
        finished: The explained cases.
    """
    diameters_mm = [mm for done in finished for mm in done.diameters_mm]
    return {
        "n_images": sum(bool(done.diameters_mm) for done in finished),
        "n_lesions": len(diameters_mm),
        "median_diameter_mm": float(np.median(diameters_mm)) if diameters_mm else None,
    }
