"""Whether a cluster can give what the rules of a study ask for, retries included."""

from collections.abc import Iterator, Sequence

from medvision.cli._doctor.findings import Finding
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


def check_requests(study: Study, site: Site, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield what jobs will not get, at their first attempt and at each retry.

    Args:
        study: The configuration.
        site: The site file.
        nodes: All nodes of the cluster; none where it does not answer.
    """
    rules = list_rules(study)
    faults = [fault for rule in rules for fault in _check_rule(rule, study, site, nodes)]
    yield from faults
    if not any(fault.status == "fail" for fault in faults):
        first = [compute_need(rule, study, site=site, attempt=1) for rule in rules]
        yield Finding("Requests", "ok", f"{len(rules)} rules, up to {_name_most(first)}")


def _check_rule(rule: str, study: Study, site: Site, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield the first attempt of a rule's jobs that is not given what it asks for."""
    for attempt in range(1, ATTEMPTS + 1):
        need = compute_need(rule, study, site=site, attempt=attempt)
        partitions = [
            limit_nodes(narrow(p, nodes), nodes, need=need)
            for p in site.list_partitions(needs_gpu=need.gpus > 0)
        ]
        partition = choose_partition(partitions, need)
        if partition is None:
            hint = "add a partition with gpus to the site file, or set compute.device to cpu."
            yield Finding("Requests", "fail", f"{rule} needs a GPU, the site has none", hint)
            return
        excess = find_excess(partition, need)
        if excess:
            yield _tell(rule, attempt, excess=excess, partition=partition.name)
            return


def _tell(
    rule: str, attempt: int, *, excess: Sequence[tuple[str, int, int]], partition: str
) -> Finding:
    """Say what a job asks for beyond its partition, and what comes of it."""
    said = ", ".join(f"{asked} {_UNITS[name]} of {limit}" for name, asked, limit in excess)
    found = f"{rule}, attempt {attempt}: {said} in {partition}"
    if any(name not in _CUT for name, _, _ in excess):
        hint = "such a job never starts: lower threads or workers, or processes_per_node or nodes."
        return Finding("Requests", "fail", found, hint)
    if attempt == 1:
        hint = (
            f"it is given the limit, and may end before its work: name a roomier partition, or "
            f"say what it needs by --set-resources {rule}:mem_mb=... {rule}:runtime=..."
        )
        return Finding("Requests", "warn", found, hint)
    return Finding("Requests", "ok", f"{found}; a retry is given the limit")


def _name_most(needs: Sequence[Need]) -> str:
    """Say the most that is asked for of each kind."""
    most = {name: max(getattr(need, name) for need in needs) for name in _UNITS}
    told = {name: number for name, number in most.items() if number > (name == "nodes")}
    return ", ".join(f"{number} {_UNITS[name]}" for name, number in told.items())
