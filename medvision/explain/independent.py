"""The same methods written another way: plain autograd, a plain loop, and MONAI's Grad-CAM.

No Captum and no rewritten copy: the network is the one of the checkpoint. What is shared with the
maps that are checked is the baseline's definition, the layer's name and the way from cells to the
array's grid.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medvision.domain.volume import FloatGrid
from medvision.explain.grids import to_grid, upsample
from medvision.explain.methods import Settings

_ROWS = 4
"""Rows of a batch; another number than the run's."""


@dataclass(frozen=True)
class Question:
    """What is to be explained.

    Args:
        network: As its checkpoint has it; it is copied.
        image: (1, C, I, J[, K]) float32 on the CPU.
        target: Index of the class.
        layer: Dotted name of Grad-CAM's layer.
        settings: Parameters of the methods.
        steps: Nodes of integrated gradients, as the map's row says.
    """

    network: nn.Module
    image: Tensor
    target: int
    layer: str
    settings: Settings
    steps: int


def explain_independently(method: str, question: Question) -> FloatGrid:
    """Attribute the target's logit without Captum.

    Args:
        method: A key of `INDEPENDENT`.
        question: What is to be explained.

    Returns:
        Map (I, J, K) float32 on the array's grid.

    Raises:
        KeyError: There is no independent implementation.

    Source:
        As the methods themselves; Grad-CAM by MONAI: Cardoso 2022, arXiv:2211.02701.
    """
    return INDEPENDENT[method](_open(question), question)


def integrate_with_more_steps(question: Question, *, factor: int) -> FloatGrid:
    """Return integrated gradients (I, J, K) at other nodes than the run's, several times as many.

    Args:
        question: What is to be explained.
        factor: How many times as many.
    """
    whole = _integrate(_open(question), question, 0.0, 1.0, points=factor * question.steps)
    return to_grid(whole.sum(0))


def compute_difference(question: Question) -> float:
    """Return what integrated gradients must add up to: the logit less that of the baseline.

    Args:
        question: What is to be explained.
    """
    before, after = _compute_logits(_open(question), question, (0.0, 1.0))
    return float(after - before)


def _open(question: Question) -> nn.Module:
    """Return a copy of the network in which nothing works in place."""
    network = copy.deepcopy(question.network).float().eval()
    for module in network.modules():
        # An activation that works in place would change what its layer is looked at by.
        if getattr(module, "inplace", None) is True:
            setattr(module, "inplace", False)  # noqa: B010 - an attribute that not all modules have
    return network.requires_grad_(requires_grad=True)


def _integrate_plainly(network: nn.Module, question: Question) -> FloatGrid:
    """Sum the gradient at Gauss-Legendre nodes in panels, where the run's rule puts them.

    Panels of one batch each; while there are fewer nodes than the map's row says, the panel whose
    sum misses its own change of the logit by most is halved.
    """
    points = min(question.settings.batch_size, question.settings.steps)
    n_panels = math.ceil(question.settings.steps / points)
    edges = [n / n_panels for n in range(n_panels + 1)]
    parts = [_integrate(network, question, *ends, points=points) for ends in pairwise(edges)]
    while len(parts) * points < question.steps:
        changes = np.diff(_compute_logits(network, question, edges))
        misses = [
            abs(float(part.sum()) - change) for part, change in zip(parts, changes, strict=True)
        ]
        worst = int(np.argmax(misses))
        edges.insert(worst + 1, (edges[worst] + edges[worst + 1]) / 2)
        parts[worst : worst + 1] = [
            _integrate(network, question, *ends, points=points)
            for ends in pairwise(edges[worst : worst + 3])
        ]
    return to_grid(torch.stack(parts).sum(0).sum(0))


def _integrate(
    network: nn.Module, question: Question, start: float, stop: float, *, points: int
) -> Tensor:
    """Return the integral (C, ...) float64 of the gradient along a part of the way."""
    way = question.image - question.settings.build_baseline(question.image)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    shares = start + (stop - start) * (nodes + 1) / 2
    total = torch.zeros_like(way[0], dtype=torch.float64)
    for first in range(0, points, _ROWS):
        rows = torch.cat([_go(question, share) for share in shares[first : first + _ROWS]])
        gradients = _compute_gradients(network, rows, target=question.target).double()
        for weight, gradient in zip(weights[first : first + _ROWS] / 2, gradients, strict=True):
            total += float(weight) * gradient
    return total * (stop - start) * way[0].double()


def _go(question: Question, share: float) -> Tensor:
    """Return the image (1, C, ...) at a share of the way from the baseline."""
    baseline = question.settings.build_baseline(question.image)
    return baseline + float(share) * (question.image - baseline)


def _compute_logits(
    network: nn.Module, question: Question, shares: Sequence[float]
) -> NDArray[np.float64]:
    """Return the target's logit (n,) at shares of the way."""
    with torch.no_grad():
        logits = [network(_fill(_go(question, s)))[0, question.target] for s in shares]
    return torch.stack(logits).double().numpy()


def _compute_gradients(network: nn.Module, points: Tensor, *, target: int) -> Tensor:
    """Return the gradient (n, C, ...) of the target's logit at each of n points."""
    rows = _fill(points).detach().clone().requires_grad_()
    (gradients,) = torch.autograd.grad(network(rows)[:, target].sum(), rows)
    return gradients[: len(points)]


def _fill(rows: Tensor) -> Tensor:
    """Return whole batches: a batch of one is computed otherwise, in the last digits."""
    return torch.cat([rows, rows[-1:].expand(_ROWS - len(rows), *rows.shape[1:])])


def _take_gradient(network: nn.Module, question: Question) -> FloatGrid:
    """Return the plain gradient, channels summed."""
    gradients = _compute_gradients(network, question.image, target=question.target)
    return to_grid(gradients[0].sum(0))


def _multiply_by_input(network: nn.Module, question: Question) -> FloatGrid:
    """Return the gradient times the image, channels summed."""
    gradients = _compute_gradients(network, question.image, target=question.target)
    return to_grid((gradients[0] * question.image[0]).sum(0))


def _occlude_plainly(network: nn.Module, question: Question) -> FloatGrid:
    """Put a box of baseline at each place, and share the fall of the logit out over its voxels."""
    image, settings = question.image, question.settings
    baseline = settings.build_baseline(image)
    fall = np.zeros(image.shape[2:], dtype=np.float64)
    count = np.zeros(image.shape[2:], dtype=np.float64)
    boxes = list(_list_boxes(image.shape[2:], settings))
    with torch.no_grad():
        whole = network(_fill(image))[0, question.target].double()
        for start in range(0, len(boxes), _ROWS):
            part = boxes[start : start + _ROWS]
            rows = _fill(torch.cat([_cover(image, baseline, box=box) for box in part]))
            logits = network(rows)[:, question.target].double()
            for box, logit in zip(part, logits, strict=False):
                fall[box] += float(whole - logit)
                count[box] += 1
    return to_grid(torch.from_numpy(fall / np.maximum(count, 1)))


def _cover(image: Tensor, baseline: Tensor, *, box: tuple[slice, ...]) -> Tensor:
    """Return the image with a box of baseline in all channels."""
    changed = image.clone()
    place = (slice(None), slice(None), *box)
    changed[place] = baseline[place]
    return changed


def _list_boxes(axes: torch.Size, settings: Settings) -> Iterator[tuple[slice, ...]]:
    """Yield the places of the box; the last along an axis is cut at the border."""
    along = []
    for length, size, step in zip(
        axes, settings.occlusion_window, settings.occlusion_stride, strict=False
    ):
        window = min(size, length)
        stride = min(step, window)
        n_places = math.ceil((length - window) / stride) + 1
        starts = [stride * place for place in range(n_places)]
        along.append([slice(start, min(start + window, length)) for start in starts])
    for index in np.ndindex(*(len(places) for places in along)):
        yield tuple(places[n] for places, n in zip(along, index, strict=True))


class _BothSigns(nn.Module):
    """A network whose logits stand there twice, the second time with their sign turned."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 2 C) of images (B, ...)."""
        logits: Tensor = self.network(images)
        return torch.cat([logits, -logits], dim=1)


def weigh_cells_by_monai(question: Question) -> FloatGrid:
    """Return MONAI's Grad-CAM on the layer's own cells (I', J', K'), with its sign.

    MONAI's ends with a ReLU, is interpolated, and scaled to [0, 1]. The last two are avoided by
    asking for the map itself; the ReLU is undone by asking for the class and for its opposite,
    whose maps are the positive and the negative part. The scale is that of the logit.

    Args:
        question: What is to be explained.
    """
    return _weigh_cells(_open(question), question)


def _weigh_cells(network: nn.Module, question: Question) -> FloatGrid:
    """Ask MONAI twice."""
    from monai.visualize import GradCAM

    both = _BothSigns(network)
    # Each has its own hooks, and looks at a gradient of its own.
    parts = []
    with torch.no_grad():
        n_classes = network(question.image).shape[1]
    for number in (question.target, question.target + n_classes):
        camera = GradCAM(copy.deepcopy(both), target_layers=f"network.{question.layer}")
        found: Tensor = camera.compute_map(question.image.clone(), class_idx=number)
        parts.append(to_grid(found.detach()[0, 0]))
    return parts[0] - parts[1]


def _interpolate_cells(network: nn.Module, question: Question) -> FloatGrid:
    """Return MONAI's map between cell centres on the array's grid."""
    i, j, k = to_grid(question.image[0, 0]).shape
    return upsample(_weigh_cells(network, question), shape=(i, j, k))


INDEPENDENT: dict[str, Callable[[nn.Module, Question], FloatGrid]] = {
    "integrated_gradients": _integrate_plainly,
    "layer_gradcam": _interpolate_cells,
    "occlusion": _occlude_plainly,
    "saliency": _take_gradient,
    "input_x_gradient": _multiply_by_input,
}
"""Methods that are written here a second time."""
