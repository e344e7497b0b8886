"""The entry of this wing: explain a recorded selection of a study's test predictions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from medvision.domain.labels.rows import Classes
from medvision.domain.record import JsonValue
from medvision.explain.agreement import list_rings
from medvision.explain.baseline import Baseline, BlurVoxels
from medvision.explain.bench import Facts, Finished, Hands, explain_cases
from medvision.explain.case import find_openers
from medvision.explain.checked import gather_checks
from medvision.explain.consistency import gather_consistency, look_again
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
from medvision.explain.visits import Bounds, plan_visits
from medvision.explain.work import Plan

WHOLE = (1, 1)
"""The share of one job that does everything."""


@dataclass(frozen=True)
class Brief:
    """What is explained and how: the same for every job that does a share of it.

    Args:
        selection: The cases and how they were drawn.
        predictions: Rows with arm, fold, seed, split and image_id: which networks there are.
        plan: Methods and parameters.
        bounds: How much is looked at again.
    """

    selection: Selection
    predictions: Sequence[Prediction]
    plan: Plan
    bounds: Bounds


@dataclass(frozen=True)
class Share:
    """What a job found of its share of the cases.

    Args:
        finished: The share's cases, in the order of the selection; their maps are written.
        networks: Of each network that they were shown to, what the record says.
        consistency: The rows of these cases, without those that need two images.
    """

    finished: list[Finished]
    networks: list[Facts]
    consistency: Consistency


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


def draw_brief(
    predictions: Sequence[Prediction],
    classes: Classes,
    *,
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
) -> Brief:
    """Select test predictions, and say how they are attributed and checked.

    Args:
        predictions: Rows with arm, fold, seed, split, image_id, subject, label, predicted and
            probability_<class>; of values label and predicted alone.
        classes: Classes, and the positive one of two; findings; or the value's name.
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

    Raises:
        ExplanationError: There is no test prediction, or no such finding or class.

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
    bounds = Bounds(stability_images, stability_networks, stability_noise, cascade_images)
    return Brief(selection, predictions, plan, bounds)


def explain_share(brief: Brief, *, hands: Hands, share: tuple[int, int] = WHOLE) -> Share:
    """Attribute every n-th of the selected predictions, and check what needs no other one.

    Nothing that a case gives depends on which cases the same job explains: its draws are seeded
    by its image, and the copy of a network is made on the image of the network's first case,
    whoever explains that.

    Args:
        brief: What is explained and how.
        hands: How images and networks are got, and maps written.
        share: (k, n): the k-th case and every n-th after it. The first ones, which alone are
            looked at again and cost the most, so go to different jobs.

    Raises:
        ExplanationError: A network changed while it was explained, or its copy has other logits.
    """
    number, total = share
    cases = brief.selection.cases
    visits = plan_visits(cases, brief.predictions, bounds=brief.bounds)
    with reference_precision():
        finished, networks = explain_cases(
            cases[number - 1 :: total], hands=hands, plan=brief.plan, openers=find_openers(cases)
        )
        consistency = look_again(
            [done.explained for done in finished],
            visits=visits,
            openers=find_openers(visit.case for visit in visits),
            hands=hands,
            plan=brief.plan,
            bounds=brief.bounds,
            task=brief.selection.task,
        )
    return Share(finished, networks, consistency)


def conclude(brief: Brief, shares: Sequence[Share]) -> Outcome:
    """Hold the cases of all shares against one another, and tell what came of them.

    Args:
        brief: What is explained and how.
        shares: Of all cases.

    Returns:
        Tables, summary and facts, the same however the cases were shared.
    """
    selection, plan = brief.selection, brief.plan
    held = {done.explained.case.image_id: done for share in shares for done in share.finished}
    finished = [held[case.image_id] for case in selection.cases]
    explained = [done.explained for done in finished]
    networks = _join_networks(shares)
    checks = gather_checks(finished, seed=plan.seed)
    consistency = gather_consistency(
        [share.consistency for share in shares],
        cases=explained,
        selection=selection.cases,
        rings=list_rings(explained),
        bounds=brief.bounds,
    )
    told = summarise_consistency(
        consistency, bounds=brief.bounds, methods=plan.methods, seed=plan.seed
    )
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


def _join_networks(shares: Sequence[Share]) -> list[JsonValue]:
    """Return what is said of each network, with the largest certificate that a job saw."""
    joined: dict[tuple[str, ...], Facts] = {}
    for facts in (facts for share in shares for facts in share.networks):
        place = tuple(str(facts[name]) for name in ("arm", "fold", "seed"))
        before = joined.get(place, facts)
        certificates = (float(str(each["certificate"])) for each in (before, facts))
        joined[place] = facts | {"certificate": max(certificates)}
    ordered = sorted(joined, key=lambda place: (place[0], int(place[1]), int(place[2])))
    return [joined[place] for place in ordered]
