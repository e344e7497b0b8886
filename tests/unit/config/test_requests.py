"""What rules ask for: more at each attempt, never more than a partition has, never too little."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from medvision.config.model import Study, build_study
from medvision.config.requests import (
    ATTEMPTS,
    FLOOR_MB,
    REQUESTS,
    compute_need,
    list_asked,
    list_rules,
    place,
    wants_gpu,
)
from medvision.config.site import Partition, Site, find_excess

CPU = Partition(name="cpu", runtime=1440, mem_mb=20000, cpus=8)
GPU = Partition(name="gpu", runtime=2880, mem_mb=40000, cpus=8, gpus=4, gpu_type="a100")
SITE = Site(account="radiology", partitions=(CPU, GPU))


def ask(rule: str, study: Study, site: Site | None, *, attempt: int = 1) -> dict[str, object]:
    """Return a rule's resources as Snakemake would: functions called, none left out."""
    asked = list_asked(study, site)[rule].resources
    called = {
        name: value(None, attempt=attempt) if callable(value) else value
        for name, value in asked.items()
    }
    return {name: value for name, value in called.items() if value is not None}


@pytest.mark.parametrize("rule", REQUESTS)
def test_memory_and_time_grow_with_each_attempt(rule: str) -> None:
    needs = [compute_need(rule, Study(), site=None, attempt=n) for n in (1, 2, 3)]
    assert needs[0].mem_mb < needs[1].mem_mb < needs[2].mem_mb
    assert needs[0].runtime < needs[1].runtime < needs[2].runtime


@pytest.mark.parametrize("rule", REQUESTS)
def test_no_job_asks_for_less_than_snakemake_itself_takes(rule: str) -> None:
    assert compute_need(rule, Study(), site=None, attempt=1).mem_mb >= FLOOR_MB


limits = st.none() | st.integers(1, 5000)
partitions = st.builds(
    Partition, name=st.just("p"), runtime=limits, mem_mb=limits, gpus=st.integers(0, 2)
)


@given(st.sampled_from(sorted(REQUESTS)), st.lists(partitions, min_size=1, max_size=4), st.data())
def test_no_attempt_asks_for_more_memory_or_time_than_its_partition_has(
    rule: str, held: list[Partition], data: st.DataObject
) -> None:
    attempt = data.draw(st.integers(1, ATTEMPTS))
    need, partition = place(rule, Study(), site=Site(partitions=tuple(held)), attempt=attempt)
    if partition is not None:
        excess = {name for name, _, _ in find_excess(partition, need)}
        assert excess <= {"cpus", "gpus"}


def test_the_profile_makes_as_many_attempts_as_the_table_says(checkout: Path) -> None:
    profile = yaml.safe_load((checkout / "workflow/profiles/slurm/config.yaml").read_text())
    assert profile["retries"] == ATTEMPTS - 1


def test_without_a_site_the_scheduler_is_told_no_partition() -> None:
    assert ask("train", Study(), None) == {"mem_mb": 16000, "runtime": 1440}


@pytest.mark.parametrize(
    ("device", "site", "expected"),
    [
        ("cpu", SITE, False),
        ("auto", SITE, True),
        ("auto", None, False),
        ("auto", Site(partitions=(CPU,)), False),
        ("cuda", None, True),
        ("cuda", Site(partitions=(CPU,)), True),
    ],
)
def test_a_gpu_is_asked_for_where_the_device_and_the_site_say_so(
    device: str, site: Site | None, expected: bool
) -> None:
    study = build_study({"compute": {"device": device}})
    assert wants_gpu("train", study, site=site) is expected
    assert ("gpu" in ask("train", study, site)) is expected
    assert not wants_gpu("cohort", study, site=site)


def test_a_training_goes_to_the_gpus_and_a_table_does_not() -> None:
    assert ask("train", Study(), SITE) == {
        "mem_mb": 16000,
        "runtime": 1440,
        "gpu": 1,
        "gpu_model": "a100",
        "slurm_partition": "gpu",
        "slurm_account": "radiology",
    }
    assert ask("cohort", Study(), SITE) == {
        "mem_mb": 4000,
        "runtime": 60,
        "slurm_partition": "cpu",
        "slurm_account": "radiology",
    }


def test_a_third_attempt_asks_for_all_of_the_partition_and_no_more() -> None:
    third = ask("train", Study(), SITE, attempt=3)
    assert (third["mem_mb"], third["runtime"]) == (40000, 2880)


def test_a_retry_moves_on_to_a_partition_that_holds_it() -> None:
    short = Partition(name="short", runtime=240, gpus=1, account="a", qos="q", constraint="c")
    site = Site(partitions=(short, GPU), account="radiology")
    first, second = (ask("explain", Study(), site, attempt=n) for n in (1, 2))
    assert first["slurm_partition"] == "short"
    assert (first["slurm_account"], first["qos"], first["constraint"]) == ("a", "q", "c")
    assert second["slurm_partition"] == "gpu"
    assert second["slurm_account"] == "radiology"
    assert "qos" not in second


def test_temporary_files_go_to_the_nodes_own_disk_where_the_site_names_one() -> None:
    site = Site(partitions=(CPU,), scratch=Path("/scratch"))
    assert ask("ingest", Study(), site)["tmpdir"] == "/scratch"


def test_cores_are_those_of_the_configuration() -> None:
    study = build_study({"compute": {"threads": 3}, "ingest": {"workers": 5}})
    asked = list_asked(study, None)
    assert asked["train"].threads == 3
    assert asked["ingest_shard"].threads == 5
    assert asked["cohort"].threads == 1


def test_no_result_depends_on_the_cluster() -> None:
    from medvision.config.steps import STEP_SECTIONS

    assert all("cluster" not in sections for sections in STEP_SECTIONS.values())


def with_team(nodes: int, processes: int, device: str = "auto") -> Study:
    compute = {"nodes": nodes, "processes_per_node": processes, "threads": 2, "device": device}
    return build_study({"compute": compute})


def test_a_team_on_one_node_asks_for_the_cores_memory_and_gpus_of_all_its_processes() -> None:
    asked = ask("train", with_team(1, 3), Site(partitions=(CPU, GPU.model_copy(update=ROOMY))))
    assert list_asked(with_team(1, 3), SITE)["train"].threads == 6
    assert asked == {
        "mem_mb": 48000,
        "runtime": 1440,
        "gpu": 3,
        "gpu_model": "a100",
        "nodes": 1,
        "slurm_partition": "gpu",
    }


ROOMY = {"mem_mb": 400000}


def test_a_team_on_two_nodes_asks_for_each_nodes_share_and_starts_its_own_steps() -> None:
    roomy = GPU.model_copy(update=ROOMY)
    assert ask("train", with_team(2, 3), Site(partitions=(CPU, roomy))) == {
        "mem_mb": 48000,
        "runtime": 1440,
        "nodes": 2,
        "tasks": 2,
        "mpi": "srun",
        "gres": "gpu:a100:3",
        "tasks_per_gpu": 0,
        "slurm_partition": "gpu",
    }
    untyped = Site(partitions=(roomy.model_copy(update={"gpu_type": None}),))
    assert ask("train", with_team(2, 3), untyped)["gres"] == "gpu:3"


def test_a_team_without_gpus_asks_for_none() -> None:
    names = {"gpu", "gpu_model", "gres", "tasks_per_gpu"}
    assert not names & ask("train", with_team(2, 2, "cpu"), SITE).keys()
    assert not names & ask("train", with_team(1, 2, "cpu"), SITE).keys()


@pytest.mark.parametrize("rule", [rule for rule in REQUESTS if rule != "train"])
def test_no_other_rule_asks_for_a_team(rule: str) -> None:
    assert ask(rule, with_team(2, 3), SITE) == ask(rule, with_team(1, 1), SITE)


def test_a_team_goes_to_the_partition_that_lets_a_job_have_its_nodes() -> None:
    small = GPU.model_copy(update={"name": "small", "nodes": 1, **ROOMY})
    site = Site(partitions=(small, GPU.model_copy(update=ROOMY)))
    assert ask("train", with_team(1, 4), site)["slurm_partition"] == "small"
    assert ask("train", with_team(2, 4), site)["slurm_partition"] == "gpu"


def test_each_share_of_the_explanations_has_a_gpu_and_what_gathers_them_none() -> None:
    study = build_study({"compute": {"device": "cuda"}, "explain": {"shards": 2}})
    assert ask("explain_shard", study, SITE)["gpu"] == 1
    assert "gpu" not in ask("explain", study, SITE)
    assert ask("explain", build_study({"compute": {"device": "cuda"}}), SITE)["gpu"] == 1
    assert "explain_shard" in list_rules(study)
    assert "explain_shard" not in list_rules(Study())
