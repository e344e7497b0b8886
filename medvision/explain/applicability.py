"""Which methods do not apply to a network or to a map, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from captum.attr import DeepLift
from torch import nn

from medvision.domain.attribution import Attribution
from medvision.explain.network import Proof
from medvision.explain.rewrite import ACTIVATIONS
from medvision.explain.witness import IN_PLACE


@dataclass(frozen=True)
class Refusal:
    """Why a method has no map.

    Args:
        reason: The same for all images of which it is true.
        figures: What was measured on this image, or "".
    """

    reason: str
    figures: str = ""

    def __str__(self) -> str:
        """Return both in one sentence."""
        return f"{self.reason} ({self.figures})" if self.figures else self.reason


LEAST_DISTANCE = 1e-6
"""A guided map nearer to the plain gradient than this share of its length is the gradient."""

_GATES = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Softmax)
"""What a guided network may be bent by: rectifiers, and what opens and closes channels."""


def find_refusals(network: nn.Module, proof: Proof, *, methods: Sequence[str]) -> dict[str, str]:
    """Tell which methods do not apply to a network.

    Args:
        network: Canonical copy.
        proof: What was seen of it at work.
        methods: Names of the methods.

    Returns:
        Method to the reason, for those that are refused.

    Source:
        Rules of DeepLift: Shrikumar 2017, arXiv:1704.02685. Guided backpropagation is defined for
        ReLU alone: Springenberg 2014, arXiv:1412.6806.
    """
    reasons = {method: _RULES[method](network, proof) for method in methods if method in _RULES}
    return {method: reason for method, reason in reasons.items() if reason is not None}


def _refuse_deeplift(network: nn.Module, proof: Proof) -> str | None:
    """Refuse where Captum would take a gradient for a difference, or stop."""
    hidden = proof.explain_hidden()
    if hidden is not None:
        return f"each activation must be a module of its own: {hidden}"
    # Captum asks for the very class, not for its descendants.
    rules = DeepLift(network)
    others = _name_activations(network, lambda module: not rules._is_non_linear(module))
    if others:
        return f"there is no rule for {others}: the map would be wrong and nothing would tell"
    return None


def _refuse_guided(network: nn.Module, proof: Proof) -> str | None:
    """Refuse where there is no ReLU to guide, or something else as well."""
    # Captum hands an activation a copy of its input: what works in place would reach nobody.
    missed = [
        found
        for found, _ in proof.hidden
        if found.call.startswith("function") or found.call.endswith(IN_PLACE)
    ]
    if missed:
        return f"each ReLU must be a module, and out of place: {proof.explain_hidden()}"
    if not any(isinstance(module, nn.ReLU) for module in network.modules()):
        names = _name_activations(network, _is_any) or "no activation"
        return f"the network has no ReLU ({names}): the map would be the plain gradient"
    others = _name_activations(network, lambda module: not isinstance(module, _GATES))
    if others:
        return f"besides ReLU the network has {others}, which are not guided"
    return None


def _refuse_layer(_: nn.Module, proof: Proof) -> str | None:
    """Refuse where what a layer gave may have been changed before it is looked at."""
    if any(found.call.endswith(IN_PLACE) for found, _ in proof.hidden):
        return f"a layer's output must stay as it is: {proof.explain_hidden()}"
    return None


def _refuse_guided_layer(network: nn.Module, proof: Proof) -> str | None:
    """Refuse where either of the two is refused."""
    return _refuse_guided(network, proof) or _refuse_layer(network, proof)


_RULES: dict[str, Callable[[nn.Module, Proof], str | None]] = {
    "deeplift": _refuse_deeplift,
    "layer_gradcam": _refuse_layer,
    "guided_backprop": _refuse_guided,
    "guided_gradcam": _refuse_guided_layer,
}


def _is_any(_: nn.Module) -> bool:
    return True


def _name_activations(network: nn.Module, is_wanted: Callable[[nn.Module], bool]) -> str:
    """Return the kinds of activations that answer, by name."""
    kinds = {
        type(module).__name__
        for module in network.modules()
        if isinstance(module, ACTIVATIONS) and is_wanted(module)
    }
    return ", ".join(sorted(kinds))


def judge_attribution(attribution: Attribution) -> Refusal | None:
    """Tell why a map must not be shown, or None.

    Args:
        attribution: Map with its parameters and completeness error.

    Returns:
        The reason with its figures: DeepLift whose sum is wrong, or a guided map that is nothing
        but the plain gradient.
    """
    parameters = attribution.parameters
    if attribution.method == "deeplift":
        error, gate = attribution.completeness_error, parameters["completeness_gate"]
        if error is not None and isinstance(gate, float) and error > gate:
            return Refusal(
                "the map's sum misses the change of the logit by more than is allowed",
                f"by {error:.3g} of {attribution.output_difference:.3g}, allowed is {gate:.3g}",
            )
    distance = parameters.get("distance_to_saliency")
    if isinstance(distance, float) and distance <= LEAST_DISTANCE:
        return Refusal("the guided map is the plain gradient: no gradient was held back")
    return None
