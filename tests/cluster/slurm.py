"""A real SLURM on loopback: munge, a controller and three nodes, in one folder, as one user.

Nothing outside the folder is written, no service is started, and no cgroup is needed. Every
program is a child of the tests and dies with them; the clients are found by PATH alone, through
scripts that name the configuration, since the step that Snakemake's plugin starts inside a job
takes SLURM_CONF out of the environment.
"""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CLIENTS = (
    *("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo"),
    *("sacct", "sacctmgr", "sshare"),
)
SERVERS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2", "n3")
PARTITIONS = """\
PartitionName=cpu Nodes=n[1-3] Default=YES MaxTime=60 State=UP PriorityTier=10
PartitionName=gpu Nodes=n1 MaxTime=60 State=UP PriorityTier=10
PartitionName=spare Nodes=n3 MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=urgent Nodes=n3 MaxTime=60 State=UP PriorityTier=20
"""


def find_program(name: str) -> str | None:
    """Where a program is; the servers lie where only root's PATH looks."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def list_missing() -> list[str]:
    return [name for name in (*SERVERS, *CLIENTS) if find_program(name) is None]


def take_ports(n: int) -> list[int]:
    """Ports that are free now, all different."""
    taken = [socket.socket() for _ in range(n)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def wait_for(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until a condition holds; fail in words where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.2)


@dataclass
class Cluster:
    """A running SLURM: its folder, its programs, and what a person at it would do.

    Args:
        folder: Where all of it lies.
        ports: Program or node to the port at which it listens.
        inside: Words before each program, which bring it to where the cluster's network is.
        others: Programs beside SLURM's own three, and how they are called.
        children: What runs.
    """

    folder: Path
    ports: dict[str, int]
    inside: Sequence[str] = ()
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to reach this cluster: a PATH, and nothing of an outer SLURM."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "PATH": f"{self.folder / 'bin'}:{kept['PATH']}"}

    def call(self, *words: str, check: bool = True) -> str:
        """Run a client, and return what it printed."""
        done = subprocess.run(
            words,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
        return done.stdout

    def submit(self, script: str, *options: str, folder: Path) -> str:
        """Submit a batch script that runs in a folder; return the job's number."""
        path = folder / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/bash\n{script}")
        return self.call("sbatch", "--parsable", "-D", str(folder), *options, str(path)).strip()

    def list_jobs(self) -> list[tuple[str, str, str]]:
        """Number, name and state of the jobs that wait or run."""
        text = self.call("squeue", "-h", "-o", "%i|%j|%T")
        return [tuple(line.split("|")) for line in text.splitlines()]  # type: ignore[misc]

    def list_ended(self) -> list[dict[str, str]]:
        """What SLURM wrote down of every job that ended: its name, state, start and end."""
        path = self.folder / "log" / "ended.txt"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [dict(w.split("=", 1) for w in line.split() if "=" in w) for line in lines]

    def show(self, job: str) -> dict[str, str]:
        """What SLURM says of a job that it still remembers."""
        words = self.call("scontrol", "show", "job", job, "-o").split()
        return dict(w.split("=", 1) for w in words if "=" in w)

    def start(self, name: str) -> None:
        """Start munge, the controller, a node, or one of the others."""
        log = (self.folder / "log" / f"{name}.out").open("ab")
        # The kernel ends the program with the tests, however these end.
        self.children[name] = subprocess.Popen(
            [*self.inside, "setpriv", "--pdeathsig", "KILL", *self._find_words(name)],
            env={**self.environment, "SLURM_CONF": str(self.folder / "slurm.conf")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()

    def _find_words(self, name: str) -> list[str]:
        """How a program is called."""
        if name in self.others:
            return list(self.others[name])
        sbin = find_program(name if name in SERVERS else "slurmd")
        assert sbin is not None
        word = {"munged": self._munge_options, "slurmctld": lambda: ["-D"]}
        return [sbin, *word.get(name, lambda: ["-D", "-N", name])()]

    def _munge_options(self) -> list[str]:
        place = self.folder / "munge"
        return [
            *("--foreground", "--force", "--num-threads=1", f"--key-file={place / 'key'}"),
            *(f"--socket={place / 'socket'}", f"--pid-file={place / 'pid'}"),
            *(f"--log-file={place / 'log'}", f"--seed-file={place / 'seed'}"),
        ]

    def kill(self, name: str) -> None:
        """End one program at once, of a node with all that runs on it, as a power cut would."""
        self.children[name].kill()
        self.children.pop(name).wait()
        if name in NODES:
            # The guardians of steps first, or they would still report what became of these.
            run = [pid for pid in list_processes() if is_run_by(pid, self.folder, name)]
            guards = {parent for pid in run if (parent := find_guard(pid))}
            for pid in [*guards, *run]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def wait_idle(self, *, seconds: float = 60) -> None:
        """Wait until no job is left and all nodes are ready."""

        def is_idle() -> bool:
            states = self.call("sinfo", "-h", "-N", "-p", "cpu", "-o", "%t", check=False).split()
            return states == ["idle"] * len(NODES) and not self.list_jobs()

        wait_for(is_idle, seconds=seconds, what="an idle cluster")

    def stop(self) -> None:
        """Cancel all jobs, end all programs, and end what jobs left behind."""
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            self.call("scancel", "-u", user_name())
            wait_for(lambda: not self.list_jobs(), seconds=20, what="an empty queue")
        for name in [*NODES, "slurmctld", *reversed(self.others), "munged"]:
            child = self.children.pop(name, None)
            if child is not None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        kill_all(lambda pid: is_of(pid, self.folder))


def user_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def list_processes() -> Iterator[int]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            yield int(path.name)


def read_environment(pid: int, folder: Path) -> str:
    """A process's environment where it belongs to the cluster, else nothing."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        return text if str(folder) in text else ""
    return ""


def is_of(pid: int, folder: Path) -> bool:
    """Whether a process was started by the cluster in a folder."""
    return f"SLURM_CONF={folder}" in read_environment(pid, folder)


def is_run_by(pid: int, folder: Path, node: str) -> bool:
    """Whether a process belongs to a job on a node."""
    return f"SLURMD_NODENAME={node}\0" in read_environment(pid, folder)


def find_guard(pid: int) -> int | None:
    """The guardian of a step (slurmstepd) whose child a process is."""
    with suppress(OSError, IndexError):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if Path(f"/proc/{parent}/cmdline").read_bytes().startswith(b"slurmstepd"):
            return parent
    return None


def kill_all(is_meant: Callable[[int], bool]) -> None:
    for pid in list_processes():
        if is_meant(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def write_configuration(cluster: Cluster, settings: Mapping[str, object]) -> None:
    """Write the keys, the configuration, and the scripts through which clients find it.

    Args:
        cluster: What it is of.
        settings: Lines of slurm.conf that take the place of those of the same name.
    """
    folder, host = cluster.folder, socket.gethostname().partition(".")[0]
    for name in ("bin", "log", "munge", "spool", "state"):
        (folder / name).mkdir()
    (folder / "munge").chmod(0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    user = user_name()
    lines = f"""\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={cluster.ports["slurmctld"]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
CredType=cred/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/ended.txt
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/state/slurmctld.pid
SlurmdPidFile={folder}/spool/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
KillWait=2
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=10
HealthCheckInterval=0
JobRequeue=1
GresTypes=gpu
"""
    lines = "".join(f"{line}\n" for line in change_settings(lines.splitlines(), settings))
    for node in NODES:
        gres = " Gres=gpu:fake:2" if node == "n1" else ""
        lines += (
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 "
            f"Port={cluster.ports[node]} CPUs=4 RealMemory=16000 State=UNKNOWN{gres}\n"
        )
    (folder / "slurm.conf").write_text(lines + PARTITIONS)
    # Any device serves as a GPU where no cgroup guards it.
    (folder / "gres.conf").write_text("NodeName=n1 Name=gpu Type=fake File=/dev/null,/dev/zero\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    for name in CLIENTS:
        script = folder / "bin" / name
        script.write_text(
            f"#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {' '.join(cluster.inside)} "
            f'{find_program(name)} "$@"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)


def change_settings(lines: Sequence[str], settings: Mapping[str, object]) -> list[str]:
    """Lines with other values, and those that were not there at the end."""
    kept = [line for line in lines if line.partition("=")[0] not in settings]
    return [*kept, *(f"{name}={value}" for name, value in settings.items())]


def choose_ports() -> dict[str, int]:
    """A port for each program that listens."""
    names = ("slurmctld", *NODES)
    return dict(zip(names, take_ports(len(names)), strict=True))


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster in a new folder; afterwards nothing of it runs."""
    with run_all(Cluster(folder, choose_ports()), {}) as cluster:
        yield cluster


@contextmanager
def run_all(
    cluster: Cluster, settings: Mapping[str, object], before: Callable[[], None] = lambda: None
) -> Iterator[Cluster]:
    """Start a cluster's programs; afterwards none of them runs.

    Args:
        cluster: What is started.
        settings: Lines of slurm.conf that are this cluster's own.
        before: What is done between munge's start and the controller's.
    """
    folder = cluster.folder
    write_configuration(cluster, settings)
    try:
        cluster.start("munged")
        wait_for((folder / "munge" / "socket").exists, seconds=20, what="munge")
        before()
        for name in ("slurmctld", *NODES):
            cluster.start(name)
        cluster.wait_idle()
        yield cluster
    finally:
        cluster.stop()
