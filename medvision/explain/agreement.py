"""Maps of one network held against one another: of two methods, and of two images."""

from collections.abc import Sequence
from itertools import combinations

from medvision.explain.likeness import Likeness, measure_likeness
from medvision.explain.one import Explained


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
