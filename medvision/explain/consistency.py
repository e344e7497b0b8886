"""What becomes of the maps of some images when something changes that should, or should not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from medvision.domain.attribution import is_empty
from medvision.domain.explanation.map_statistics import compute_entropy
from medvision.domain.labels.rows import Task
from medvision.domain.volume import FloatGrid
from medvision.explain.agreement import compare_controls, compare_images, compare_methods
from medvision.explain.bench import Hands
from medvision.explain.cascade import Stage, cascade
from medvision.explain.case import Case, Model, find_openers, name_model
from medvision.explain.consistency_rows import CascadePoint, Consistency
from medvision.explain.likeness import Likeness, measure_likeness
from medvision.explain.names import EDGE
from medvision.explain.one import Explained, Plan
from medvision.explain.outcomes import Prediction
from medvision.explain.sight import Room, Sight, load_tensor, open_room
from medvision.explain.steadiness import compare_with_noisy, compare_with_redrawn
from medvision.explain.visits import Bounds, Visit, plan_visits
from medvision.runtime.progress import track


@dataclass(frozen=True)
class _Work:
    """What every part is given."""

    cases: Mapping[str, Explained]
    hands: Hands
    plan: Plan
    bounds: Bounds
    task: Task


def look_again(
    cases: Sequence[Explained],
    *,
    visits: Sequence[Visit],
    openers: Mapping[Model, Case],
    hands: Hands,
    plan: Plan,
    bounds: Bounds,
    task: Task,
) -> Consistency:
    """Make the maps of some images again and say how alike they are, each image by itself.

    Args:
        cases: Explained cases: those of one job, or that an audit looks at.
        visits: Who is shown to whom, of all cases.
        openers: Network to the case on whose image its copy is made.
        hands: How images and networks are got.
        plan: Methods and parameters.
        bounds: How many images are looked at again, and by how many networks.
        task: Kind of the prediction.

    Returns:
        The rows of these cases, in no order yet, without those that need two images.

    Raises:
        ExplanationError: The copy of a network has other logits than the network.
    """
    held = {done.case.image_id: done for done in cases}
    work = _Work(held, hands, plan, bounds, task)
    own = [visit for visit in visits if visit.case.image_id in held]
    groups = [list(group) for _, group in groupby(own, key=lambda visit: name_model(visit.case))]
    points: list[CascadePoint] = []
    rows: list[Likeness] = []
    for group in track(groups, "looking at images again", total=len(groups)):
        room = open_room(openers[name_model(group[0].case)], hands=hands, plan=plan)
        for visit in group:
            rows += _compare(visit, room=room, work=work)
        points += _follow_cascade(group, room=room, work=work)
    if bounds.stability_images:
        rows += compare_methods(cases)
    return Consistency(points, rows)


def gather_consistency(
    found: Sequence[Consistency],
    *,
    cases: Sequence[Explained],
    selection: Sequence[Case],
    rings: Mapping[str, Sequence[str]],
    bounds: Bounds,
) -> Consistency:
    """Put together what was found of each image, and hold each against the next one.

    Args:
        found: As `look_again` returns it, of one job after the other.
        cases: Explained cases of all of them.
        selection: All cases, in their order.
        rings: Method to the images of the selection that it has a map of, in their order.
        bounds: How many images are looked at again.

    Returns:
        Cascade and stability, each in the order of the selection.
    """
    rows = [row for each in found for row in each.likenesses]
    if bounds.stability_images:
        rows += compare_images(cases, rings)
    return _sort(selection, [point for each in found for point in each.cascade], rows)


def measure_consistency(
    cases: Sequence[Explained],
    *,
    selection: Sequence[Case],
    rings: Mapping[str, Sequence[str]],
    predictions: Sequence[Prediction],
    hands: Hands,
    plan: Plan,
    bounds: Bounds,
    task: Task,
) -> Consistency:
    """Make the maps of some images again and say how alike they are.

    Args:
        cases: Explained cases: all, or those that an audit looks at.
        selection: All cases, in their order, whose first ones are looked at again.
        rings: Method to the images of the selection that it has a map of, in their order.
        predictions: Rows with arm, fold, seed, split and image_id: which networks there are.
        hands: How images and networks are got.
        plan: Methods and parameters.
        bounds: How many images are looked at again, and by how many networks.
        task: Kind of the prediction.

    Returns:
        Cascade and stability; nothing where the bounds say none.

    Raises:
        ExplanationError: The copy of a network has other logits than the network.
    """
    held = {done.case.image_id for done in cases}
    planned = plan_visits(selection, predictions, bounds=bounds)
    # The images of other cases may not be at hand.
    visits = [visit for visit in planned if visit.case.image_id in held]
    found = look_again(
        cases,
        visits=visits,
        openers=find_openers(visit.case for visit in visits),
        hands=hands,
        plan=plan,
        bounds=bounds,
        task=task,
    )
    return gather_consistency([found], cases=cases, selection=selection, rings=rings, bounds=bounds)


def _sort(
    selection: Sequence[Case], points: list[CascadePoint], rows: list[Likeness]
) -> Consistency:
    """Put both tables into the order of the selection, and by method, the control last."""
    places = {case.image_id: place for place, case in enumerate(selection)}
    return Consistency(
        sorted(points, key=lambda point: (places[point.image_id], point.method, point.stage)),
        sorted(rows, key=lambda row: (places[row.image_id], row.method == EDGE, row.method)),
    )


def _open_sight(visit: Visit, room: Room, *, work: _Work) -> Sight:
    """Return the visit's image before the network."""
    return Sight(visit.case, load_tensor(visit.case, hands=work.hands), room, work.plan)


def _compare(visit: Visit, *, room: Room, work: _Work) -> list[Likeness]:
    """Return the rows of one image before one network."""
    if visit.place >= work.bounds.stability_images:
        return []
    sight, done = _open_sight(visit, room, work=work), work.cases[visit.case.image_id]
    if visit.kind == "own":
        noise, task = work.bounds.stability_noise, work.task
        return [
            *compare_with_noisy(sight, done.sanity_maps, noise=noise, task=task),
            *compare_with_redrawn(sight, done.attributions),
            *compare_controls(sight, work.hands.load_image(visit.case), done=done, noise=noise),
        ]
    case = visit.case
    against = f"fold-{case.fold}" if visit.kind == "other_fold" else f"seed-{case.seed}"
    return [
        Likeness(
            case.image_id,
            case.subject,
            method,
            visit.kind,
            against,
            visit.split,
            *measure_likeness(grid, sight.make(method)),
        )
        for method, grid in done.sanity_maps.items()
    ]


def _follow_cascade(group: Sequence[Visit], *, room: Room, work: _Work) -> list[CascadePoint]:
    """Return the points of the images that this network tested."""
    visits = [v for v in group if v.kind == "own" and v.place < work.bounds.cascade_images]
    if not visits:
        return []
    pairs = [
        (_open_sight(v, room, work=work), work.cases[v.case.image_id].sanity_maps) for v in visits
    ]
    points = [
        _mark(sight, method, Stage(0, "", 0), trained=grid, found=grid)
        for sight, maps in pairs
        for method, grid in maps.items()
    ]
    for stage, twin in cascade(room.network, seed=work.plan.seed):
        points += [
            _mark(sight, method, stage, trained=grid, found=sight.make(method, network=twin))
            for sight, maps in pairs
            for method, grid in maps.items()
        ]
    return points


def _mark(
    sight: Sight, method: str, stage: Stage, *, trained: FloatGrid, found: FloatGrid | str
) -> CascadePoint:
    """Return one point of one curve."""
    similarity, correlation, reason = measure_likeness(trained, found)
    has_map = not isinstance(found, str) and not is_empty(found)
    entropy = compute_entropy(found) if has_map and not isinstance(found, str) else math.nan
    return CascadePoint(
        image_id=sight.case.image_id,
        subject=sight.case.subject,
        method=method,
        stage=stage.number,
        layer=stage.layer,
        n_layers=stage.n_layers,
        ssim=similarity,
        rank_correlation=correlation,
        entropy=entropy if math.isfinite(entropy) else None,
        reason=reason,
    )
