"""The levels of an audit at which something is computed again from images and weights."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from medvision.audit.crosscheck import list_digests
from medvision.audit.findings import Check
from medvision.audit.inventory import take_inventory
from medvision.audit.manifest import MANIFEST, parse_manifest
from medvision.cli._recompute.answers import FAULTS, fail, find_in

if TYPE_CHECKING:
    from medvision.cli._recompute.scene import Scene

FIRST_LEVEL = 3
"""From here on torch is needed, and the source images."""

_QUESTIONS = {
    3: ("level 3", "Can arrays and maps be computed again?"),
    4: ("level 4", "Can checks and verdicts be computed again?"),
    5: ("level 5", "Can maps be computed another way?"),
}


def check_recomputed(
    bundle: Path, *, level: int, sources: Path | None, sample: int, seed: int
) -> tuple[Check, ...]:
    """Compute a sample of a bundle's explanations again.

    Args:
        bundle: Folder written by `medvision audit seal`, trusted in nothing.
        level: 3 for arrays and maps, 4 for checks as well, 5 for another implementation as well;
            below 3 nothing is done, and torch not imported.
        sources: Output folder of the run, or a folder with its images and masks.
        sample: Number of maps drawn.
        seed: The auditor's own seed of the draw.

    Returns:
        The checks of levels 3 to `level`. What is wrong in the bundle is told and not raised.

    Raises:
        AuditError: There is no such folder.
    """
    if level < FIRST_LEVEL:
        return ()
    numbers = range(FIRST_LEVEL, level + 1)
    try:
        scene = _open(bundle, sources=sources, sample=sample, seed=seed)
    except FAULTS as error:
        return tuple(fail(*_QUESTIONS[number], error) for number in numbers)
    return tuple(check for number in numbers for check in _try(number, scene))


def _open(bundle: Path, *, sources: Path | None, sample: int, seed: int) -> "Scene":
    """Open a bundle's explanations for computing again."""
    from medvision.cli._recompute.request import Request
    from medvision.cli._recompute.scene import open_scene

    inventory = take_inventory(bundle)
    manifest = parse_manifest(inventory.read(MANIFEST))

    request = Request(find_in(inventory), list_digests(manifest), sources, sample, seed)
    return open_scene(request)


def _try(number: int, scene: "Scene") -> list[Check]:
    """Ask one level; what cannot even be read is a fault too."""
    try:
        return _find_level(number)(scene)
    except (*FAULTS, RuntimeError) as error:
        return [fail(*_QUESTIONS[number], error)]


def _find_level(number: int) -> "Callable[[Scene], list[Check]]":
    """Return the questions of a level; each is imported when it is asked."""
    if number == 3:
        from medvision.cli._recompute.attributions import check_attributions
        from medvision.cli._recompute.drawn import check_drawn

        return lambda scene: [*check_attributions(scene), *check_drawn(scene.request)]
    if number == 4:
        from medvision.cli._recompute.checks import check_checks

        return check_checks
    from medvision.cli._recompute.independent import check_independently

    return check_independently
