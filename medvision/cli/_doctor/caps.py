"""What SLURM lets one job have of a partition or by a quality of service, below what is there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medvision.cli._doctor.slurm import Node, ask, parse_minutes, read_settings
from medvision.config.site import Partition, Site

_FIELD = re.compile(r"(\w+)=(\S*)")
_SIZES = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}
_QOS_FIELDS = 3
_UNITS = {"runtime": "minutes", "mem_mb": "MB", "cpus": "CPUs"}


@dataclass(frozen=True)
class _Cap:
    """The most that a job may have of each node of a partition; none is no cap.

    Memory for each CPU binds as well: a job that asks for more of it is given more CPUs.
    """

    mem_mb: int | None = None
    mem_mb_per_cpu: int | None = None
    cpus: int | None = None
    runtime: int | None = None


def cap_nodes(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes with what a job may have of each, where that is less than it has.

    Args:
        nodes: As sinfo tells them.

    Source:
        slurm.conf(5), MaxMemPerNode, MaxMemPerCPU and MaxCPUsPerNode, of the cluster and of each
        partition; sacctmgr(1), MaxWall and MaxTRES of a partition's own quality of service.
    """
    caps = _read_caps()
    return [
        replace(node, limits=_cut(node.limits, caps.get(node.partition, _Cap()))) for node in nodes
    ]


def find_qos_faults(partition: Partition, site: Site) -> Iterator[str]:
    """Yield where a quality of service that the site file names is not there, or lets less.

    Args:
        partition: Of the site file.
        site: The site file.
    """
    name, known = partition.qos or site.qos, _read_qos()
    if name is None or not known:
        return
    if name not in known:
        yield f"qos {name} is not there (the cluster has {', '.join(sorted(known))})"
        return
    for field, unit in _UNITS.items():
        said, most = getattr(partition, field), getattr(known[name], field)
        if said is not None and most is not None and said > most:
            yield f"{field} is {said} in the site file, qos {name} lets a job have {most} {unit}"


def _read_caps() -> dict[str, _Cap]:
    """Return partition to its cap, the whole cluster's where it has none of its own."""
    said = ask(["scontrol", "show", "partition", "--oneliner"]) or ""
    rows = [dict(_FIELD.findall(line)) for line in said.splitlines()]
    rows = [row for row in rows if "PartitionName" in row]
    known = _read_qos() if any(row.get("QoS", "N/A") != "N/A" for row in rows) else {}
    settings = read_settings()
    return {
        row["PartitionName"]: _make(row, settings, known.get(row.get("QoS", ""))) for row in rows
    }


def _make(row: Mapping[str, str], settings: Mapping[str, str], qos: Partition | None) -> _Cap:
    """Return the cap of one partition."""
    most = qos or Partition.model_construct(name="")
    names = ("MaxMemPerNode", "MaxMemPerCPU")
    of_node, of_cpu = (_parse_count(row.get(name, "")) for name in names)
    if of_node is None and of_cpu is None:
        of_node, of_cpu = (_parse_count(settings.get(name, "")) for name in names)
    return _Cap(
        _find_least(of_node, most.mem_mb),
        of_cpu,
        _find_least(_parse_count(row.get("MaxCPUsPerNode", "")), most.cpus),
        most.runtime,
    )


def _cut(limits: Partition, cap: _Cap) -> Partition:
    """Return what a job may have of a node."""
    cpus = _find_least(limits.cpus, cap.cpus)
    by_cpus = cap.mem_mb_per_cpu * cpus if cap.mem_mb_per_cpu and cpus else None
    limited = {
        "cpus": cpus,
        "mem_mb": _find_least(limits.mem_mb, cap.mem_mb, by_cpus),
        "runtime": _find_least(limits.runtime, cap.runtime),
    }
    return limits.model_copy(update=limited)


def _read_qos() -> dict[str, Partition]:
    """Return quality of service to the most of one job; nothing where accounting does not tell."""
    said = ask(["sacctmgr", "-n", "-P", "show", "qos", "format=Name,MaxWall,MaxTRES"]) or ""
    return dict(_parse_qos(said))


def _parse_qos(said: str) -> Iterator[tuple[str, Partition]]:
    """Yield the qualities of service of sacctmgr's lines."""
    for line in said.splitlines():
        name, *rest = line.split("|")
        if len(rest) != _QOS_FIELDS - 1:
            continue
        most = dict(_FIELD.findall(rest[1].replace(",", " ")))
        # Not checked: another's names are as they are.
        yield (
            name,
            Partition.model_construct(
                name=name,
                runtime=parse_minutes(rest[0]) or None,
                cpus=_parse_count(most.get("cpu", "")),
                mem_mb=_parse_size(most.get("mem", "")),
            ),
        )


def _parse_count(text: str) -> int | None:
    """Return a number; none for 0, UNLIMITED and whatever else."""
    return int(text) or None if text.isdecimal() else None


def _parse_size(text: str) -> int | None:
    """Return a size of SLURM in MB, such as 500G or 8000M."""
    found = re.fullmatch(r"([\d.]+)([KMGTP]?)", text)
    return int(float(found[1]) * _SIZES[found[2]]) or None if found else None


def _find_least(*values: int | None) -> int | None:
    """Return the least of what is known."""
    return min((value for value in values if value is not None), default=None)
