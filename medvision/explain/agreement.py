"""Maps of one network held against one another: of methods, of images, and the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from medvision.explain.case import CaseImage
from medvision.explain.controls import build_controls, compute_edge_map
from medvision.explain.likeness import Likeness, measure_likeness
from medvision.explain.names import EDGE
from medvision.explain.one import Explained
from medvision.explain.sight import Sight
from medvision.explain.steadiness import add_noise
from medvision.explain.visits import NOISE_DRAWS, pair_neighbours


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


def list_rings(cases: Sequence[Explained]) -> dict[str, list[str]]:
    """Return of each method the images that it has a reduced map of, in the order of the selection.

    Args:
        cases: All explained cases.
    """
    return {
        method: [done.case.image_id for done in cases if method in done.sanity_maps]
        for method in dict.fromkeys(name for done in cases for name in done.sanity_maps)
    }


def compare_images(
    cases: Sequence[Explained], rings: Mapping[str, Sequence[str]]
) -> list[Likeness]:
    """Hold each image's reduced map against that of the next image of the selection.

    They share a method, and no image: what is as alike as that is not alike by the image.

    Args:
        cases: Explained cases; a pair of which one is not among them is left out.
        rings: Method to the images that it has a map of, all of the selection.

    Source:
        After Arun 2021, doi:10.1148/ryai.2021200267 (maps of random pairs of images).
    """
    rows = []
    held = {done.case.image_id: done for done in cases}
    for method, ring in rings.items():
        pairs = [pair for pair in pair_neighbours(ring) if held.keys() >= set(pair)]
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
            for a, b in ((held[one], held[other]) for one, other in pairs)
        ]
    return rows


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
