"""Rows that cascade and stability must have, by the selection, the maps and the predictions."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from medvision.audit.findings import Finding
from medvision.cli._recompute.told import (
    ATTRIBUTIONS,
    CASCADE,
    STABILITY,
    Told,
    list_rings,
)
from medvision.io.tables import read_table

_Key = tuple[str, str, str, str, str]
"""Image, method, comparison, against and split."""

_RULES = {True: ("there, by the settings", "no row"), False: ("absent, by the settings", "a row")}


def find_likeness_faults(told: Told) -> list[Finding]:
    """Name the rows that are missing in cascade and stability, stand twice, or are too many.

    Which there must be follows from the order of the selection, the settings, the maps and the
    predictions, which say what networks there are and which of them never saw an image.

    Args:
        told: What the bundle tells.
    """
    held: Counter[_Key] = Counter(
        (row["image_id"], row["method"], row["comparison"], row["against"], row["split"])
        for row in told.tables[STABILITY]
    )
    wanted = set(_list_likenesses(told))
    findings = [
        Finding(f"{STABILITY} {' '.join(filter(None, key))}", "row", *_RULES[key in wanted])
        for key in sorted(held.keys() ^ wanted)
    ]
    findings += [
        Finding(f"{STABILITY} {' '.join(filter(None, key))}", "rows", "one", f"{n}")
        for key, n in held.items()
        if n > 1
    ]
    return findings + _find_cascade_faults(told)


def _find_cascade_faults(told: Told) -> list[Finding]:
    """Name the curves that are missing, too many, or have other stages than the others."""
    curves: dict[tuple[str, str], list[int]] = {}
    for row in told.tables[CASCADE]:
        curves.setdefault((row["image_id"], row["method"]), []).append(int(row["stage"]))
    first = {case.image_id for case in told.cases[: told.section.cascade_images]}
    wanted = {pair for pair in _list_pairs(told) if pair[0] in first}
    findings = [
        Finding(f"{CASCADE} {' '.join(pair)}", "curve", *_RULES[pair in wanted])
        for pair in sorted(curves.keys() ^ wanted)
    ]
    n_stages = max((len(set(stages)) for stages in curves.values()), default=0)
    return findings + [
        Finding(f"{CASCADE} {' '.join(pair)}", "stages", f"0 to {n_stages - 1}", f"{stages}")
        for pair, stages in curves.items()
        if sorted(stages) != [*range(n_stages)]
    ]


def _list_pairs(told: Told) -> list[tuple[str, str]]:
    """Return image and method of each map."""
    return [(row["image_id"], row["method"]) for row in told.tables[ATTRIBUTIONS]]


def _list_likenesses(told: Told) -> Iterator[_Key]:
    """Yield what tells the rows of stability from one another."""
    n_images, pairs = told.section.stability_images, _list_pairs(told)
    if not n_images:
        return
    images = [case.image_id for case in told.cases]
    made = {image: [method for name, method in pairs if name == image] for image in images}
    yield from _list_alike(pairs, images, made=made)
    yield from _list_own(told, {image: made[image] for image in images[:n_images]})
    yield from _list_others(told, made)


def _list_alike(
    pairs: Sequence[tuple[str, str]], images: Sequence[str], *, made: Mapping[str, Sequence[str]]
) -> Iterator[_Key]:
    """Yield the rows of two methods, and of two images."""
    from medvision.explain.visits import pair_neighbours

    for image, methods in made.items():
        yield from ((image, a, "agreement", b, "") for a, b in combinations(methods, 2))
    for method, ring in list_rings(pairs, images).items():
        yield from ((a, method, "other_image", b, "") for a, b in pair_neighbours(ring))


def _list_own(told: Told, made: Mapping[str, Sequence[str]]) -> Iterator[_Key]:
    """Yield the rows of an image before its own network: noise, controls, and another draw."""
    from medvision.explain.names import EDGE, RANDOM
    from medvision.explain.visits import NOISE_DRAWS

    draws = [f"draw-{n + 1}" for n in range(NOISE_DRAWS)]
    for image, methods in made.items():
        names = (*methods, EDGE)
        yield from ((image, name, "input_noise", draw, "") for name in names for draw in draws)
        yield from ((image, a, "agreement", b, "") for a in methods for b in (EDGE, RANDOM))
    for row in told.tables[ATTRIBUTIONS]:
        if row["image_id"] in made and "torch_seed" in json.loads(row["parameters"]):
            yield row["image_id"], row["method"], "reseed", "seed-2", ""


def _list_others(told: Told, made: Mapping[str, Sequence[str]]) -> Iterator[_Key]:
    """Yield the rows of other networks."""
    from medvision.explain.visits import plan_visits

    predictions = read_table(told.locate("predict/predictions.tsv"))
    for visit in plan_visits(told.cases, predictions, bounds=told.bounds):
        case, kind = visit.case, visit.kind
        against = f"fold-{case.fold}" if kind == "other_fold" else f"seed-{case.seed}"
        for method in made[case.image_id] if kind != "own" else []:
            yield case.image_id, method, kind, against, visit.split
