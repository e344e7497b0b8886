"""What SLURM says is read as it is meant: limits, GPUs, the narrowing of a site's promises."""

import pytest

from medvision.cli._doctor.slurm import _parse_nodes, count_gpus, narrow, parse_minutes
from medvision.config.site import Partition

SAID = """\
cpu|up|1-00:00:00|128000|32|(null)|intel,avx512|1-infinite|n1|idle
gpu|up|infinite|256000+|64+|gpu:a100:4(S:0-1),tmp:100G|a100|2-16|g1|mixed
gpu|drain|infinite|256000|64|gpu:a100:2,gpu:1g.5gb:7|(null)|1-infinite|g2|drained*
a line of another shape
"""


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30),
        ("30:30", 30),
        ("4:00:00", 240),
        ("1-0", 1440),
        ("1-06:30", 1830),
        ("2-12:30:45", 3630),
        ("infinite", None),
        ("UNLIMITED", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_a_time_limit_is_read_in_minutes(text: str, minutes: int | None) -> None:
    assert parse_minutes(text) == minutes


def test_nodes_are_read_with_their_limits_gpus_and_features() -> None:
    cpu, first, second = _parse_nodes(SAID)
    assert (cpu.limits.runtime, cpu.limits.mem_mb, cpu.limits.cpus) == (1440, 128000, 32)
    assert cpu.features == {"intel", "avx512"}
    assert cpu.gpus == {}
    assert (cpu.limits.nodes, first.limits.nodes) == (None, 16)
    assert first.limits.runtime is None
    assert (first.limits.mem_mb, first.limits.cpus) == (256000, 64)
    assert first.gpus == {"a100": 4}
    assert first.is_up
    assert second.gpus == {"a100": 2, "1g.5gb": 7}
    assert second.features == frozenset()
    assert not second.is_up
    assert [node.takes_jobs for node in (cpu, first, second)] == [True, True, False]


@pytest.mark.parametrize(
    ("state", "takes_jobs"),
    [
        *(
            (name, True)
            for name in ("idle", "mixed-", "allocated+", "idle~", "completing", "reserved")
        ),
        *((name, False) for name in ("down", "down*", "drained", "draining@", "idle*", "failing")),
    ],
)
def test_a_node_is_given_new_jobs_by_its_state(state: str, takes_jobs: bool) -> None:
    (node,) = _parse_nodes(SAID.splitlines()[0].replace("idle", state))
    assert node.takes_jobs == takes_jobs


def test_gpus_are_counted_by_type_or_all_together() -> None:
    *_, node = _parse_nodes(SAID)
    assert [count_gpus(node, kind) for kind in (None, "a100", "1g.5gb", "v100")] == [9, 2, 7, 0]


def test_a_sites_promise_is_cut_to_what_the_cluster_has_and_never_widened() -> None:
    nodes = list(_parse_nodes(SAID))
    wide = narrow(Partition(name="cpu", runtime=9000, mem_mb=64000), nodes)
    assert (wide.runtime, wide.mem_mb, wide.cpus) == (1440, 64000, 32)
    unknown = Partition(name="elsewhere", runtime=10)
    assert narrow(unknown, nodes) == unknown
