"""Whether a cluster can give what the rules of a study ask for, retries included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medvision.cli._doctor.findings import Finding, say_count
from medvision.cli._doctor.slurm import Node, limit_nodes, narrow
from medvision.config.model import Study
from medvision.config.requests import ATTEMPTS, compute_need, list_rules
from medvision.config.site import Need, Site, choose_partition, find_excess

_UNITS = {
    "mem_mb": "MB",
    "runtime": "minutes",
    "cpus": "CPUs",
    "gpus": "GPUs",
    "nodes": "nodes",
}
_CUT = ("mem_mb", "runtime")
"""What is cut down to the partition's limit; a job that asks for more of the rest never starts."""


@dataclass(frozen=True)
class _Lack:
    """What jobs ask for at an attempt, and their partition has not: (kind, asked, limit) of each.

    Without a partition they ask for a GPU where there is none.
    """

    attempt: int
    partition: str | None
    excess: tuple[tuple[str, int, int], ...] = ()


def check_requests(study: Study, site: Site, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield what jobs will not get, at their first attempt and at each retry.

    Args:
        study: The configuration.
        site: The site file.
        nodes: All nodes of the cluster; none where it does not answer.
    """
    rules = list_rules(study)
    lacking: dict[_Lack, list[str]] = {}
    for rule in rules:
        lack = _find_lack(rule, study, site, nodes)
        if lack is not None:
            lacking.setdefault(lack, []).append(rule)
    faults = [_tell(lack, ", ".join(own)) for lack, own in lacking.items()]
    yield from faults
    if not any(fault.status == "fail" for fault in faults):
        first = [compute_need(rule, study, site=site, attempt=1) for rule in rules]
        yield Finding(
            "Requests", "ok", f"{say_count(len(rules), 'rules')}, up to {_name_most(first)}"
        )


def _find_lack(rule: str, study: Study, site: Site, nodes: Sequence[Node]) -> _Lack | None:
    """Return what the first attempt of a rule's jobs lacks that is not given all it asks for."""
    for attempt in range(1, ATTEMPTS + 1):
        need = compute_need(rule, study, site=site, attempt=attempt)
        partitions = [
            limit_nodes(narrow(p, nodes), nodes, need=need)
            for p in site.list_partitions(needs_gpu=need.gpus > 0)
        ]
        partition = choose_partition(partitions, need)
        if partition is None:
            return _Lack(attempt, None)
        excess = find_excess(partition, need)
        if excess:
            return _Lack(attempt, partition.name, tuple(excess))
    return None


def _tell(lack: _Lack, rules: str) -> Finding:
    """Say what the jobs of some rules ask for beyond their partition, and what comes of it."""
    if lack.partition is None:
        hint = "add a partition with gpus to the site file, or set compute.device to cpu."
        return Finding("Requests", "fail", f"{rules}: a GPU, the site has none", hint)
    asked = ", ".join(say_count(number, _UNITS[name]) for name, number, _ in lack.excess)
    had = ", ".join(say_count(limit, _UNITS[name]) for name, _, limit in lack.excess)
    found = f"{rules}: {asked} at attempt {lack.attempt}, partition {lack.partition} has {had}"
    if any(name not in _CUT for name, _, _ in lack.excess):
        hint = "such a job never starts: lower threads or workers, or processes_per_node or nodes."
        return Finding("Requests", "fail", found, hint)
    if lack.attempt == 1:
        hint = (
            "each is given what the partition has, and may end before its work: name a roomier "
            "partition, or say what is enough by --set-resources RULE:mem_mb=... RULE:runtime=..."
        )
        return Finding("Requests", "warn", found, hint)
    return Finding("Requests", "ok", f"{found}; a retry is given what there is")


def _name_most(needs: Sequence[Need]) -> str:
    """Say the most that is asked for of each kind."""
    most = {name: max(getattr(need, name) for need in needs) for name in _UNITS}
    told = {name: number for name, number in most.items() if number > (name == "nodes")}
    return ", ".join(say_count(number, _UNITS[name]) for name, number in told.items())
