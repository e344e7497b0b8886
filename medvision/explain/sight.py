"""One image before one network: its maps at reduced settings, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medvision.domain.volume import FloatGrid
from medvision.explain.applicability import find_refusals
from medvision.explain.bench import Hands
from medvision.explain.case import Case
from medvision.explain.methods import InapplicableError
from medvision.explain.network import prove_canonical
from medvision.explain.one import Plan
from medvision.explain.reduced import attribute_reduced, derive_draws, get_native


@dataclass(frozen=True)
class Room:
    """A canonical network, Grad-CAM's layer, its classes, and what does not apply to it."""

    network: nn.Module
    layer: str
    classes: tuple[str, ...]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class Sight:
    """One image before one network.

    Args:
        case: The image, and the class explained.
        image: (1, C, I, J) or (1, C, I, J, K) float32, on the network's device.
        room: The network.
        plan: Methods and parameters.
    """

    case: Case
    image: Tensor
    room: Room
    plan: Plan

    @property
    def target(self) -> int:
        """Index of the class explained."""
        return self.room.classes.index(self.case.target)

    def make(
        self, method: str, *, image: Tensor | None = None, network: nn.Module | None = None
    ) -> FloatGrid | str:
        """Return the reduced map, or why the method has none.

        Args:
            method: Name of the method.
            image: Another image than the case's own, where given.
            network: Another network than the room's, with the same layers, where given.
        """
        if method in self.room.refused:
            return f"refused: {self.room.refused[method]}"
        try:
            found = attribute_reduced(
                self.room.network if network is None else network,
                self.image if image is None else image,
                method=method,
                target=self.target,
                layer=self.room.layer,
                settings=self.plan.settings,
                seed=derive_draws(self.plan.seed, self.case.image_id, method=method),
            )
        except InapplicableError as error:
            return f"refused: {error.message.removeprefix(f'{method}: ')}"
        return get_native(found)


def open_room(case: Case, *, hands: Hands, plan: Plan) -> Room:
    """Load a network, make its canonical copy, and hold the copy against it on the case's image.

    Args:
        case: Its fold and seed name the network.
        hands: How images and networks are got.
        plan: Methods and parameters.

    Raises:
        ExplanationError: The copy has other logits on the image.
    """
    trained = hands.load_network(case)
    canonical, proof = prove_canonical(
        trained.network, device=hands.device, batch=load_tensor(case, hands=hands)
    )
    refused = find_refusals(canonical.network, proof, methods=plan.methods)
    return Room(canonical.network, trained.layer, trained.classes, refused)


def load_tensor(case: Case, *, hands: Hands) -> Tensor:
    """Return the case's array as a batch of one on the device."""
    array = hands.load_image(case).array
    return torch.tensor(array, dtype=torch.float32, device=hands.device)[None]
