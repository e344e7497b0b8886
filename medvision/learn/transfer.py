"""Starting weights: every tensor of a file loaded, adapted, skipped or missing, and said so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medvision.domain.volume import format_shape
from medvision.errors import WeightsError

Status = Literal[
    "loaded", "adapted", "skipped-head", "skipped-shape", "missing-head", "missing", "unused"
]
_FAULTS: tuple[Status, ...] = ("missing", "skipped-shape", "unused")
_N_WORST = 3
_BOOKKEEPING = "num_batches_tracked"
_WRAPPER = "module."


@dataclass(frozen=True)
class WeightsRow:
    """What became of one tensor.

    Args:
        tensor: Its name in the network, or in the file when the network has none such.
        status: loaded; adapted (to the channel count); skipped-head, skipped-shape (in both, not
            taken); missing-head, missing (not in the file); unused (not in the network).
        model_shape: Its shape in the network, such as `64x1x7x7`, or empty.
        file_shape: Its shape in the file, or empty.
    """

    tensor: str
    status: Status
    model_shape: str
    file_shape: str


@dataclass(frozen=True)
class WeightsReport:
    """What became of all tensors.

    Args:
        rows: One row a tensor, sorted by name.
        match: Share of the backbone's tensors that were loaded or adapted, in [0, 1].
    """

    rows: tuple[WeightsRow, ...]
    match: float

    def count(self, status: Status) -> int:
        """Return the number of tensors with this status."""
        return sum(row.status == status for row in self.rows)


def load_weights(
    model: nn.Module, tensors: Mapping[str, Tensor], *, head: Sequence[str], minimum_match: float
) -> WeightsReport:
    """Copy a file's tensors into a network, in place, as far as they fit.

    The head is never taken over, since its labels are others. A first convolution made for C
    channels is summed over them for one channel, so that a grey image gives the response of its
    C equal copies; one made for one channel is shared out evenly among C.

    Args:
        model: Network to be changed.
        tensors: Tensor names (with or without `module.`) to tensors.
        head: Dotted names of the modules that belong to the labels.
        minimum_match: Smallest share of backbone tensors that must fit, in (0, 1].

    Returns:
        One row for every tensor of the network and of the file.

    Raises:
        WeightsError: Too few tensors fit; the network is then unchanged.
    """
    held = model.state_dict()
    given = {name.removeprefix(_WRAPPER): tensor for name, tensor in tensors.items()}
    first = _find_first_convolution(model)
    chosen: dict[str, Tensor] = {}
    rows: list[WeightsRow] = []
    for name in sorted(held.keys() | given.keys()):
        status, tensor = _match(name, held, given=given, head=head, first=first)
        rows.append(_describe(name, status, held=held, given=given))
        if tensor is not None:
            chosen[name] = tensor
    report = WeightsReport(tuple(rows), _compute_match(rows))
    _check_match(report, minimum_match)
    model.load_state_dict({**held, **chosen}, strict=True)
    return report


def _match(
    name: str,
    held: Mapping[str, Tensor],
    *,
    given: Mapping[str, Tensor],
    head: Sequence[str],
    first: str | None,
) -> tuple[Status, Tensor | None]:
    """Decide what becomes of one tensor, and return what is to be loaded, if anything."""
    if name not in held:
        return "unused", None
    in_head = any(name.startswith(f"{part}.") for part in head)
    if name not in given:
        return ("missing-head" if in_head else "missing"), None
    if in_head:
        return "skipped-head", None
    if held[name].shape == given[name].shape:
        return "loaded", given[name]
    adapted = _adapt_channels(given[name], held[name].shape) if name == first else None
    return ("adapted", adapted) if adapted is not None else ("skipped-shape", None)


def _find_first_convolution(model: nn.Module) -> str | None:
    """Return the name of the weight that meets the image."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            return f"{name}.weight"
    return None


def _adapt_channels(weight: Tensor, shape: torch.Size) -> Tensor | None:
    """Fit a convolution's weight (out, in, ...) to another number of input channels."""
    if len(weight.shape) != len(shape) or weight.shape[0] != shape[0]:
        return None
    if weight.shape[2:] != shape[2:]:
        return None
    if shape[1] == 1:
        return weight.sum(1, keepdim=True)
    if weight.shape[1] == 1:
        return weight.expand(shape) / shape[1]
    return None


def _describe(
    name: str, status: Status, *, held: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> WeightsRow:
    """Make a tensor's row."""
    shapes = [
        format_shape(source[name].shape) if name in source else "" for source in (held, given)
    ]
    return WeightsRow(name, status, shapes[0], shapes[1])


def _compute_match(rows: Sequence[WeightsRow]) -> float:
    """Return the share of the backbone's tensors that fit, without BatchNorm's counters."""
    of_backbone = [
        row.status in ("loaded", "adapted")
        for row in rows
        if row.status in ("loaded", "adapted", "skipped-shape", "missing")
        and not row.tensor.endswith(_BOOKKEEPING)
    ]
    return sum(of_backbone) / max(len(of_backbone), 1)


def _check_match(report: WeightsReport, minimum_match: float) -> None:
    """Refuse weights of another network, and show the rows that say so."""
    if report.match >= minimum_match:
        return
    faults = [row for status in _FAULTS for row in report.rows if row.status == status]
    worst = "; ".join(
        f"{row.tensor} {row.status} (network {row.model_shape or 'none'}, "
        f"file {row.file_shape or 'none'})"
        for row in faults[:_N_WORST]
    )
    raise WeightsError(
        f"model.weights: share of matching backbone tensors must be >= {minimum_match:g}, "
        f"got {report.match:.3g}: {worst}.",
        "choose the backbone that the weights were made with, or lower model.minimum_match.",
    )
