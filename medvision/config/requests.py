"""What each rule of the workflow asks of a machine, and what of a site a job is given.

One table, read by the rules and by `medvision doctor`. The figures are for the demo's kind of study
and roomy; Snakemake's own `--set-resources RULE:mem_mb=...` (or `set-resources:` in a profile)
overrides each. A job that fails is repeated by the profile with more: memory and time are those of
the table times the number of the attempt, up to what its partition offers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from medvision.config.ablation import is_ablated
from medvision.config.model import Study
from medvision.config.shortcuts import is_audited
from medvision.config.site import Need, Partition, Site, choose_partition
from medvision.runtime.team import TEAM_COMMANDS

Value = int | str
Resource = Value | Callable[..., Value | None]

FLOOR_MB = 500
"""Least memory of a job: Snakemake itself takes about 280 MB of it."""

ATTEMPTS = 3
"""Attempts of a job under the profile slurm: the first, and `retries`."""


@dataclass(frozen=True)
class Request:
    """What one rule asks for at its first attempt.

    Args:
        mem_mb: Memory in MB.
        runtime: Minutes.
        cpus: Configuration field that says how many cores, or one.
        uses_gpu: Whether it computes on a GPU where `compute.device` asks for one.
    """

    mem_mb: int
    runtime: int
    cpus: str = ""
    uses_gpu: bool = False


REQUESTS: dict[str, Request] = {
    "phantom": Request(1000, 10),
    "pull": Request(4000, 1440),
    "fetch": Request(4000, 1440),
    "ingest_index": Request(4000, 240, "ingest.workers"),
    "ingest_shard": Request(4000, 240, "ingest.workers"),
    "ingest": Request(4000, 240, "ingest.workers"),
    "measure_shard": Request(4000, 240, "ingest.workers"),
    "measure": Request(4000, 240, "ingest.workers"),
    "cohort": Request(4000, 60, "cohort.workers"),
    "preprocess_shard": Request(8000, 240, "preprocess.workers"),
    "preprocess": Request(8000, 240, "preprocess.workers"),
    "pretrain": Request(8000, 240, "compute.threads", uses_gpu=True),
    "tune_worker": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "tune": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "synthesise": Request(16000, 2880, "compute.threads", uses_gpu=True),
    "gate": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "train": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "predict_fold": Request(8000, 120, "compute.threads", uses_gpu=True),
    "predict": Request(2000, 30),
    "evaluate": Request(4000, 60),
    "plan": Request(2000, 15),
    "explain_shard": Request(8000, 240, "compute.threads", uses_gpu=True),
    "explain": Request(8000, 240, "compute.threads", uses_gpu=True),
    "scorecard_start": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "compare": Request(4000, 60),
    "control": Request(16000, 1440, "compute.threads", uses_gpu=True),
    "shortcuts": Request(8000, 240),
    "ablate": Request(16000, 2880, "compute.threads", uses_gpu=True),
    "ablation": Request(4000, 60),
    "report": Request(4000, 30),
    "audit": Request(2000, 30),
    "publish": Request(2000, 120),
}
"""Rule to what it asks for."""


@dataclass(frozen=True)
class Asked:
    """What the jobs of one rule ask for, as the workflow hands it to Snakemake.

    Args:
        threads: Cores.
        resources: Resource to its value, or to a function of `(wildcards, attempt)`.
    """

    threads: int
    resources: Mapping[str, Resource]


def list_asked(study: Study, site: Site | None) -> dict[str, Asked]:
    """Return what each rule asks for.

    Args:
        study: The configuration.
        site: What the cluster offers, where that is known.
    """
    return {rule: _ask(rule, study, site) for rule in REQUESTS}


def compute_need(rule: str, study: Study, *, site: Site | None, attempt: int) -> Need:
    """Return what a job asks for, before any partition's limit.

    Args:
        rule: Name of the rule.
        study: The configuration.
        site: What the cluster offers, where that is known.
        attempt: Number of the attempt, from 1.
    """
    request = REQUESTS[rule]
    section, _, field = request.cpus.partition(".")
    cpus = getattr(getattr(study, section), field) if section else 1
    nodes, processes = _count_processes(rule, study)
    return Need(
        cpus=cpus * processes,
        mem_mb=max(FLOOR_MB, request.mem_mb * processes * attempt),
        runtime=request.runtime * attempt,
        gpus=processes if wants_gpu(rule, study, site=site) else 0,
        nodes=nodes,
    )


def _count_processes(rule: str, study: Study) -> tuple[int, int]:
    """Return on how many nodes a job runs, and how many processes of each share its work."""
    if rule not in TEAM_COMMANDS:
        return 1, 1
    return study.compute.nodes, study.compute.processes_per_node


def list_rules(study: Study) -> list[str]:
    """Return the rules that a study's workflow has jobs of, in the order of the table."""
    absent = {
        *(() if study.data.kind == "phantom" else ("phantom",)),
        *(() if study.pacs.protocol != "none" else ("pull",)),
        *(() if study.fetch.source else ("fetch",)),
        *(() if study.publish.target else ("publish",)),
        *(() if study.ingest.shards > 1 else ("ingest_index", "ingest_shard", "measure_shard")),
        *(() if study.preprocess.shards > 1 else ("preprocess_shard",)),
        *(() if study.needs_pretraining else ("pretrain",)),
        *(() if study.tune.trials else ("tune", "tune_worker")),
        *(() if study.tune.workers > 1 else ("tune_worker",)),
        *(() if study.synthesise.is_on else ("synthesise", "gate")),
        *(() if study.explain.shards > 1 else ("explain_shard",)),
        *(() if study.scorecard.sources else ("scorecard_start", "compare")),
        *(() if study.control.trainings else ("control",)),
        *(() if is_audited(study.shortcuts, study.control) else ("shortcuts",)),
        *(() if is_ablated(study) else ("ablate", "ablation")),
    }
    return [rule for rule in REQUESTS if rule not in absent]


def wants_gpu(rule: str, study: Study, *, site: Site | None) -> bool:
    """Tell whether the jobs of a rule ask for a GPU.

    Args:
        rule: Name of the rule.
        study: `compute.device` cuda asks for one; auto does where the site has some.
        site: What the cluster offers, where that is known.
    """
    wanted = study.compute.device
    is_wanted = wanted == "cuda" or (wanted == "auto" and site is not None and site.has_gpus)
    # What gathers shares computes no map.
    is_gathering = rule == "explain" and study.explain.shards > 1
    return REQUESTS[rule].uses_gpu and is_wanted and not is_gathering


def place(
    rule: str, study: Study, *, site: Site | None, attempt: int
) -> tuple[Need, Partition | None]:
    """Return what a job asks for at one attempt, and where.

    Args:
        rule: Name of the rule.
        study: The configuration.
        site: What the cluster offers, where that is known.
        attempt: Number of the attempt, from 1.

    Returns:
        (need, partition): memory and time cut down to the partition's limits; no partition where
        the site is not known, or has none with GPUs for a job that needs one.
    """
    need = compute_need(rule, study, site=site, attempt=attempt)
    partitions = site.list_partitions(needs_gpu=need.gpus > 0) if site else ()
    partition = choose_partition(partitions, need)
    if partition is None:
        return need, None
    mem_mb = min(need.mem_mb, partition.mem_mb or need.mem_mb)
    runtime = min(need.runtime, partition.runtime or need.runtime)
    return replace(need, mem_mb=mem_mb, runtime=runtime), partition


def _ask(rule: str, study: Study, site: Site | None) -> Asked:
    """Return what one rule asks for."""
    first = compute_need(rule, study, site=site, attempt=1)
    names = ["mem_mb", "runtime", *_list_sharing(first)]
    if site is not None:
        names += ["slurm_partition", "slurm_account", "constraint", "qos"]
        names += ["gpu_model"] if first.nodes == 1 else []

    def find(wildcards: object, attempt: int, *, name: str) -> Value | None:  # noqa: ARG001 - Snakemake's call
        """Return one resource at an attempt."""
        need, partition = place(rule, study, site=site, attempt=attempt)
        return _read(name, need, partition=partition, site=site)

    resources: dict[str, Resource] = {name: partial(find, name=name) for name in names}
    if site is not None and site.scratch is not None:
        resources["tmpdir"] = str(site.scratch)
    return Asked(first.cpus, resources)


def _list_sharing(need: Need) -> list[str]:
    """Return the resources that say on how many nodes and GPUs a job's processes share its work.

    By `mpi` the plugin leaves it to the job to start something on each node, which the command
    does by srun; and `gpu` counts those of all nodes, however they lie, `gres` those of each.
    """
    if need.nodes > 1:
        return ["nodes", "tasks", "mpi", *(["gres", "tasks_per_gpu"] if need.gpus else [])]
    return [*(["gpu"] if need.gpus else []), *(["nodes"] if need.gpus > 1 else [])]


def _read(name: str, need: Need, *, partition: Partition | None, site: Site | None) -> Value | None:
    """Return one resource; none leaves it to the scheduler."""
    kind = partition.gpu_type if partition is not None else None
    own: dict[str, Value | None] = {
        "mem_mb": need.mem_mb,
        "runtime": need.runtime,
        "gpu": need.gpus,
        "gres": f"gpu:{kind}:{need.gpus}" if kind else f"gpu:{need.gpus}",
        "gpu_model": kind if need.gpus else None,
        "nodes": need.nodes,
        "tasks": need.nodes,
        # The plugin would else ask for as many tasks a GPU as there are nodes.
        "tasks_per_gpu": 0,
        "mpi": "srun",
        "slurm_partition": partition.name if partition is not None else None,
    }
    if name in own or partition is None:
        return own.get(name)
    field = name.removeprefix("slurm_")
    return cast(str | None, getattr(partition, field) or getattr(site, field))
