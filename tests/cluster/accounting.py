"""A SLURM that keeps accounts: slurmdbd and MariaDB beside the controller, all in one folder.

slurmdbd listens on all addresses and cannot be told otherwise, so the cluster's network is one of
its own: a namespace with loopback and nothing that leads out. The scripts by which clients are
found enter it. That needs root.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cluster.slurm import Cluster, choose_ports, find_program, run_all, take_ports, wait_for

SERVERS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "nsenter", "unshare")
ACCOUNT = "imaging"
# Names are looked up only where there is an address beside those of loopback; 192.0.2.0/24 is for
# examples, and leads nowhere.
NETWORK = """\
ip link set lo up
ip link add inner type veth peer name outer
ip addr add 192.0.2.1/32 dev inner
ip link set inner up
ip link set outer up
"""


def list_missing() -> list[str]:
    """The programs that a SLURM with accounts needs and that are not here."""
    return [name for name in SERVERS if find_program(name) is None]


def is_network_possible() -> bool:
    """Whether a network of one's own may be made here."""
    words = ["unshare", "--net", "sh", "-e", "-c", NETWORK]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def own_network() -> Iterator[tuple[str, ...]]:
    """Make a network that leads nowhere; return the words that run a program in it."""
    script = f"{NETWORK}echo ready\nexec sleep infinity"
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-e", "-c", script]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "a network of its own"
        yield ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
    finally:
        holder.kill()
        holder.wait()


@contextmanager
def running_accounted_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster with accounts in a new folder; afterwards nothing of it runs.

    The user has an account ACCOUNT; jobs that name one of nobody are refused. Unlike the cluster
    without accounts it does not start jobs of a lost node again: their state is NODE_FAIL.
    """
    (port,) = take_ports(1)
    others = {"mariadbd": list_database_words(folder), "slurmdbd": list_slurmdbd_words(folder)}
    settings = {
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "127.0.0.1",
        "AccountingStoragePort": port,
        "AccountingStoragePass": folder / "munge" / "socket",
        "AccountingStorageEnforce": "associations",
        "AccountingStoreFlags": "job_comment",
        "JobRequeue": 0,
    }
    with own_network() as inside:
        cluster = Cluster(folder, choose_ports(), inside, others)
        with run_all(cluster, settings, partial(start_accounting, cluster, port)):
            yield cluster


def list_database_words(folder: Path) -> list[str]:
    """How the database is called: reached by a socket in the folder alone."""
    place = folder / "database"
    return [
        *(str(find_program("mariadbd")), "--no-defaults", "--user=root", "--skip-networking"),
        *(f"--datadir={place}", f"--socket={place}/socket", f"--pid-file={place}/pid"),
        *("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"),
    ]


def list_slurmdbd_words(folder: Path) -> list[str]:
    """How slurmdbd is called; MariaDB's library takes the place of the socket from a variable."""
    socket = f"MYSQL_UNIX_PORT={folder}/database/socket"
    return ["env", socket, str(find_program("slurmdbd")), "-D"]


def start_accounting(cluster: Cluster, port: int) -> None:
    """Make the database, start it and slurmdbd, and enter the user and the account."""
    make_database(cluster)
    write_slurmdbd_configuration(cluster.folder, port)
    start_slurmdbd(cluster)
    for words in (
        ("cluster", "loopback"),
        ("account", ACCOUNT, "Cluster=loopback"),
        ("user", "root", f"Account={ACCOUNT}", "Cluster=loopback"),
    ):
        cluster.call("sacctmgr", "-i", "add", *words)


def make_database(cluster: Cluster) -> None:
    """Make an empty database and start it."""
    place = cluster.folder / "database"
    words = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={place}"]
    quick = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run([*words, *quick], check=True, capture_output=True)
    start_database(cluster)
    said = "create database accounts; create user slurm@localhost identified by 'slurm'; "
    _ask_database(cluster, said + "grant all on accounts.* to slurm@localhost;")


def start_database(cluster: Cluster) -> None:
    """Start the database, and wait until it answers."""
    cluster.start("mariadbd")

    def does_answer() -> bool:
        return _call_database(cluster, "select 1").returncode == 0

    wait_for(does_answer, seconds=60, what="the database")


def start_slurmdbd(cluster: Cluster) -> None:
    """Start slurmdbd, and wait until it answers."""
    cluster.start("slurmdbd")

    def does_answer() -> bool:
        try:
            cluster.call("sacctmgr", "-n", "list", "cluster")
        except (RuntimeError, subprocess.TimeoutExpired):
            return False
        return True

    wait_for(does_answer, seconds=60, what="slurmdbd")


def _ask_database(cluster: Cluster, said: str) -> None:
    done = _call_database(cluster, said)
    assert done.returncode == 0, done.stderr


def _call_database(cluster: Cluster, said: str) -> "subprocess.CompletedProcess[str]":
    socket = cluster.folder / "database" / "socket"
    words = ["mariadb", "--no-defaults", "--user=root", f"--socket={socket}", "--execute", said]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def write_slurmdbd_configuration(folder: Path, port: int) -> None:
    """Write slurmdbd.conf, which lies beside slurm.conf and only its owner may read."""
    path = folder / "slurmdbd.conf"
    path.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={os.uname().nodename.partition(".")[0]}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=accounts
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/state/slurmdbd.pid
""")
    path.chmod(0o600)
