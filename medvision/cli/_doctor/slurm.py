"""What a SLURM cluster says of itself: nodes, limits, accounts; by its own commands, read only."""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from medvision.config.site import Need, Partition

_QUERY_S = 30
_NODE_FORMAT = "%R|%a|%l|%m|%c|%G|%f|%s|%N|%T"
# Of sinfo(1), NODE STATE CODES: those that are given no new job, and the mark of a silent node.
_SHUT = re.compile(r"(down|drain|fail|inval|future|unk|error|blocked|perfctrs).*|.*\*.*")
_GPUS = re.compile(r"^gpu:(?:(?P<type>[^:]+):)?(?P<count>\d+)$")


@dataclass(frozen=True)
class Node:
    """One node in one partition.

    Args:
        partition: Name of the partition.
        is_up: Whether the partition takes jobs.
        limits: Longest job in minutes, most nodes of a job, memory in MB, CPUs; and all its GPUs,
            of no type.
        gpus: Type to number of GPUs; the type is empty where none is said.
        features: What a constraint may name.
        state: As sinfo says, such as idle, mixed or drained.
    """

    partition: str
    is_up: bool
    limits: Partition
    gpus: Mapping[str, int]
    features: frozenset[str]
    state: str

    @property
    def takes_jobs(self) -> bool:
        """Whether it is given new jobs, now or when those that it has are done."""
        return _SHUT.fullmatch(self.state) is None


def ask(command: Sequence[str], *, timeout_s: float = _QUERY_S) -> str | None:
    """Return what a command prints, or none where it is missing, fails or does not answer.

    Args:
        command: Program and arguments.
        timeout_s: Seconds after which it is given up.
    """
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, UnicodeDecodeError, subprocess.SubprocessError):
        return None
    return done.stdout


def read_nodes() -> list[Node] | None:
    """Return each node of each partition; none where the cluster does not answer."""
    said = ask(["sinfo", "--noheader", "--Node", "--format", _NODE_FORMAT])
    return None if said is None else list(_parse_nodes(said))


def read_default_partition() -> str | None:
    """Return the partition of jobs that name none, where there is one."""
    names = (ask(["sinfo", "--noheader", "--format", "%P"]) or "").split()
    return next((name.removesuffix("*") for name in names if name.endswith("*")), None)


def read_settings() -> dict[str, str]:
    """Return the scheduler's settings by name; nothing where it does not answer."""
    said = ask(["scontrol", "show", "config"]) or ""
    pairs = (line.partition("=") for line in said.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def read_accounts() -> set[str] | None:
    """Return the user's accounts in small letters, asked for as the plugin does.

    Returns:
        Accounts; empty where the cluster answers that there are none; none where neither command
        answers, upon which the plugin gives up every job that names an account.
    """
    user = getpass.getuser()
    said = ask(["sacctmgr", "-n", "-s", "list", "user", user, "format=account%256"])
    if said is None or not said.strip():
        said = ask(["sshare", "-U", "--format", "Account%256", "--noheader"])
    return None if said is None else {line.strip().lower() for line in said.splitlines()} - {""}


def parse_minutes(text: str) -> int | None:
    """Return a time limit of SLURM in minutes; none for no limit or no time.

    Args:
        text: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, or one of `days-hours`,
            `days-hours:minutes` and `days-hours:minutes:seconds`.

    Source:
        sbatch(1), option --time.
    """
    days, dash, rest = text.strip().partition("-")
    parts = (rest if dash else days).split(":")
    if not all(part.isdecimal() for part in [*parts, *([days] if dash else [])]):
        return None
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, _ = [*numbers, 0, 0][:3]
        return int(days) * 1440 + hours * 60 + minutes
    if len(numbers) == 3:
        return numbers[0] * 60 + numbers[1]
    return numbers[0]


def _parse_nodes(said: str) -> Iterator[Node]:
    """Yield the nodes of sinfo's lines; a line of another shape is left out."""
    for line in said.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) != _NODE_FORMAT.count("|") + 1:
            continue
        name, state, limit, memory, cpus, gres, features, size, _, at = fields
        gpus = _parse_gpus(gres)
        # Not checked: another's names are as they are.
        limits = Partition.model_construct(
            name=name,
            runtime=parse_minutes(limit) or None,
            mem_mb=_parse_number(memory),
            cpus=_parse_number(cpus),
            gpus=sum(gpus.values()),
            # Least and most, or one number for both.
            nodes=_parse_number(size.rpartition("-")[2]),
        )
        held = frozenset(features.split(",")) - {"(null)"}
        yield Node(name, state == "up", limits, gpus, held, at.lower())


def _parse_number(text: str) -> int | None:
    """Return a number such as 4 or 4+."""
    digits = text.rstrip("+")
    return int(digits) or None if digits.isdecimal() else None


def _parse_gpus(gres: str) -> dict[str, int]:
    """Return type to number of a node's GPUs, of a text such as gpu:a100:4(S:0-1),tmp:100G."""
    found: dict[str, int] = {}
    for part in re.sub(r"\([^)]*\)", "", gres).split(","):
        match = _GPUS.match(part.strip())
        if match:
            found[match["type"] or ""] = found.get(match["type"] or "", 0) + int(match["count"])
    return found


def narrow(partition: Partition, nodes: Iterable[Node]) -> Partition:
    """Return a site's partition with the limits that the cluster has where they are less.

    Args:
        partition: As the site file says; its name may be several, joined by commas.
        nodes: All nodes of the cluster.
    """
    own = list_own(partition, nodes)
    if not own:
        return partition
    limits = {}
    for name in ("runtime", "nodes", "mem_mb", "cpus"):
        # A job may run on the roomiest node that it is let on.
        real = max((getattr(n.limits, name) or float("inf") for n in own), default=float("inf"))
        said = getattr(partition, name) or float("inf")
        limits[name] = None if min(real, said) == float("inf") else int(min(real, said))
    return partition.model_copy(update=limits)


def list_own(partition: Partition, nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes of a partition of the site, whose name may be several."""
    names = partition.name.split(",")
    return [node for node in nodes if node.partition in names]


def limit_nodes(partition: Partition, nodes: Iterable[Node], *, need: Need) -> Partition:
    """Return a partition whose jobs have no more nodes than can hold one node's share of a job.

    Args:
        partition: As the site file says.
        nodes: All nodes of the cluster.
        need: What the job asks for, of each node.
    """
    own = list_own(partition, nodes)
    able = [
        node
        for node in own
        if count_gpus(node, partition.gpu_type) >= need.gpus
        and (node.limits.cpus or need.cpus) >= need.cpus
        and (node.limits.mem_mb or need.mem_mb) >= need.mem_mb
    ]
    # What not one node holds is told by itself.
    if need.nodes == 1 or not able:
        return partition
    return partition.model_copy(update={"nodes": min(len(able), partition.nodes or len(able))})


def count_gpus(node: Node, gpu_type: str | None) -> int:
    """Return a node's GPUs of a type; of any where none is named."""
    return sum(node.gpus.values()) if gpu_type is None else node.gpus.get(gpu_type, 0)
