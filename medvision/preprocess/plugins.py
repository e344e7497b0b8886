"""A user's own functions in the pipeline: found, named by content, called, held to a contract."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import NoReturn, cast

import numpy as np

from medvision.domain.geometry import Affine, check_affine
from medvision.domain.volume import FloatGrid, Volume
from medvision.errors import ConfigError, GeometryError, StaleOutputError
from medvision.preprocess.plan import PLUGIN_STEP, Parameters, PlanStep
from medvision.preprocess.rejection import UnusableImageError
from medvision.runtime.files import hash_fast

Plugin = Callable[[FloatGrid, Affine], tuple[FloatGrid, Affine]]
"""What a user writes: (I, J, K) float32 and its affine to the same of the image that goes on."""

_LONGEST = 120
_HINT = (
    "name it module:function, with the module in the folder where medvision runs, or installed; "
    "see docs/how-to/write-a-plug-in.md."
)


@dataclass(frozen=True)
class Identity:
    """What a plug-in is, told without running it.

    Args:
        function: module:function.
        digest: BLAKE3 of the module's source, or of all Python files of its package.
        distribution: Name and version of the installed distribution; empty where there is none.
        path: The module's file, or its package's.
    """

    function: str
    digest: str
    distribution: str
    path: Path


def identify_plugin(function: str) -> Identity:
    """Find a plug-in's source and name it by content; nothing of it is run.

    Args:
        function: module:function.

    Raises:
        ConfigError: There is no such module.
    """
    top = function.partition(":")[0].partition(".")[0]
    with _working_folder_first():
        spec = _find_spec(top)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"preprocess.plugins: module of {function} must be there, got none of that name.", _HINT
        )
    path = Path(spec.origin)
    files = sorted(path.parent.rglob("*.py")) if spec.submodule_search_locations else [path]
    parts = [f"{f.relative_to(path.parent).as_posix()} {hash_fast(f.read_bytes())}" for f in files]
    names = packages_distributions().get(top, []) if _is_installed(path) else []
    distribution = f"{names[0]} {version(names[0])}" if names else ""
    return Identity(function, hash_fast("\n".join(parts).encode()), distribution, path)


def plan_plugins(functions: tuple[str, ...]) -> list[PlanStep]:
    """Return a step for each plug-in; its parameters say what it is.

    Raises:
        ConfigError: A module is not there.
    """
    found = [identify_plugin(function) for function in functions]
    return [
        PlanStep(
            PLUGIN_STEP,
            {"function": item.function, "digest": item.digest, "distribution": item.distribution},
        )
        for item in found
    ]


def load_plugin(function: str) -> Plugin:
    """Import a plug-in as its source is now.

    Args:
        function: module:function.

    Raises:
        ConfigError: It cannot be imported, or is no function.
    """
    return _load(function, identify_plugin(function).digest)


def run_plugin(volume: Volume, parameters: Parameters) -> Volume:
    """Send an image through a plug-in, and hold what it returns to the contract.

    Args:
        volume: (1, I, J, K) float32; the plug-in gets a copy.
        parameters: `function` and `digest`.

    Returns:
        The new image with its affine.

    Raises:
        UnusableImageError: plugin-error, where it raises; plugin-result, where it returns what
            the contract does not allow.
        StaleOutputError: Its source has changed since the plan was made.
    """
    function = str(parameters["function"])
    if identify_once(function) != parameters["digest"]:
        raise StaleOutputError(
            f"preprocess.plugins: source of {function} must stay as the plan has it, got another.",
            "run the step again.",
        )
    plugin = _load(function, str(parameters["digest"]))
    try:
        result = plugin(volume.array[0].copy(), volume.affine.copy())
    except MemoryError:
        # The machine's fault and not the image's: nothing is left out for it.
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise UnusableImageError("plugin-error", f"{function}: {said}") from error
    array, affine = _check_pair(function, result)
    if volume.array.shape[3] == 1 and array.shape[2] != 1:
        _refuse(function, "a 2D image must stay one plane", f"{array.shape[2]}")
    return Volume(np.ascontiguousarray(array)[np.newaxis], affine)


@lru_cache(maxsize=64)
def identify_once(function: str) -> str:
    """Return a plug-in's digest as it was when this process first asked."""
    return identify_plugin(function).digest


def _check_pair(function: str, result: object) -> tuple[FloatGrid, Affine]:
    """Return array and affine, or refuse what is neither."""
    if not isinstance(result, tuple) or len(result) != 2:
        _refuse(function, "it must return (array, affine)", type(result).__name__)
    array, affine = cast("tuple[object, object]", result)
    if not isinstance(array, np.ndarray):
        _refuse(function, "the array must be numpy's", type(array).__name__)
    if array.dtype != np.float32 or array.ndim != 3:
        found = f"{array.dtype} of {array.ndim} axes"
        _refuse(function, "the array must be float32 of 3 axes", found)
    if array.size == 0:
        _refuse(function, "the array must have a voxel", "x".join(map(str, array.shape)))
    if not np.isfinite(array).all():
        _refuse(function, "values must be finite", "NaN or infinity")
    if not isinstance(affine, np.ndarray):
        _refuse(function, "the affine must be numpy's", type(affine).__name__)
    if affine.shape != (4, 4) or affine.dtype.kind not in "fi":
        found = f"{affine.dtype} of shape {affine.shape}"
        _refuse(function, "the affine must be numbers of shape (4, 4)", found)
    placed = affine.astype(np.float64)
    try:
        check_affine(placed, where=function)
    except GeometryError as error:
        raise UnusableImageError("plugin-result", error.message.rstrip(".")) from error
    return array, placed


def _refuse(function: str, rule: str, found: str) -> NoReturn:
    """Refuse what a plug-in returned.

    Raises:
        UnusableImageError: Always.
    """
    raise UnusableImageError("plugin-result", f"{function}: {rule}, got {found}")


@lru_cache(maxsize=64)
def _load(function: str, digest: str) -> Plugin:
    """Import a plug-in; one that was imported with other source is imported anew."""
    name, _, attribute = function.partition(":")
    for held in [key for key in sys.modules if key.partition(".")[0] == name.partition(".")[0]]:
        if _imported.get(held.partition(".")[0], digest) != digest:
            del sys.modules[held]
    try:
        with _working_folder_first():
            found = getattr(importlib.import_module(name), attribute)
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        raise ConfigError(
            f"preprocess.plugins: {function} must be importable, got {said}.", _HINT
        ) from error
    if not callable(found):
        raise ConfigError(
            f"preprocess.plugins: {function} must be a function, got {type(found).__name__}.", _HINT
        )
    _imported[name.partition(".")[0]] = digest
    return cast(Plugin, found)


_imported: dict[str, str] = {}
"""Top-level module to the digest that it had when it was imported here."""


@contextmanager
def _working_folder_first() -> Iterator[None]:
    """Look for modules in the working folder first, and leave no compiled files there."""
    held, writes = list(sys.path), sys.dont_write_bytecode
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = held
        sys.dont_write_bytecode = writes


def _find_spec(name: str) -> ModuleSpec | None:
    """Return where a top-level module would come from; what is imported already is not asked."""
    return importlib.machinery.PathFinder.find_spec(name)


def _is_installed(path: Path) -> bool:
    """Say whether a file lies outside the working folder."""
    return not path.resolve().is_relative_to(Path.cwd().resolve()) or "site-packages" in path.parts
