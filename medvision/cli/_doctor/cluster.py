"""Checks of a SLURM cluster: what would hang or be refused, found before hours are queued."""

import importlib.metadata
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from medvision.cli._doctor.caps import cap_nodes, find_qos_faults
from medvision.cli._doctor.findings import Finding, Status, say_count
from medvision.cli._doctor.mounts import check_mounts
from medvision.cli._doctor.requests import check_requests
from medvision.cli._doctor.shards import check_shards
from medvision.cli._doctor.slurm import (
    Node,
    ask,
    count_gpus,
    list_own,
    narrow,
    read_accounts,
    read_default_partition,
    read_nodes,
    read_settings,
)
from medvision.config.bucket import BUCKET_CREDENTIALS
from medvision.config.model import Study
from medvision.config.pacs import CREDENTIALS
from medvision.config.requests import compute_need, list_rules
from medvision.config.site import Partition, Site, read_site
from medvision.errors import ConfigError
from medvision.runtime.workflow import find_workflow

PLUGIN = "snakemake-executor-plugin-slurm"
_COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol")
# Up to 180 s lie between two of the plugin's looks at the queue; a job forgotten between them is
# lost for ever. The profile says the same number.
_REMEMBERED_S = 240
_NOT_ASKED = "partitions, limits, accounts, GPUs and the status of jobs were not checked"
_LIMITS = {"runtime": "minutes", "mem_mb": "MB", "cpus": "CPUs"}


def check_cluster(study: Study, site_file: Path | None) -> Iterator[Finding]:
    """Yield what the cluster offers, held against what the study's jobs will ask for.

    Args:
        study: The configuration.
        site_file: The site file, in place of `cluster.site`.
    """
    yield _check_plugin()
    finding, site = _read_site(site_file or study.cluster.site)
    yield finding
    nodes = read_nodes()
    if nodes is None:
        yield _tell_unasked()
    else:
        nodes = cap_nodes(nodes)
        yield from _check_commands()
        yield from _check_status()
    if site is not None:
        yield from _check_site(study, site, nodes)
    elif nodes is not None and finding.status != "fail":
        yield _check_default()
    yield from _check_profile(study, site, nodes or ())
    yield from check_shards(study)
    yield from check_mounts(study, site)
    if study.pacs.protocol != "none":
        yield from _check_environment(CREDENTIALS, "run `medvision pull` by itself before")
    if study.fetch.source or study.publish.target:
        hint = "keep them in ~/.aws, or run `medvision fetch` and `publish` by themselves around"
        yield from _check_environment(BUCKET_CREDENTIALS, hint)


def read_profile() -> dict[str, object]:
    """Return the settings of the profile that ships with this installation."""
    path = find_workflow().parent / "profiles" / "slurm" / "config.yaml"
    held: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return held


def _check_plugin() -> Finding:
    """Look for Snakemake's plugin."""
    try:
        return Finding("Plug-in", "ok", f"{PLUGIN} {importlib.metadata.version(PLUGIN)}")
    except importlib.metadata.PackageNotFoundError:
        hint = "pip install -c constraints.txt -e '.[cluster]'"
        return Finding("Plug-in", "fail", f"{PLUGIN} is not installed", hint)


def _read_site(path: Path | None) -> tuple[Finding, Site | None]:
    """Read the site file."""
    if path is None:
        hint = "copy one of config/sites and name it in cluster.site."
        return Finding("Site", "warn", "none: the scheduler chooses, no job gets a GPU", hint), None
    try:
        site = read_site(path)
    except ConfigError as error:
        return Finding("Site", "fail", error.message, error.hint), None
    names = ", ".join(partition.name for partition in site.partitions) if site else ""
    return Finding("Site", "ok", f"{path}: {names}"), site


def _tell_unasked() -> Finding:
    """Say what could not be checked here."""
    if shutil.which("sinfo") is None:
        hint = "run this on a login node of the cluster."
        return Finding("SLURM", "warn", f"no sinfo on this machine: {_NOT_ASKED}", hint)
    hint = "run sinfo, and see what it says."
    return Finding("SLURM", "fail", f"sinfo does not answer: {_NOT_ASKED}", hint)


def _check_commands() -> Iterator[Finding]:
    """Yield the commands that the plugin needs and are missing."""
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        hint = "the plugin calls them; ask for SLURM's client commands on this node."
        yield Finding("SLURM", "fail", f"no {', '.join(missing)} on this machine", hint)
        return
    version = (ask(["sinfo", "--version"]) or "it answers").strip()
    yield Finding("SLURM", "ok", version)


def _check_default() -> Finding:
    """Say where jobs go that name no partition."""
    default = read_default_partition()
    if default is not None:
        return Finding("Partition", "ok", f"{default}, the cluster's default")
    hint = "name one in a site file."
    return Finding("Partition", "fail", "the cluster has no default, and no site is named", hint)


def _check_site(study: Study, site: Site, nodes: Sequence[Node] | None) -> Iterator[Finding]:
    """Yield what is wrong with each partition, the accounts, and what rules ask for."""
    if nodes is not None:
        for partition in site.partitions:
            yield from _check_partition(partition, site, nodes)
        yield from _check_accounts(site)
    yield from check_requests(study, site, nodes or ())


def _check_partition(partition: Partition, site: Site, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield where a partition is not what the site file says."""
    known = {node.partition for node in nodes}
    absent = [name for name in partition.name.split(",") if name not in known]
    if absent:
        hint = f"the cluster has {', '.join(sorted(known)) or 'none'}; correct the site file."
        yield Finding("Partition", "fail", f"{', '.join(absent)} is not there", hint)
        return
    own = list_own(partition, nodes)
    yield from _check_states(partition, own)
    faults = [*_find_faults(partition, own), *_find_gpu_faults(partition, own)]
    faults += find_qos_faults(partition, site)
    # Only plain names are looked for: another expression is the scheduler's to judge.
    constraint = partition.constraint or site.constraint or ""
    wanted = set(filter(None, constraint.split("&")))
    if not set(constraint) & set("|*()[]") and not any(wanted <= n.features for n in own):
        faults.append(f"no node has the feature {constraint}")
    for fault in faults:
        yield Finding("Partition", "fail", f"{partition.name}: {fault}", "correct the site file.")
    if not faults:
        held = f"{say_count(len(own), 'nodes')}{_say_gpus(own)}"
        yield Finding("Partition", "ok", f"{partition.name}: {held}")


def _say_gpus(own: Sequence[Node]) -> str:
    """Say how many GPUs a partition's nodes have, where some have any."""
    gpus = {count_gpus(node, None) for node in own}
    if not any(gpus):
        return ""
    bound = "up to " if len(gpus) > 1 else ""
    return f", {bound}{say_count(max(gpus), 'GPUs')} a node"


def _check_states(partition: Partition, own: Sequence[Node]) -> Iterator[Finding]:
    """Yield how many nodes take jobs, where not all do, and whether they are enough."""
    able = [node for node in own if node.takes_jobs]
    if len(able) == len(own):
        return
    states = Counter(node.state for node in own if not node.takes_jobs)
    told = ", ".join(f"{number} {state}" for state, number in states.most_common())
    found = f"{partition.name}: {len(able)} of {len(own)} take jobs ({told})"
    if not able:
        hint = "every job there would wait for one to come back; `sinfo -R` says why they are shut."
        yield Finding("Nodes", "fail", found, hint)
        return
    lacks = [*_find_faults(partition, able), *_find_gpu_faults(partition, able)]
    hint = "a job that needs more waits for a node to come back; `sinfo -R` says why it is shut."
    status: Status = "warn" if lacks else "ok"
    yield Finding("Nodes", status, "; ".join([found, *lacks]), hint if lacks else "")


def _find_faults(partition: Partition, own: Sequence[Node]) -> Iterator[str]:
    """Yield where the partition is shut, or the site file promises more than there is."""
    if not any(node.is_up for node in own):
        yield "it is down"
    for name, unit in _LIMITS.items():
        said = getattr(partition, name)
        real = max((getattr(node.limits, name) or float("inf") for node in own), default=0)
        if said is not None and said > real:
            yield f"{name} is {said} in the site file, the cluster has {real:.0f} {unit}"


def _find_gpu_faults(partition: Partition, own: Sequence[Node]) -> Iterator[str]:
    """Yield where GPUs are not those that the site file promises."""
    if not partition.gpus:
        return
    real = max((count_gpus(node, partition.gpu_type) for node in own), default=0)
    if real < partition.gpus:
        of_type = f" of type {partition.gpu_type}" if partition.gpu_type else ""
        kinds = sorted({kind or "no type" for node in own for kind in node.gpus})
        held = f" (its GPUs are of {', '.join(kinds)})" if kinds else ""
        yield f"gpus is {partition.gpus}{of_type} in the site file, nodes have {real}{held}"


def _check_accounts(site: Site) -> Iterator[Finding]:
    """Yield whether jobs may be charged to the accounts, judged as the plugin will."""
    named = {p.account or site.account for p in site.partitions} - {None}
    if not named:
        yield Finding("Account", "ok", "none named: the scheduler takes your default")
        return
    held = read_accounts()
    if held is None:
        hint = "leave account out of the site file: the plugin gives up each job that names one."
        yield Finding("Account", "fail", "neither sacctmgr nor sshare answers", hint)
        return
    for name in sorted(str(name) for name in named):
        if not held:
            yield Finding("Account", "warn", f"{name}: the cluster knows no account of yours")
        elif name.lower() in held:
            yield Finding("Account", "ok", name)
        else:
            hint = f"yours are {', '.join(sorted(held))}."
            yield Finding("Account", "fail", f"{name} is not yours", hint)


def _check_status() -> Iterator[Finding]:
    """Yield whether the profile's command for the status of jobs will answer."""
    profile, settings = read_profile(), read_settings()
    command = str(profile["slurm-status-command"])
    first_s = int(str(profile["slurm-init-seconds-before-status-checks"]))
    storage = settings.get("AccountingStorageType", "")
    keeps = bool(storage) and "none" not in storage and "(null)" not in storage
    kept_s = int(settings.get("MinJobAge", "300").split()[0])
    # The plugin's own rule.
    falls_back = kept_s < 3 * first_s and shutil.which("sacct") is not None
    asked = "sacct" if falls_back else command
    if asked == "sacct" and not keeps:
        hint = "have MinJobAge raised to 300, or accounting switched on."
        found = f"sacct would be asked (MinJobAge {kept_s} s), and there is no accounting"
        yield Finding("Status", "fail", f"{found}: a run would hang", hint)
    elif asked == "squeue" and kept_s < _REMEMBERED_S:
        hint = "pass --slurm-status-command sacct." if keeps else "have MinJobAge raised to 300."
        found = f"squeue forgets a job after {kept_s} s, below {_REMEMBERED_S} jobs get lost"
        yield Finding("Status", "warn", found, hint)
    elif asked == "squeue":
        yield Finding("Status", "ok", f"squeue; jobs are remembered for {kept_s} s")
    else:
        yield Finding("Status", "ok", f"{asked}, by accounting")


def _check_profile(study: Study, site: Site | None, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield the rules whose cores the profile's bound would cut, and nodes that are below it."""
    bound = int(str(read_profile()["cores"]))
    wide = [
        rule
        for rule in list_rules(study)
        if compute_need(rule, study, site=None, attempt=1).cpus > bound
    ]
    if wide:
        hint = "pass --cores with as many as your nodes have."
        yield Finding("Cores", "fail", f"{', '.join(wide)} ask for more than {bound}", hint)
    held = [narrow(partition, nodes).cpus for partition in (site.partitions if site else ())]
    least = min((cpus for cpus in held if cpus), default=bound)
    if least < bound:
        found = f"a group of jobs may ask for {bound} CPUs, some nodes have {least}"
        hint = f"where you group jobs (--groups), pass --cores {least}: more would wait for ever."
        yield Finding("Cores", "ok", found, hint)


def _check_environment(names: Sequence[str], hint: str) -> Iterator[Finding]:
    """Yield secrets that a queued job would lack, since none is handed them."""
    held = [name for name in names if os.environ.get(name)]
    if held:
        found = f"{', '.join(held)}: no job is handed them"
        yield Finding("Secrets", "warn", found, f"{hint} the cluster's run.")
