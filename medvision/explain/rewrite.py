"""Rewriting a network so that each call of an activation is a module of its own, out of place."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MethodType

import torch
from monai.networks.blocks.activation import MemoryEfficientSwish, Mish, Swish
from torch import fx, nn
from torch.nn import functional

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU),
    *(nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Softmax, nn.Softmax2d),
    *(nn.LogSoftmax, nn.Softmin, nn.GLU, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink, nn.Threshold),
    *(Swish, MemoryEfficientSwish, Mish),
)
"""Modules that bend what passes through them, and do nothing else."""

BENDS = (*ACTIVATIONS, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
"""The same, and pooling by the maximum."""

FUNCTIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "hardtanh": nn.Hardtanh,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
}
"""Functions of torch to the module that does the same; `relu_` and the like count as `relu`."""

OTHER_BENDS = frozenset(
    {
        *("clamp", "clip", "clamp_min", "clamp_max", "maximum", "minimum", "threshold", "prelu"),
        *("rrelu", "softmax", "log_softmax", "softmin", "glu", "softshrink", "hardshrink"),
        *("tanhshrink", "logsigmoid", "abs"),
    }
)
"""Functions that bend as well and have no module here: a rectifier may be written as one."""

_HOMES = (torch, functional, torch.Tensor)


@dataclass(frozen=True)
class Rewrite:
    """One change of the copy.

    Args:
        module: Dotted name of the module that was changed; "" is the network itself.
        was: What it did.
        now: What it does instead.
    """

    module: str
    was: str
    now: str


def name_function(target: object) -> str | None:
    """Return the name of a function or method of torch that bends, without `_`, or None."""
    name = target if isinstance(target, str) else getattr(target, "__name__", "")
    plain = str(name).removesuffix("_")
    if plain not in FUNCTIONS and plain not in OTHER_BENDS:
        return None
    is_torch = isinstance(target, str) or any(
        getattr(home, str(name), None) is target for home in _HOMES
    )
    return plain if is_torch else None


def rewrite(network: nn.Module) -> tuple[list[Rewrite], dict[str, str]]:
    """Give each call of an activation a module of its own that does not work in place.

    Module by module, and only where there is something to change, so that the names of the layers
    and what hooks see of them stay as they are. Parameters and buffers are not touched.

    Args:
        network: In eval mode; it is changed.

    Returns:
        (changes, untraced): what was changed; dotted name of each module whose own code torch.fx
        cannot follow, to the reason. Such a module is left as it is.

    Source:
        torch.fx: Reed 2022, arXiv:2112.08429.
    """
    changes = list(_part_shared(network))
    untraced = {}
    for path, module in list(network.named_modules()):
        if isinstance(module, BENDS) or not _has_code(module):
            continue
        try:
            graph = _trace(module)
        except Exception as error:  # noqa: BLE001 - code that meets a proxy may raise anything
            untraced[path] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            continue
        changes += _rewrite_calls(module, path, graph=graph)
    return changes + rewrite_places(network)[0], untraced


def _has_code(module: nn.Module) -> bool:
    """Say whether a module has a forward pass of its own making: torch's own leaves have not."""
    is_torch = type(module).__module__.startswith("torch.nn.modules")
    return not is_torch or (any(module.children()) and not isinstance(module, nn.Sequential))


def _part_shared(network: nn.Module) -> Iterator[Rewrite]:
    """Copy activations that lie at several places of the network."""
    seen: dict[int, str] = {}
    for path, parent in list(network.named_modules()):
        # Not named_children, which names a module that lies at two places once.
        for name, child in list(parent._modules.items()):
            full = f"{path}.{name}".lstrip(".")
            if child is None or not _can_split(child):
                continue
            if seen.setdefault(id(child), full) != full:
                setattr(parent, name, copy.deepcopy(child))
                yield Rewrite(full, f"the same module as {seen[id(child)]}", "a copy of its own")


def _can_split(module: nn.Module) -> bool:
    """Say whether a copy may stand for a module: it bends, and has no weights to share."""
    return isinstance(module, BENDS) and not module.state_dict()


class _OneModule(fx.Tracer):
    """Follows the code of one module, and stops at each module that it calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002 - torch's signature
        """Stop at every module."""
        return True


def _trace(module: nn.Module) -> fx.Graph:
    """Return what a module's own code calls, with its optional arguments at their defaults."""
    parameters = inspect.signature(module.forward).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return _OneModule().trace(module, concrete_args=defaults or None)


def _rewrite_calls(owner: nn.Module, path: str, *, graph: fx.Graph) -> list[Rewrite]:
    """Turn calls of functions into modules, and the second call of a module into another."""
    changes: list[Rewrite] = []
    calls: dict[str, int] = {}
    for node in graph.nodes:
        found = _find_module(owner, node, calls=calls)
        if found is None:
            continue
        base, module, was = found
        name = _name_freely(owner, base)
        owner.add_module(name, module.eval())
        node.op, node.target = "call_module", name
        node.args, node.kwargs = node.all_input_nodes[:1], {}
        changes.append(Rewrite(path, was, f"module {name}"))
    if changes:
        # A class of torch.fx holds the new code; the module keeps its own class and attributes.
        code: Callable[..., object] = type(fx.GraphModule(owner, graph)).forward
        owner.forward = MethodType(code, owner)
    return changes


def _find_module(
    owner: nn.Module, node: fx.Node, *, calls: dict[str, int]
) -> tuple[str, nn.Module, str] | None:
    """Return (name, module, what was called) of a call that needs a module of its own."""
    if node.op == "call_module":
        target = str(node.target)
        calls[target] = calls.get(target, 0) + 1
        module = owner.get_submodule(target)
        if calls[target] == 1 or not _can_split(module) or len(node.all_input_nodes) != 1:
            return None
        stem = f"{target.replace('.', '_')}_call{calls[target]}"
        return stem, copy.deepcopy(module), f"call {calls[target]} of {target}"
    name = name_function(node.target) if node.op in ("call_function", "call_method") else None
    module_or_none = _build_module(node, name) if name is not None else None
    if name is None or module_or_none is None:
        return None
    kind = "Tensor." if node.op == "call_method" else "function "
    return name, module_or_none, f"{kind}{name}"


def _build_module(node: fx.Node, name: str) -> nn.Module | None:
    """Return the module that does what a call of a function does, where its arguments allow."""
    if len(node.all_input_nodes) != 1 or name not in FUNCTIONS:
        return None
    named = {key: value for key, value in node.kwargs.items() if key not in ("input", "inplace")}
    # The functions take the same arguments in the same order as their modules; out of place.
    n_values = len(inspect.signature(FUNCTIONS[name].__init__).parameters) - 1
    values = [value for value in node.args[1:] if not isinstance(value, bool)][:n_values]
    try:
        return FUNCTIONS[name](*values, **named)
    except TypeError:
        return None


def _name_freely(owner: nn.Module, base: str) -> str:
    """Return a name that the owner does not use yet."""
    name, n = base, 1
    while hasattr(owner, name):
        name, n = f"{base}_{n}", n + 1
    return name


def rewrite_places(network: nn.Module) -> tuple[list[Rewrite], dict[str, str]]:
    """Have modules return a new tensor instead of changing the one they got.

    Args:
        network: It is changed.

    Returns:
        (changes, untraced): as of `rewrite`; nothing needs to be followed.
    """
    changes = []
    for path, module in network.named_modules():
        if getattr(module, "inplace", None) is True:
            module.inplace = False
            changes.append(Rewrite(path, "works in place", "returns a new tensor"))
    return changes, {}
