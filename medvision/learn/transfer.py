"""Starting weights: every tensor of a file loaded, adapted, skipped or missing, and said so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from medvision.domain.volume import format_shape
from medvision.errors import WeightsError
from medvision.learn.adapt import Adapt3d, adapt_tensor, build_identity_shortcut
from medvision.learn.form import AcsConv3d
from medvision.learn.layouts import rename_tensors

Status = Literal[
    "loaded", "adapted", "skipped-head", "skipped-shape", "missing-head", "missing", "unused"
]
_FAULTS: tuple[Status, ...] = ("missing", "skipped-shape", "unused")
_N_WORST = 3
_BOOKKEEPING = "num_batches_tracked"


@dataclass(frozen=True)
class WeightsRow:
    """What became of one tensor.

    Args:
        tensor: Its name in the network, or in the file when the network has none such.
        status: loaded; adapted (see `adaptation`); skipped-head, skipped-shape (in both, not
            taken); missing-head, missing (not in the file); unused (not in the network).
        model_shape: Its shape in the network, such as `64x1x7x7`, or empty.
        file_shape: Its shape in the file, or empty.
        file_tensor: Its name in the file, or empty.
        adaptation: What was done to make it fit, or empty.
    """

    tensor: str
    status: Status
    model_shape: str
    file_shape: str
    file_tensor: str
    adaptation: str


@dataclass(frozen=True)
class WeightsReport:
    """What became of all tensors.

    Args:
        rows: One row a tensor, sorted by name.
        match: Share of the backbone's tensors that were loaded or adapted, in [0, 1].
        layout: Which of `layouts.LAYOUTS` the file's names are.
    """

    rows: tuple[WeightsRow, ...]
    match: float
    layout: str

    def count(self, status: Status) -> int:
        """Return the number of tensors with this status."""
        return sum(row.status == status for row in self.rows)


OnReport = Callable[[WeightsReport], None]
"""Is told what became of every tensor."""


def load_weights(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    head: Sequence[str],
    minimum_match: float,
    adapt_3d: Adapt3d = "none",
    on_report: OnReport | None = None,
) -> WeightsReport:
    """Copy a file's tensors into a network, in place, as far as they fit.

    Names of other layouts are translated (`layouts`), the first convolution is fitted to the
    channels, kernels for images to volumes (`adapt`). The head is never taken over, since its
    labels are others.

    Args:
        model: Network to be changed.
        tensors: Tensor names to tensors, in one of the known layouts.
        head: Dotted names of the modules that belong to the labels.
        minimum_match: Smallest share of backbone tensors that must fit, in (0, 1].
        adapt_3d: What becomes of a 2D kernel where the network wants one for volumes.
        on_report: Told of every tensor before too few that fit are refused.

    Returns:
        One row for every tensor of the network and of the file.

    Raises:
        WeightsError: Too few tensors fit; the network is then unchanged.
    """
    held = model.state_dict()
    layout, given = rename_tensors(tensors, held)
    plan = _Plan(held, given, tuple(head), _find_first_convolution(model), adapt_3d)
    chosen: dict[str, Tensor] = {}
    rows: list[WeightsRow] = []
    for name in sorted(held.keys() | given.keys()):
        status, tensor, done = _match(name, plan)
        rows.append(_describe(name, status, plan=plan, adaptation=done))
        if tensor is not None:
            chosen[name] = tensor
    report = WeightsReport(tuple(rows), _compute_match(rows), layout)
    if on_report is not None:
        on_report(report)
    _check_match(report, minimum_match)
    model.load_state_dict({**held, **chosen}, strict=True)
    return report


@dataclass(frozen=True)
class _Plan:
    """What the fate of a tensor depends on."""

    held: Mapping[str, Tensor]
    given: Mapping[str, tuple[str, Tensor]]
    head: tuple[str, ...]
    first: str | None
    adapt_3d: Adapt3d


def _match(name: str, plan: _Plan) -> tuple[Status, Tensor | None, str]:
    """Decide what becomes of one tensor; return what is to be loaded, if anything, and how."""
    held, given = plan.held, plan.given
    if name not in held:
        return "unused", None, ""
    in_head = any(name.startswith(f"{part}.") for part in plan.head)
    if name not in given:
        return _fill(name, plan, in_head=in_head)
    if in_head:
        return "skipped-head", None, ""
    tensor = given[name][1]
    if held[name].shape == tensor.shape:
        return "loaded", tensor, ""
    adapted, done = adapt_tensor(
        tensor, held[name].shape, is_first=name == plan.first, adapt_3d=plan.adapt_3d
    )
    return ("adapted", adapted, done) if adapted is not None else ("skipped-shape", None, "")


def _fill(name: str, plan: _Plan, *, in_head: bool) -> tuple[Status, Tensor | None, str]:
    """Decide what becomes of a tensor that the file lacks."""
    if in_head:
        return "missing-head", None, ""
    # Files with shortcuts of kind A know none of their names, but the layers beside them.
    stem = name.partition(".downsample.")[0]
    if f"{stem}.conv1.weight" in plan.given and not any(
        ".downsample." in other for other in plan.given
    ):
        made, done = build_identity_shortcut(name, plan.held[name])
        if made is not None:
            return "adapted", made, done
    return "missing", None, ""


def _find_first_convolution(model: nn.Module) -> str | None:
    """Return the name of the weight that meets the image."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | AcsConv3d):
            return f"{name}.weight"
    return None


def _describe(name: str, status: Status, *, plan: _Plan, adaptation: str) -> WeightsRow:
    """Make a tensor's row."""
    file_tensor, given = plan.given.get(name, ("", None))
    return WeightsRow(
        name,
        status,
        model_shape=format_shape(plan.held[name].shape) if name in plan.held else "",
        file_shape=format_shape(given.shape) if given is not None else "",
        file_tensor=file_tensor,
        adaptation=adaptation,
    )


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
        "choose the backbone that the weights were made with, or lower model.minimum_match; "
        "weights.tsv in the seed's folder has a row for every tensor.",
    )
