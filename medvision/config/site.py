"""The site file: what a cluster offers, in one short YAML file, and where a job goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from medvision.config.sections import Positive, Section, say_rule
from medvision.config.yaml_text import parse_yaml
from medvision.errors import ConfigError

_HINT = "compare with the examples in config/sites, or run `medvision doctor --profile slurm`."

Name = Annotated[str, Field(pattern=r"^[\w.,@+-]+$")]
"""A name as the scheduler spells it; partitions may be several, joined by commas."""

Model = Annotated[str, Field(pattern=r"^[\w.]+$")]

Constraint = Annotated[str, Field(pattern=r"^[\w.&|*()\[\]-]+$")]


class Partition(Section):
    """Nodes of one kind, and the most that one job may ask of them."""

    name: Name = Field(..., description="Name, or several joined by commas.")
    runtime: Positive | None = Field(None, description="Longest job in minutes.")
    mem_mb: Positive | None = Field(None, description="Memory of one node in MB.")
    cpus: Positive | None = Field(None, description="CPUs of one node.")
    gpus: Annotated[int, Field(ge=0)] = Field(0, description="GPUs of one node.")
    nodes: Positive | None = Field(None, description="Most nodes of one job.")
    gpu_type: Model | None = Field(None, description="Type, as in Gres=gpu:TYPE:N.")
    constraint: Constraint | None = Field(None, description="Feature that nodes must have.")
    account: Name | None = Field(None, description="Account, where it is not the site's.")
    qos: Name | None = Field(None, description="Quality of service, where it is not the site's.")

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        """A type is that of GPUs."""
        if self.gpu_type and not self.gpus:
            raise ValueError(f"partition {self.name}: gpus must be 1 or more with a gpu_type")
        return self


class Site(Section):
    """What a cluster offers."""

    account: Name | None = Field(None, description="Account that jobs are charged to.")
    constraint: Constraint | None = Field(None, description="Feature that nodes must have.")
    qos: Name | None = Field(None, description="Quality of service.")
    scratch: Path | None = Field(
        None, description="Folder on each node's own disk for temporary files."
    )
    partitions: Annotated[tuple[Partition, ...], Field(min_length=1)] = Field(
        ..., description="The partitions, the one to be preferred first."
    )

    def list_partitions(self, *, needs_gpu: bool) -> tuple[Partition, ...]:
        """Return the partitions for one kind of job, the preferred one first.

        Jobs without a GPU go to partitions that have none, where there are any.
        """
        of_kind = tuple(p for p in self.partitions if bool(p.gpus) == needs_gpu)
        return of_kind or (() if needs_gpu else self.partitions)

    @property
    def has_gpus(self) -> bool:
        """Whether some partition has GPUs."""
        return any(partition.gpus for partition in self.partitions)


@dataclass(frozen=True)
class Need:
    """What one job asks for.

    Args:
        cpus: Cores of each node.
        mem_mb: Memory in MB of each node.
        runtime: Minutes.
        gpus: GPUs of each node.
        nodes: Nodes.
    """

    cpus: int
    mem_mb: int
    runtime: int
    gpus: int = 0
    nodes: int = 1


def choose_partition(partitions: Sequence[Partition], need: Need) -> Partition | None:
    """Return the first partition that holds a job, or the roomiest where none does.

    Args:
        partitions: Those of the job's kind, the preferred one first.
        need: What the job asks for.

    Returns:
        The partition; none of none.
    """
    fitting = [partition for partition in partitions if not find_excess(partition, need)]
    if fitting:
        return fitting[0]
    # A retry that no partition holds goes where the most is to be had, and asks for all of that;
    # but time and memory alone can be cut, and with fewer nodes, cores or GPUs it never starts.
    able = [partition for partition in partitions if _is_cut_enough(partition, need)]
    return max(able or partitions, key=_rank_room, default=None)


def _is_cut_enough(partition: Partition, need: Need) -> bool:
    """Tell whether a partition holds a job that is given less time or memory than it asks for."""
    return {name for name, _, _ in find_excess(partition, need)} <= {"mem_mb", "runtime"}


def find_excess(partition: Partition, need: Need) -> list[tuple[str, int, int]]:
    """Return what of a job a partition cannot hold.

    Returns:
        (name, asked, limit) of each: cpus, mem_mb, runtime, gpus or nodes.
    """
    limits = {
        "nodes": partition.nodes,
        "cpus": partition.cpus,
        "mem_mb": partition.mem_mb,
        "runtime": partition.runtime,
        "gpus": partition.gpus,
    }
    asked = {name: getattr(need, name) for name in limits}
    return [
        (name, asked[name], limit)
        for name, limit in limits.items()
        if limit is not None and asked[name] > limit
    ]


def _rank_room(partition: Partition) -> tuple[float, float]:
    """Order partitions by their longest job, then by memory; what is not said is no limit."""
    return (partition.runtime or float("inf"), partition.mem_mb or float("inf"))


def read_site(path: Path | None) -> Site | None:
    """Read and check a site file.

    Args:
        path: The file, or none.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value breaks its rule.
    """
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "another encoding than UTF-8"
        raise ConfigError(
            f"{path}: site file must be readable YAML, got {str(found).lower()}.",
            f"cluster.site is relative to the working directory, {Path.cwd()}; examples are in "
            "config/sites.",
        ) from error
    values = parse_yaml(text, where=f"{path.name}: site file")
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path.name}: site file must hold keys, got {type(values).__name__}.", _HINT
        )
    try:
        return Site.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_list_faults(path.name, error)), _HINT) from error


def _list_faults(name: str, error: ValidationError) -> Iterator[str]:
    """Yield one line per fault: where, the rule, what was found."""
    details = error.errors()
    for detail in details:
        if detail["type"] == "too_short" and len(details) > 1:
            # A partition with a fault counts as none, and its own fault is told.
            continue
        where = ".".join(str(part) for part in detail["loc"])
        place = f"{name}: {where}: " if where else f"{name}: "
        known = Partition if detail["loc"][:1] == ("partitions",) else Site
        if detail["type"] == "extra_forbidden":
            yield f"{place}key must be one of {', '.join(known.model_fields)}."
        elif detail["type"] == "missing":
            yield f"{place}value must be given, got none."
        elif detail["type"] == "string_pattern_mismatch":
            yield f"{place}value must be spelt as the scheduler spells it, got {detail['input']!r}."
        elif detail["type"] == "value_error":
            yield f"{place}{detail['msg'].removeprefix('Value error, ')}."
        else:
            yield f"{place}value must {say_rule(detail['msg'])}, got {detail['input']!r}."
