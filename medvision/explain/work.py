"""One case at work: the plan, the networks, and the image that they are asked about."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from medvision.domain.attribution import Attribution
from medvision.explain.case import Case, CaseImage
from medvision.explain.checks.row import About
from medvision.explain.methods import Settings, attribute
from medvision.explain.reduced import attribute_reduced, derive_draws


@dataclass(frozen=True)
class Plan:
    """How cases are explained and checked; the fields of the configuration."""

    methods: tuple[str, ...]
    settings: Settings
    seed: int
    random_orders: int
    deletion_steps: int


@dataclass(frozen=True)
class Networks:
    """A canonical network, its layer and classes, and its twins with randomised weights.

    Args:
        network: The copy that is explained.
        layer: Dotted name of Grad-CAM's layer.
        classes: Classes in the order of the logits.
        randomised: Depth to the copy with random weights.
        refused: Method that does not apply to this network, to the reason.
        is_exclusive: Whether an image has one class alone, and not several findings.
    """

    network: nn.Module
    layer: str
    classes: tuple[str, ...]
    randomised: Mapping[str, nn.Module]
    refused: Mapping[str, str]
    is_exclusive: bool = True


@dataclass(frozen=True)
class Work:
    """One case at work.

    Args:
        case: Whose prediction.
        image: Its array and geometry.
        tensor: (1, C, I, J[, K]) float32, on the networks' device.
        networks: The network that never saw the image, and its randomised twins.
        plan: Methods, their parameters, and those of the checks.
    """

    case: Case
    image: CaseImage
    tensor: Tensor
    networks: Networks
    plan: Plan

    @property
    def target(self) -> int:
        """Return the index of the class that is explained."""
        return self.networks.classes.index(self.case.target)

    def attribute(self, network: nn.Module, method: str, *, settings: Settings) -> Attribution:
        """Attribute this case's logit of the given network."""
        return attribute(
            network,
            self.tensor,
            method=method,
            target=self.target,
            layer=self.networks.layer,
            settings=settings,
            seed=derive_draws(self.plan.seed, self.case.image_id, method=method),
        )

    def attribute_reduced(
        self, network: nn.Module, method: str, *, target: int | None = None
    ) -> Attribution:
        """Attribute a logit of the given network at reduced settings, by default the target's."""
        return attribute_reduced(
            network,
            self.tensor,
            method=method,
            target=self.target if target is None else target,
            layer=self.networks.layer,
            settings=self.plan.settings,
            seed=derive_draws(self.plan.seed, self.case.image_id, method=method),
        )

    def about(self, method: str) -> About:
        """Return what a row on a map of this case is about."""
        return About(self.case.image_id, method)
