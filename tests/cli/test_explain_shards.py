"""`medvision explain --shard`: the same bytes in however many shares, and nothing stale is used."""

import shutil

import pytest
import torch
from click.testing import CliRunner
from explained_study import configure, digest_outputs, write_study
from pipeline import kill_at_write

from medvision.cli._stale import name_command
from medvision.cli._up_to_date import is_up_to_date
from medvision.cli.main import main
from medvision.config.model import build_study
from medvision.layout import Layout
from medvision.runtime.files import hash_file, read_json

# One whose maps are drawn, and one whose map has cells of its own.
METHODS = ("smoothgrad", "layer_gradcam")
PARTS = [f"explain/shard-{n}-of-2" for n in (1, 2)]


def divide(root, *, shards, **changes):
    """The same study at another place, explained in so many shares."""
    explain = {"methods": METHODS, "noise_draws": 4, "images": 5, "shards": shards, **changes}
    values = configure(root).model_dump(mode="json")
    return build_study(values | {"explain": values["explain"] | explain})


def call(study, *words):
    config = study.output.path.parent / f"{study.output.path.name}.json"
    config.write_text(study.model_dump_json())
    return CliRunner().invoke(main, [*words, "--config", str(config), "--quiet"])


def copy(source, root, *, shards, **changes):
    """A copy of a study's folder, with its configuration for so many shares."""
    shutil.copytree(source, root)
    return divide(root, shards=shards, **changes), Layout(root)


def digest_results(layout):
    """All that is not of a share, and not the record, which names their files."""
    return {
        name: digest
        for name, digest in digest_outputs(layout).items()
        if not name.startswith("shard-") and name != "record.json"
    }


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A study with a plan, and nothing explained."""
    root = tmp_path_factory.mktemp("planned") / "results"
    torch.set_num_threads(1)
    write_study(root)
    done = call(divide(root, shards=1), "plan")
    assert done.exit_code == 0, done.output
    return root


@pytest.fixture(scope="module")
def whole(planned, tmp_path_factory):
    """The results of one job that does everything."""
    study, layout = copy(planned, tmp_path_factory.mktemp("whole") / "results", shards=1)
    assert call(study, "explain").exit_code == 0
    return layout


@pytest.fixture(scope="module")
def halves(planned, tmp_path_factory):
    """The same in two shares, the second one first, and what gathers them."""
    study, layout = copy(planned, tmp_path_factory.mktemp("halves") / "results", shards=2)
    for shard in ("2/2", "1/2"):
        done = call(study, "explain", "--shard", shard)
        assert done.exit_code == 0, done.output
        assert not layout.selection.exists()
    assert call(study, "explain").exit_code == 0
    return layout


def test_two_shares_and_what_gathers_them_give_the_bytes_of_one_job(whole, halves):
    assert digest_results(halves) == digest_results(whole)
    assert not list(whole.step("explain").glob("shard-*"))


@pytest.mark.parametrize("shards", [3, 7])
def test_whoever_gathers_does_what_is_missing_and_the_bytes_are_the_same(
    shards, planned, whole, tmp_path
):
    # Of seven shares two have no image.
    study, layout = copy(planned, tmp_path / "results", shards=shards)
    done = call(study, "explain")
    assert done.exit_code == 0, done.output
    assert digest_results(layout) == digest_results(whole)
    assert len(list(layout.step("explain").glob("shard-*"))) == shards


def test_every_file_is_in_one_record_and_every_read_was_written(halves):
    records = {name: read_json(halves.record(name)) for name in (*PARTS, "explain")}
    written = [path for record in records.values() for path in record["writes"]]
    on_disk = {f"explain/{name}" for name in digest_outputs(halves)}
    own = {f"{name}/record.json" for name in records}
    assert sorted(written) == sorted(on_disk - own)
    gathered = records["explain"]["reads"]
    for name in PARTS:
        writes = records[name]["writes"]
        assert {path: gathered[path] for path in writes} == writes
        assert {"plan/plan.json", "predict/predictions.tsv"} <= set(records[name]["reads"])
        assert any(path.startswith("train/") for path in records[name]["reads"])
    assert "plan/plan.json" in gathered


def test_records_and_plan_do_not_depend_on_the_number_of_jobs(whole, halves):
    one, two = (read_json(layout.record("explain")) for layout in (whole, halves))
    for name in ("parameters", "seed", "device", "facts", "software"):
        assert one[name] == two[name], name
    assert "shards" not in one["parameters"]["explain"]
    assert (whole.root / "plan/plan.json").read_bytes() == (
        halves.root / "plan/plan.json"
    ).read_bytes()


def lose_record(layout):
    layout.record(PARTS[0]).unlink()


def lose_map(layout):
    next((layout.step(PARTS[0]) / "maps").rglob("*.nii.gz")).unlink()


def cut_file(layout):
    path = layout.step(PARTS[0]) / "cases.npz"
    path.write_bytes(path.read_bytes()[:-100])


def lose_gathered(layout):
    shutil.rmtree(layout.maps)


@pytest.mark.parametrize(
    ("change", "again"),
    [(lose_record, PARTS[:1]), (lose_map, PARTS[:1]), (cut_file, PARTS[:1]), (lose_gathered, [])],
)
def test_a_rerun_does_only_what_is_missing(change, again, halves, tmp_path):
    study, layout = copy(halves.root, tmp_path / "results", shards=2)
    wanted = digest_outputs(layout)
    times = {name: layout.record(name).stat().st_mtime_ns for name in PARTS}
    change(layout)
    assert call(study, "explain").exit_code == 0
    assert [n for n in PARTS if layout.record(n).stat().st_mtime_ns != times[n]] == again
    assert digest_outputs(layout) == wanted


def test_shares_of_another_plan_are_done_again(halves, tmp_path):
    study, layout = copy(halves.root, tmp_path / "results", shards=2, images=3)
    assert call(study, "explain", "--shard", "1/2").exit_code == 12, "the plan is of five images"
    assert call(study, "plan").exit_code == 0
    upstream = ("ingest", "cohort", "preprocess", "predict", "plan", "train/transfer/fold-0")
    assert not any(is_up_to_date(layout, study, n, upstream=upstream) for n in PARTS)
    assert call(study, "explain").exit_code == 0
    assert len(list(layout.maps.iterdir())) == 3
    folders = [layout.step(name) / "maps" for name in PARTS]
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [1, 2]


def test_a_killed_share_leaves_the_other_and_nothing_of_it_is_used(planned, whole, tmp_path):
    study, layout = copy(planned, tmp_path / "results", shards=2)
    assert call(study, "explain", "--shard", "1/2").exit_code == 0
    kept = hash_file(layout.record(PARTS[0]))
    config = tmp_path / "results.json"
    words = ["explain", "--shard", "2/2", "--config", str(config), "--quiet"]
    assert kill_at_write(words, nth=5)
    assert not layout.record(PARTS[1]).exists()
    before = layout.record(PARTS[0]).stat().st_mtime_ns
    assert call(study, "explain").exit_code == 0
    assert (hash_file(layout.record(PARTS[0])), before) == (
        kept,
        layout.record(PARTS[0]).stat().st_mtime_ns,
    )
    assert digest_results(layout) == digest_results(whole)
    assert not list(layout.step("explain").rglob(".part-*"))


def test_shares_of_another_division_go(halves, whole, tmp_path):
    study, layout = copy(halves.root, tmp_path / "results", shards=1)
    assert call(study, "explain").exit_code == 0
    assert digest_outputs(layout) == digest_outputs(whole)


@pytest.mark.parametrize(("shards", "shard"), [(2, "1/3"), (1, "1/1"), (2, "3/2"), (2, "first")])
def test_a_share_that_the_study_has_not_is_refused(shards, shard, planned):
    study = divide(planned, shards=shards)
    done = call(study, "explain", "--shard", shard)
    assert done.exit_code == 2
    assert "--shard: value must be" in done.output


def test_the_missing_step_is_named_before_a_share_is_begun(planned, tmp_path):
    study, layout = copy(planned, tmp_path / "results", shards=2)
    layout.record("plan").unlink()
    done = call(study, "explain")
    assert done.exit_code == 12
    assert "step plan must be complete" in done.output
    assert not layout.step("explain").exists()


def test_a_stale_share_is_named_with_the_command_that_does_it_again():
    assert name_command(PARTS[0]) == "medvision explain --shard 1/2"
