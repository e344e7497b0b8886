"""Watching one forward pass: which activations are no module, or are called more than once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from medvision.explain.rewrite import ACTIVATIONS, name_function

IN_PLACE = "in place"
"""How the call of an activation ends that changes what it was given."""


@dataclass(frozen=True)
class Hidden:
    """One activation that hooks on modules cannot tell from others.

    Args:
        module: Dotted name of the module in whose code it is called, or which is called again.
        call: What is called.
    """

    module: str
    call: str


def find_hidden(network: nn.Module, batch: Tensor) -> tuple[Hidden, ...]:
    """Run a network once and name the activations that are not each a module of their own.

    It looks at what is computed and not at the code, so that it also sees what a rewrite missed.

    Args:
        network: In eval mode.
        batch: Images (B, C, ...).

    Returns:
        Each such call once, in the order of the forward pass; empty for a canonical network.
    """
    log = _Log([], {}, {})
    with torch.no_grad(), _following(network, log), _Watch(log):
        network(batch)
    repeated = [Hidden(path, f"called {n} times") for path, n in log.calls.items() if n > 1]
    placed = [
        Hidden(path, f"works {IN_PLACE}")
        for path, module in network.named_modules()
        if path in log.calls and getattr(module, "inplace", None) is True
    ]
    return (*log.functions, *repeated, *placed)


@dataclass(frozen=True)
class _Log:
    """The modules at work, the activations' calls, and the functions called by others."""

    at_work: list[tuple[str, bool]]
    calls: dict[str, int]
    functions: dict[Hidden, None]


class _Watch(TorchFunctionMode):
    """Notes each activation that is called as a function outside of an activation module."""

    def __init__(self, log: _Log) -> None:
        super().__init__()
        self._log = log

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Note the call, and make it."""
        name = name_function(func)
        path, is_activation = self._log.at_work[-1] if self._log.at_work else ("", False)
        if name is not None and not is_activation:
            place = f" {IN_PLACE}" if _is_in_place(func, args, kwargs=kwargs or {}) else ""
            self._log.functions[Hidden(path, f"function {name}{place}")] = None
        return func(*args, **(kwargs or {}))


def _is_in_place(
    func: Callable[..., object], args: Sequence[object], *, kwargs: dict[str, object]
) -> bool:
    """Say whether a call changes its input: by its name, or by the argument that says so."""
    is_told = kwargs.get("inplace") is True or any(value is True for value in args[1:])
    return getattr(func, "__name__", "").endswith("_") or is_told


@contextmanager
def _following(network: nn.Module, log: _Log) -> Iterator[None]:
    """Keep the log of which module is at work."""
    handles = []
    for path, module in network.named_modules():
        is_activation = isinstance(module, ACTIVATIONS)

        def enter(
            _: nn.Module, __: object, path: str = path, is_activation: bool = is_activation
        ) -> None:
            log.at_work.append((path, is_activation))
            if is_activation:
                log.calls[path] = log.calls.get(path, 0) + 1

        def leave(_: nn.Module, __: object, ___: object) -> None:
            log.at_work.pop()

        handles += [
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave, always_call=True),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
