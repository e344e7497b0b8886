"""A job of seconds on each partition: what a node sees that a login node cannot tell."""

import secrets
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from medvision.cli._doctor.findings import Finding, say_count
from medvision.cli._doctor.slurm import ask
from medvision.config.bucket import SECRETS
from medvision.config.model import Study
from medvision.config.site import Partition, Site, read_site
from medvision.errors import ConfigError
from medvision.runtime.access import obeying_umask

_WAIT_S = 120
_SCRIPT = """\
echo "node $(hostname)"
[ "$(cat {marker})" = {word} ] && echo output
[ -x {python} ] && echo python
[ -z {scratch} ] || {{ [ -w {scratch} ] && echo scratch; }}
nvidia-smi -L 2>/dev/null | grep -c GPU | sed 's/^/gpus /'
"""


def probe_nodes(study: Study, site_file: Path | None) -> Iterator[Finding]:
    """Yield what a node of each partition says; a partition that is busy is told as not asked.

    Args:
        study: The configuration; a file is written into its output folder, and removed.
        site_file: The site file, in place of `cluster.site`.
    """
    try:
        site = read_site(site_file or study.cluster.site)
    except ConfigError:
        return
    folder = study.output.path.absolute()
    word = secrets.token_hex(8)
    marker = folder / f".probe-{word}"
    try:
        with obeying_umask(study.output.umask):
            folder.mkdir(parents=True, exist_ok=True)
            marker.write_text(word)
        for partition in site.partitions if site else (None,):
            yield _probe(partition, site, marker=marker, word=word)
    except OSError as error:
        yield Finding("Probe", "fail", f"{folder}: {error.strerror}", "choose another output.path.")
    finally:
        marker.unlink(missing_ok=True)


def _probe(partition: Partition | None, site: Site | None, *, marker: Path, word: str) -> Finding:
    """Ask one node, and judge what it says."""
    script = _SCRIPT.format(
        marker=shlex.quote(str(marker)),
        word=word,
        python=shlex.quote(sys.executable),
        scratch=shlex.quote(str(site.scratch) if site and site.scratch else ""),
    )
    options = list(_list_options(partition, site))
    # srun hands its environment to the node.
    unset = [word for variable in SECRETS for word in ("-u", variable)]
    said = ask(["env", *unset, "srun", *options, "sh", "-c", script], timeout_s=_WAIT_S + 30)
    name = partition.name if partition else "default"
    if said is None or "node " not in said:
        hint = f"it may be busy; by hand: srun {' '.join(options)} hostname"
        return Finding("Probe", "warn", f"{name}: no node answered in {_WAIT_S} s", hint)
    return _judge(name, said, partition=partition, site=site)


def _list_options(partition: Partition | None, site: Site | None) -> Iterator[str]:
    """Yield srun's options: a minute of one core, as the jobs will ask."""
    yield from ("--time=2", "--mem=500", "--ntasks=1", "--cpus-per-task=1", "--job-name=medvision")
    yield f"--immediate={_WAIT_S}"
    if partition is None or site is None:
        return
    yield f"--partition={partition.name}"
    for option in ("account", "constraint", "qos"):
        value = getattr(partition, option) or getattr(site, option)
        if value:
            yield f"--{option}={value}"
    if partition.gpus:
        kind = f"{partition.gpu_type}:" if partition.gpu_type else ""
        yield f"--gres=gpu:{kind}1"


def _judge(name: str, said: str, *, partition: Partition | None, site: Site | None) -> Finding:
    """Say what a node does not see."""
    pairs = (line.partition(" ") for line in said.splitlines())
    told = {key: value for key, _, value in pairs}
    faults = []
    if "output" not in told:
        faults.append("does not see what this machine wrote into the output folder")
    if "python" not in told:
        faults.append(f"has no {sys.executable}")
    if site and site.scratch and "scratch" not in told:
        faults.append(f"has no scratch folder {site.scratch} that may be written")
    n_gpus = int(told.get("gpus", "0") or 0)
    if partition and partition.gpus and not n_gpus:
        faults.append("shows no GPU to nvidia-smi")
    node = told.get("node", "a node")
    if faults:
        return Finding(
            "Probe", "fail", f"{name}: {node} {', and '.join(faults)}", "mend the node or the site."
        )
    told_gpus = f", {say_count(n_gpus, 'GPUs')}" if n_gpus else ""
    return Finding("Probe", "ok", f"{name}: {node} sees output folder and Python{told_gpus}")
