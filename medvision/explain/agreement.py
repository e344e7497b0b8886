"""Maps of one network held against one another: of methods, of images, and the controls."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from medvision.explain.case import CaseImage
from medvision.explain.controls import build_controls, compute_edge_map
from medvision.explain.likeness import Likeness, measure_likeness
from medvision.explain.names import EDGE
from medvision.explain.one import Explained
from medvision.explain.sight import Sight
from medvision.explain.steadiness import add_noise
from medvision.explain.visits import NOISE_DRAWS


def compare_methods(cases: Sequence[Explained]) -> list[Likeness]:
    """Hold the maps of each two methods against each other, image by image, as they are shown.

    Args:
        cases: All explained cases.

    Returns:
        A row per image and pair of methods that have a map of it.
    """
    return [
        Likeness(
            done.case.image_id,
            done.case.subject,
            a,
            "agreement",
            b,
            "",
            *measure_likeness(done.attributions[a].grid, done.attributions[b].grid),
        )
        for done in cases
        for a, b in combinations(done.attributions, 2)
    ]


def compare_images(cases: Sequence[Explained]) -> list[Likeness]:
    """Hold each image's reduced map against that of the next image of the selection.

    They share a method, and no image: what is as alike as that is not alike by the image.

    Args:
        cases: All explained cases, in the order of the selection; the last is followed by the
            first, of two there is one pair.

    Source:
        After Arun 2021, doi:10.1148/ryai.2021200267 (maps of random pairs of images).
    """
    rows = []
    for method in dict.fromkeys(name for done in cases for name in done.sanity_maps):
        held = [done for done in cases if method in done.sanity_maps]
        pairs = list(zip(held, [*held[1:], *held[:1]], strict=True))[: _count_pairs(len(held))]
        rows += [
            Likeness(
                a.case.image_id,
                a.case.subject,
                method,
                "other_image",
                b.case.image_id,
                "",
                *measure_likeness(a.sanity_maps[method], b.sanity_maps[method]),
            )
            for a, b in pairs
        ]
    return rows


def _count_pairs(n: int) -> int:
    """Return how many pairs of neighbours a ring of n images has."""
    return n if n > 2 else max(0, n - 1)


def compare_controls(
    sight: Sight, image: CaseImage, *, done: Explained, noise: float
) -> list[Likeness]:
    """Hold the maps shown against the blind controls, and the edge map against noise.

    The edge map sees no network: as steady as it is, anything can be that looks at the image; and
    a map that is as alike to it may show the image rather than what the network made of it.

    Args:
        sight: The image before its own network.
        image: Its array and geometry.
        done: The explained case.
        noise: Standard deviation of the noise, as a share of the image's range.
    """
    case, plan = done.case, sight.plan
    block = plan.settings.occlusion_stride
    controls = build_controls(image, image_id=case.image_id, block=block, seed=plan.seed)
    rows = [
        Likeness(
            case.image_id,
            case.subject,
            method,
            "agreement",
            name,
            "",
            *measure_likeness(shown.grid, grid),
        )
        for method, shown in done.attributions.items()
        for name, grid in controls.items()
    ]
    for n in range(NOISE_DRAWS):
        array = add_noise(sight, n, noise=noise)[0].cpu().numpy()
        found = measure_likeness(controls[EDGE], compute_edge_map(replace(image, array=array)))
        rows.append(
            Likeness(case.image_id, case.subject, EDGE, "input_noise", f"draw-{n + 1}", "", *found)
        )
    return rows
