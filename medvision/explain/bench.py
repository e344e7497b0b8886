"""Explaining case by case: each before the network of the fold that never saw it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor

from medvision.domain.geometry import Affine, compute_spacing_mm
from medvision.domain.record import JsonValue
from medvision.domain.volume import FloatGrid
from medvision.errors import ExplanationError
from medvision.explain.applicability import find_refusals
from medvision.explain.case import Case, CaseImage, Model, Trained, find_openers, name_model
from medvision.explain.checks import DEPTHS
from medvision.explain.localisation import compute_lesion_diameters_mm
from medvision.explain.names import is_control
from medvision.explain.network import (
    Canonical,
    Proof,
    check_certificate,
    compute_certificate,
    hash_state,
    prove_canonical,
)
from medvision.explain.one import Explained, explain_case
from medvision.explain.sanity import randomise_weights
from medvision.explain.work import Networks, Plan
from medvision.runtime.progress import track

LoadImage = Callable[[Case], CaseImage]
LoadNetwork = Callable[[Case], Trained]
Facts = dict[str, JsonValue]
"""What is said of a network: its copy's certificate and state, what was rewritten or is hidden."""


class SaveMap(Protocol):
    """Writes a map (i, j, k) on the source's grid; returns the sha256 of the file."""

    def __call__(self, image_id: str, method: str, *, grid: FloatGrid, affine: Affine) -> str: ...


@dataclass(frozen=True)
class Hands:
    """What reaches out of this wing, as the caller gave it.

    Args:
        load_image: Gives a case's array and geometry.
        load_network: Gives the network of the fold that tested the case.
        save_map: Writes a map on the source's grid and returns its digest.
        device: Where the networks work.
        is_exclusive: Whether an image has one class alone, and not several findings.
        save_control: Writes the map of a control likewise; None where nobody wants to see them.
    """

    load_image: LoadImage
    load_network: LoadNetwork
    save_map: SaveMap
    device: torch.device
    is_exclusive: bool = True
    save_control: SaveMap | None = None


@dataclass(frozen=True)
class Written:
    """A map as it lies on the disk: digest of the file, smallest and largest value."""

    digest: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Finished:
    """An explained case whose maps are written.

    Args:
        explained: Maps on the array's grid and rows of checks.
        written: Method to the file of its map.
        spacing_mm: Voxel size (i, j, k) of the array.
        diameters_mm: Of each lesion in the mask, the diameter of the ball as large.
    """

    explained: Explained
    written: dict[str, Written]
    spacing_mm: tuple[float, float, float]
    diameters_mm: list[float]


def explain_cases(
    cases: Sequence[Case],
    *,
    hands: Hands,
    plan: Plan,
    openers: Mapping[Model, Case] | None = None,
    description: str = "explaining test images",
) -> tuple[list[Finished], list[Facts]]:
    """Explain cases model by model, so that each network is loaded once.

    Args:
        cases: The selected cases.
        hands: How images and networks are got, and maps written.
        plan: Methods and parameters.
        openers: Network to the case on whose image its copy is made; its first one of these where
            none is given.
        description: What the progress display says.

    Returns:
        (finished, facts): the cases in the order given; per network its certificate, what was
        rewritten in it, what is hidden in it all the same, and the hash of its state.

    Raises:
        ExplanationError: A network's state changed while it was explained, or its copy has other
            logits on an image.
    """
    by_model = sorted(cases, key=name_model)
    first = find_openers(by_model) | dict(openers or {})
    finished: dict[str, Finished] = {}
    facts: dict[Model, Facts] = {}
    certificates: dict[Model, float] = {}
    bench: _Bench | None = None
    for case in track(by_model, description, total=len(by_model)):
        image, opener = hands.load_image(case), first[name_model(case)]
        is_opener = case.image_id == opener.image_id
        if bench is None or bench.model != name_model(case):
            shown = image if is_opener else hands.load_image(opener)
            bench = _open_bench(opener, shown, hands=hands, plan=plan)
            facts[bench.model] = _describe(bench)
            certificates[bench.model] = bench.proof.certificate
        if not is_opener:
            certificate = _certify(bench, image)
            certificates[bench.model] = max(certificates[bench.model], certificate)
        finished[case.image_id] = _finish(case, image, bench=bench, hands=hands, plan=plan)
    told: list[Facts] = [
        facts[model] | {"certificate": certificates[model]} for model in sorted(facts)
    ]
    return [finished[case.image_id] for case in cases], told


@dataclass(frozen=True)
class _Bench:
    """One fold's network as trained, its canonical copy and its randomised twins."""

    model: Model
    trained: Trained
    canonical: Canonical
    proof: Proof
    networks: Networks


def _open_bench(case: Case, image: CaseImage, *, hands: Hands, plan: Plan) -> _Bench:
    """Load the network of a case's fold and make its copies."""
    trained = hands.load_network(case)
    canonical, proof = prove_canonical(
        trained.network, device=hands.device, batch=_to_batch(image, hands.device)
    )
    randomised = {
        depth: randomise_weights(canonical.network, depth=depth, seed=plan.seed)
        for depth in DEPTHS.values()
    }
    networks = Networks(
        network=canonical.network,
        layer=trained.layer,
        classes=trained.classes,
        randomised=randomised,
        refused=find_refusals(canonical.network, proof, methods=plan.methods),
        is_exclusive=hands.is_exclusive,
    )
    return _Bench(name_model(case), trained, canonical, proof, networks)


def _to_batch(image: CaseImage, device: torch.device) -> Tensor:
    """Return an image as a batch of one."""
    return torch.tensor(image.array, dtype=torch.float32, device=device)[None]


def _describe(bench: _Bench) -> Facts:
    """Return what the record says of a network."""
    arm, fold, seed = bench.model
    return {
        "arm": arm,
        "fold": fold,
        "seed": seed,
        "state_hash": bench.canonical.state_hash,
        "rewrites": [asdict(change) for change in bench.canonical.rewrites],
        "hidden": [asdict(found) | {"reason": reason} for found, reason in bench.proof.hidden],
    }


def _certify(bench: _Bench, image: CaseImage) -> float:
    """Hold the copy against the trained network on an image; return the difference of logits."""
    twin = bench.canonical.network
    batch = _to_batch(image, next(twin.parameters()).device)
    check_certificate(certificate := compute_certificate(bench.trained.network, twin, batch=batch))
    return certificate


def _finish(case: Case, image: CaseImage, *, bench: _Bench, hands: Hands, plan: Plan) -> Finished:
    """Explain one case and write its maps."""
    explained, maps = explain_case(case, image, networks=bench.networks, plan=plan)
    if hash_state(bench.canonical.network) != bench.canonical.state_hash:
        raise ExplanationError(f"{case.image_id}: network must stay as it is, got another state.")
    written = {
        method: Written(
            hands.save_map(case.image_id, method, grid=grid, affine=image.source_affine),
            float(grid.min()),
            float(grid.max()),
        )
        for method, grid in maps.items()
        if not is_control(method)
    }
    if hands.save_control is not None:
        for name in filter(is_control, maps):
            affine = image.source_affine
            hands.save_control(case.image_id, name, grid=maps[name], affine=affine)
    diameters_mm: list[float] = []
    if image.mask is not None:
        diameters_mm = compute_lesion_diameters_mm(image.mask, image.source_affine)
    return Finished(explained, written, compute_spacing_mm(image.tensor_affine), diameters_mm)
