"""The entry of this wing: explain a recorded selection of a study's test predictions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch

from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.explain.agreement import list_rings
from medvision.explain.baseline import Baseline, BlurVoxels
from medvision.explain.bench import Finished, Hands, LoadImage, LoadNetwork, SaveMap, explain_cases
from medvision.explain.checked import gather_checks
from medvision.explain.consistency import measure_consistency
from medvision.explain.consistency_rows import Consistency
from medvision.explain.consistency_summary import summarise_consistency
from medvision.explain.methods import Settings, Triple
from medvision.explain.network import reference_precision
from medvision.explain.outcomes import Prediction
from medvision.explain.selection import Selection, select_cases
from medvision.explain.summary import summarise
from medvision.explain.tables import (
    Cell,
    list_attributions,
    list_checks,
    list_selection,
    list_verdicts,
)
from medvision.explain.visits import Bounds
from medvision.explain.work import Plan


@dataclass(frozen=True)
class Outcome:
    """What the step writes: five tables, a summary, and facts for the record."""

    selection: list[dict[str, Cell]]
    attributions: list[dict[str, Cell]]
    checks: list[dict[str, Cell]]
    verdicts: list[dict[str, Cell]]
    cascade: list[dict[str, Cell]]
    stability: list[dict[str, Cell]]
    summary: dict[str, JsonValue]
    facts: dict[str, JsonValue]


def explain_predictions(
    predictions: Sequence[Prediction],
    classes: Classes,
    *,
    load_image: LoadImage,
    load_network: LoadNetwork,
    save_map: SaveMap,
    device: torch.device,
    methods: tuple[str, ...],
    images: int,
    finding: str | None,
    target: str | None,
    seed: int,
    steps: int,
    batch_size: int,
    baseline: Baseline,
    blur_voxels: BlurVoxels,
    occlusion_window: Triple,
    occlusion_stride: Triple,
    occlusion_share: float,
    completeness: float,
    noise_draws: int,
    noise_level: float,
    shap_draws: int,
    random_orders: int,
    deletion_steps: int,
    stability_images: int,
    stability_networks: int,
    stability_noise: float,
    cascade_images: int,
    save_control: SaveMap | None = None,
) -> Outcome:
    """Select test predictions, attribute them, and check the attributions.

    Args:
        predictions: Rows with arm, fold, seed, split, image_id, subject, label, predicted and
            probability_<class>; of values label and predicted alone.
        classes: Classes, and the positive one of two; findings; or the value's name.
        load_image: Gives a case's array and geometry.
        load_network: Gives the network of the fold that tested the case.
        save_map: Writes a map on the source's grid and returns its digest.
        device: Where the networks work.
        methods: Names of the methods.
        images: Number of test images explained.
        finding: The finding to explain; None explains the most probable one of each image.
        target: The class to explain; None explains the predicted one of each image.
        seed: Seed of the selection, the random controls and the randomised weights.
        steps: First number of steps of integrated gradients.
        batch_size: Forward passes at once.
        baseline: What stands for absence: a scaled intensity, or `blur`.
        blur_voxels: Standard deviation of the blur (i, j, k) in array voxels.
        occlusion_window: Occluded box (i, j, k) in array voxels.
        occlusion_stride: Its step, and the box of the deletion curve.
        occlusion_share: Share of the boxes that are computed, coarse to fine.
        completeness: Largest completeness error, as a share of the output difference.
        noise_draws: Draws of SmoothGrad and GradientSHAP.
        noise_level: Standard deviation of their noise, as a share of the image's range.
        shap_draws: Coalitions of supervoxels that KernelSHAP draws.
        random_orders: Random deletion orders that a map is held against.
        deletion_steps: Points of the deletion curve.
        stability_images: Images whose maps are made again under noise and by other networks.
        stability_networks: Other seeds, and other folds, that each is shown to.
        stability_noise: Standard deviation of the noise, as a share of the image's range.
        cascade_images: Images whose maps are followed through cascading randomisation.
        save_control: Writes the map of a control, likewise; None writes none.

    Returns:
        Tables, summary and facts; maps have been handed to `save_map`.

    Raises:
        ExplanationError: Nothing to explain, or a method does not apply.

    Source:
        Each method and each check names its own.
    """
    selection = select_cases(
        predictions, classes=classes, images=images, seed=seed, finding=finding, target=target
    )
    settings = Settings(
        steps=steps,
        batch_size=batch_size,
        baseline=baseline,
        blur_voxels=blur_voxels,
        occlusion_window=occlusion_window,
        occlusion_stride=occlusion_stride,
        occlusion_share=occlusion_share,
        completeness=completeness,
        noise_draws=noise_draws,
        noise_level=noise_level,
        shap_draws=shap_draws,
    )
    plan = Plan(methods, settings, seed, random_orders, deletion_steps)
    is_exclusive = classes.task != "multilabel"
    hands = Hands(load_image, load_network, save_map, device, is_exclusive, save_control)
    bounds = Bounds(stability_images, stability_networks, stability_noise, cascade_images)
    with reference_precision():
        finished, networks = explain_cases(selection.cases, hands=hands, plan=plan)
        consistency = _measure_consistency(
            finished, predictions, selection=selection, hands=hands, plan=plan, bounds=bounds
        )
    checks = gather_checks(finished, seed=seed)
    told = summarise_consistency(consistency, bounds=bounds, methods=methods, seed=seed)
    return Outcome(
        selection=list_selection(selection.cases),
        attributions=list_attributions(finished, checks),
        checks=list_checks(selection.cases, checks),
        verdicts=list_verdicts(selection.cases, checks),
        cascade=[asdict(point) for point in consistency.cascade],
        stability=[asdict(row) for row in consistency.likenesses],
        summary=summarise(selection, finished, checks=checks, plan=plan, networks=networks)
        | {"consistency": told},
        facts={"networks": networks},
    )


def _measure_consistency(
    finished: Sequence[Finished],
    predictions: Sequence[Prediction],
    *,
    selection: Selection,
    hands: Hands,
    plan: Plan,
    bounds: Bounds,
) -> Consistency:
    """Measure how consistent the maps of the explained cases are."""
    explained = [done.explained for done in finished]
    return measure_consistency(
        explained,
        selection=selection.cases,
        rings=list_rings(explained),
        predictions=predictions,
        hands=hands,
        plan=plan,
        bounds=bounds,
        task=selection.task,
    )
