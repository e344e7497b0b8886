"""The site file: read strictly, and a job goes to the first partition that holds it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.config.site import Need, Partition, Site, choose_partition, find_excess, read_site
from medvision.errors import ConfigError

EXAMPLES = sorted((Path(__file__).parents[3] / "config" / "sites").glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_site(path: Path) -> None:
    site = read_site(path)
    assert site is not None
    assert site.list_partitions(needs_gpu=False)
    assert site.has_gpus == (path.stem != "cpu")


def test_no_file_is_no_site() -> None:
    assert read_site(None) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("acount: x\npartitions: [{name: a}]", ["site.yaml: acount: key must be one of account"]),
        ("account: x", ["partitions: value must be given"]),
        ("partitions: []", ["site.yaml: partitions: value must have at least 1 item, got []."]),
        (
            "partitions: [{name: a b}]",
            ["partitions.0.name", "as the scheduler spells it, got 'a b'"],
        ),
        ("partitions: [{name: a; rm -rf x}]", ["partitions.0.name"]),
        ("partitions: [{name: a, gpu_type: v100}]", ["partition a: gpus must be 1 or more"]),
        ("partitions: [{name: a, mem_mb: 0}]", ["partitions.0.mem_mb", "got 0"]),
        ("partitions: [{name: a, gpu: 1}]", ["partitions.0.gpu: key must be one of name, runtime"]),
        ("- a", ["must hold keys, got list"]),
        ("", ["must hold keys, got NoneType"]),
    ],
)
def test_a_fault_says_where_and_what_must_be(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_site(write(tmp_path, text))
    for word in words:
        assert word in caught.value.message
    assert "config/sites" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("partitions: [", "site file must be readable YAML", "close every bracket"),
        (
            "account: a\npartitions: [{name: p}]\naccount: b",
            "got the key account a second time at line 3, column 1.",
            "keep one",
        ),
        (
            "partitions: [{name: p, runtime: 60, runtime: 90}]",
            "got the key runtime a second time at line 1, column 37.",
            "keep one",
        ),
        (
            "partitions: [{name: p, runtime: 2:00:00}]",
            "got 2:00:00, which YAML reads as a number to base 60, at line 1, column 33.",
            "in minutes",
        ),
        ("partitions: [{name: p, runtime: 48:00}]", "got 48:00, which", "in minutes"),
        ("partitions: [{name: p, runtime: 1:30.5}]", "got 1:30.5, which", "in minutes"),
    ],
)
def test_what_yaml_would_take_for_another_is_refused(
    text: str, words: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_site(write(tmp_path, text))
    assert words in caught.value.message
    assert hint in caught.value.hint


def test_merged_keys_and_numbers_are_read_as_yaml_says(tmp_path: Path) -> None:
    text = "partitions: [&a {name: a, cpus: 4, mem_mb: 1_000}, {<<: *a, name: b}]"
    site = read_site(write(tmp_path, text))
    assert site is not None
    assert [(p.name, p.cpus, p.mem_mb) for p in site.partitions] == [("a", 4, 1000), ("b", 4, 1000)]


def test_a_partition_with_a_fault_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_site(write(tmp_path, "partitions: [{name: a b}]"))
    assert caught.value.message.count("\n") == 0


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*no such file"):
        read_site(tmp_path / "nowhere.yaml")


def test_jobs_without_a_gpu_keep_out_of_partitions_that_have_some() -> None:
    site = Site(partitions=(Partition(name="gpu", gpus=4), Partition(name="cpu")))
    assert [p.name for p in site.list_partitions(needs_gpu=False)] == ["cpu"]
    assert [p.name for p in site.list_partitions(needs_gpu=True)] == ["gpu"]


def test_where_every_partition_has_gpus_all_jobs_go_there() -> None:
    site = Site(partitions=(Partition(name="gpu", gpus=4),))
    assert [p.name for p in site.list_partitions(needs_gpu=False)] == ["gpu"]


def test_where_none_has_gpus_a_job_that_needs_one_goes_nowhere() -> None:
    site = Site(partitions=(Partition(name="cpu"),))
    assert site.list_partitions(needs_gpu=True) == ()


limits = st.none() | st.integers(1, 100)
partitions = st.builds(
    Partition, name=st.just("p"), runtime=limits, mem_mb=limits, cpus=limits, gpus=st.integers(0, 4)
)
needs = st.builds(
    Need, st.integers(1, 100), st.integers(1, 100), st.integers(1, 100), st.integers(0, 4)
)


@given(st.lists(partitions, max_size=5), needs)
def test_the_first_partition_that_holds_a_job_is_taken(held: list[Partition], need: Need) -> None:
    def holds(p: Partition) -> bool:
        return (
            (p.cpus is None or need.cpus <= p.cpus)
            and (p.mem_mb is None or need.mem_mb <= p.mem_mb)
            and (p.runtime is None or need.runtime <= p.runtime)
            and need.gpus <= p.gpus
        )

    chosen = choose_partition(held, need)
    fitting = [p for p in held if holds(p)]
    if fitting:
        assert chosen is fitting[0]
        assert find_excess(chosen, need) == []
    elif held:
        assert chosen in held
        assert find_excess(chosen, need)
    else:
        assert chosen is None


def test_a_job_too_large_for_all_goes_where_the_longest_may_run() -> None:
    short, long = Partition(name="a", runtime=60, mem_mb=900), Partition(name="b", runtime=90)
    assert choose_partition([short, long], Need(1, 10, 100)) is long


def test_what_cannot_be_cut_decides_before_room_does() -> None:
    long = Partition(name="long", runtime=10080, mem_mb=64000, gpus=1, nodes=1)
    big = Partition(name="big", runtime=1440, mem_mb=500000, gpus=4, nodes=4)
    # A retry asks for more time than big has; with one GPU of four it would never start on long.
    assert choose_partition([long, big], Need(4, 32000, 2880, 4)) is big
    assert choose_partition([long, big], Need(4, 32000, 2880, 1, nodes=4)) is big
    assert choose_partition([long, big], Need(4, 32000, 20000, 1)) is long
