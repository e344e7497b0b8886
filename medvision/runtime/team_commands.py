"""What starts a team: command lines of torchrun and srun, variables of the processes."""

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medvision.errors import ConfigError
from medvision.runtime.team import RENDEZVOUS

_INTERFACE = "GLOO_SOCKET_IFNAME"
# Each machine says this often that it is there; all of it is added to one file.
_KEEP_ALIVE_S = 60

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


@dataclass(frozen=True)
class Shape:
    """How many processes train one network together.

    Args:
        nodes: Machines.
        processes_per_node: Processes of each machine.
        threads: CPU threads of each process.
    """

    nodes: int
    processes_per_node: int
    threads: int

    @property
    def size(self) -> int:
        """Number of all processes."""
        return self.nodes * self.processes_per_node


def build_torchrun(words: Sequence[str], *, shape: Shape, folder: Path) -> list[str]:
    """Return torchrun's own arguments on one machine.

    The processes meet by a file: torchrun's server listens on every interface of its machine.

    Args:
        words: The command's name and options.
        shape: How many processes.
        folder: Where they meet.
    """
    return [
        *(f"--nnodes={shape.nodes}", f"--nproc-per-node={shape.processes_per_node}"),
        *("--max-restarts=0", "--rdzv-backend=c10d", f"--rdzv-id={folder.name}"),
        f"--rdzv-endpoint={folder / 'machines'}",
        f"--rdzv-conf=store_type=file,keep_alive_interval={_KEEP_ALIVE_S}",
        *(f"--log-dir={folder / 'logs'}", "-m", "medvision", *words),
    ]


def build_srun(words: Sequence[str], *, shape: Shape, environment: Mapping[str, str]) -> list[str]:
    """Return the command line that starts a command once on each machine of a SLURM job.

    Args:
        words: The command's name and options.
        shape: How many machines, and what of each.
        environment: Variables of the job.
    """
    n_cpus = shape.threads * shape.processes_per_node
    # A step that asks for more than its job has is refused; Snakemake's --cores cuts jobs down.
    n_cpus = min(n_cpus, int(environment.get("SLURM_CPUS_PER_TASK", n_cpus)))
    return [
        *("srun", f"--nodes={shape.nodes}", f"--ntasks={shape.nodes}", "--ntasks-per-node=1"),
        # A job that was submitted with --export=NONE would hand on no variable, ours neither.
        *(f"--cpus-per-task={n_cpus}", "--export=ALL"),
        # Another step of the job may hold the CPUs; and where one machine fails, no other waits.
        *("--overlap", "--kill-on-bad-exit=1", "--mpi=none"),
        *(sys.executable, "-m", "medvision", *words),
    ]


def build_environment(
    environment: Mapping[str, str], *, shape: Shape, folder: Path
) -> dict[str, str]:
    """Return the variables of the processes of one machine.

    Args:
        environment: Variables of the process that starts them.
        shape: How many processes.
        folder: Where they meet.

    Raises:
        ConfigError: There are several machines, and none of their addresses is known.
    """
    defaults = {}
    if shape.nodes == 1:
        defaults[_INTERFACE] = _find_loopback()
    elif _INTERFACE not in environment:
        _check_address()
    # Snakemake sets them to the threads of the whole job.
    threads = {f"{name}_NUM_THREADS": str(shape.threads) for name in _THREADS}
    own = {RENDEZVOUS: str(folder), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return {**defaults, **environment, **threads, **own}


def _find_loopback() -> str:
    """Return the name of the interface that no other machine reaches."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), "lo")


def _check_address() -> None:
    """Refuse a machine whose own name leads nowhere else: gloo would listen there in vain."""
    name = socket.gethostname()
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None)}
    except OSError:
        found = set()
    if all(str(address).startswith("127.") or address == "::1" for address in found):
        told = ", ".join(sorted(map(str, found))) or "no address"
        raise ConfigError(
            f"environment: host name of a node must lead to an address that the others reach, got "
            f"{told}.",
            f"export {_INTERFACE}=NAME before the run: the interface between nodes, as `ip address`"
            " shows it.",
        )
