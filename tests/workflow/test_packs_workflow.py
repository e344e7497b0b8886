"""A study whose images lie in packs: the same results as with a file each, from a few files."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner
from pipeline import TINY, digest_tree, run, run_all, write_config

from medvision.cli.main import main
from medvision.io.tables import read_table
from medvision.runtime.packs import INDEX, is_pack

# What tells the settings, or has digests of files that do.
_PACKED = ("ingest/images/", "cohort/masks/")
_TOLD = ("record.json", "audit/", "report/", "study-record")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study, all the way through, with packs."""
    values = {**TINY, "ingest": {**TINY["ingest"], "images": "packs"}}
    return run_all(write_config(tmp_path_factory.mktemp("packed"), values))


def read_record(results: Path, step: str) -> Mapping[str, Mapping[str, str]]:
    return cast(
        Mapping[str, Mapping[str, str]], json.loads((results / step / "record.json").read_text())
    )


@pytest.mark.slow
def test_packs_leave_two_files_in_place_of_two_an_image(packed: Path, tiny_study: Path) -> None:
    names = sorted(path.name for path in (packed / "ingest/images").iterdir())
    assert names == ["pack-1-of-1.zip", INDEX]
    assert is_pack(names[0])
    assert len(list((tiny_study / "ingest/images").iterdir())) > 20
    assert sorted(path.name for path in (packed / "cohort/masks").iterdir()) == names
    assert len(list((tiny_study / "cohort/masks").iterdir())) > 3


@pytest.mark.slow
def test_no_stage_names_a_file_after_each_image(packed: Path) -> None:
    rows = read_table(packed / "ingest/manifest.tsv")
    explained = {row["image_id"] for row in read_table(packed / "explain/selection.tsv")}
    paths = [str(path.relative_to(packed)) for path in packed.rglob("*")]
    ids = [row["image_id"] for row in rows]
    named = {(path.partition("/")[0], one) for path in paths for one in ids if one in path}
    assert {stage for stage, _ in named} <= {"explain", "report", "audit"}
    assert {image for _, image in named} <= explained
    assert len(explained) < len(rows) / 4


def count_files(results: Path) -> dict[str, int]:
    """The files of each stage."""
    paths = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
    return dict(Counter(path.parts[0] for path in paths))


def divide(folder: Path, n_subjects: int) -> tuple[dict[str, int], dict[str, int], int]:
    """Run a study to its arrays in three shards, as the rules do.

    Returns:
        (files while each stage is divided, files at the end, images).
    """
    values = {
        **TINY,
        "phantom": {**TINY["phantom"], "subjects": n_subjects},
        "ingest": {**TINY["ingest"], "shards": 3},
        "preprocess": {**TINY["preprocess"], "shards": 3, "keep_after": "Spacing", "workers": 1},
    }
    config = ["--config", str(write_config(folder, values))]
    results = folder / "results"
    meanwhile: dict[str, int] = {}
    run(["phantom", *config])
    run(["ingest", "--index-only", *config])
    for stage in ("ingest", "measure", "cohort", "preprocess"):
        for number in (1, 2, 3) if stage != "cohort" else ():
            run([stage, "--shard", f"{number}/3", *config])
        meanwhile[stage] = count_files(results).get(stage, 0)
        run([stage, *config])
    return meanwhile, count_files(results), len(read_table(results / "ingest/manifest.tsv"))


@pytest.mark.slow
def test_three_shards_leave_a_few_files_a_stage_whatever_the_number_of_images(
    tmp_path: Path,
) -> None:
    found = [divide(tmp_path / str(n), n) for n in (12, 36)]
    (few_meanwhile, few, n_few), (many_meanwhile, many, n_many) = found
    assert n_many > n_few + 20
    for results in (tmp_path / "12/results", tmp_path / "36/results"):
        assert len(list((results / "ingest/images").iterdir())) == 3 + 1
        assert len(list((results / "cohort/masks").iterdir())) == 1 + 1
        assert len(list((results / "preprocess/kept").iterdir())) == 3
    # The archive is as the hospital's: a file a slice.
    assert few.pop("phantom") < many.pop("phantom")
    assert many == few
    assert many_meanwhile == few_meanwhile
    for stage, count in many.items():
        assert count <= 6 * 3, stage


@pytest.mark.slow
def test_every_result_is_the_same_to_the_bit(packed: Path, tiny_study: Path) -> None:
    found, expected = (
        {
            path: digest
            for path, digest in digest_tree(root).items()
            if not any(word in path for word in _TOLD)
        }
        for root in (packed, tiny_study)
    )
    assert found == expected
    for start in (*_PACKED, "preprocess/arrays"):
        assert any(path.startswith(start) for path in found), start
    assert {"predict/predictions.tsv", "cohort/cohort.tsv", "evaluate/metrics.json"} <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["ingest", "measure", "cohort", "preprocess", "explain"])
def test_records_name_images_as_if_each_were_a_file(
    packed: Path, tiny_study: Path, step: str
) -> None:
    own, other = (read_record(root, step) for root in (packed, tiny_study))
    for side in ("reads", "writes"):
        assert own[side].keys() == other[side].keys()
        images = [path for path in own[side] if path.startswith(_PACKED)]
        assert {path: own[side][path] for path in images} == {p: other[side][p] for p in images}
    named = {**own["reads"], **own["writes"]}
    assert any(path.startswith("ingest/images/") for path in named)
    is_masked = any(path.startswith("cohort/masks/") for path in named)
    assert is_masked == (step in ("cohort", "explain"))


@pytest.mark.slow
@pytest.mark.parametrize("level", [1, 3, 5])
def test_an_audit_of_packs_passes_at_every_level(packed: Path, tmp_path: Path, level: int) -> None:
    told = tmp_path / "told.json"
    words = ["audit", "verify", str(packed / "audit/bundle"), "--study", str(packed)]
    options = ["--level", str(level), "--sample", "2", "--json", str(told)]
    done = CliRunner().invoke(main, [*words, *options])
    assert done.exit_code == 0, done.output
    checks = json.loads(told.read_text())["checks"]
    asked = {check["name"]: check["status"] for check in checks if check["level"] <= level}
    assert "FAIL" not in asked.values()
    assert asked["study"] == "PASS"
    assert level < 3 or asked["arrays"] == asked["maps"] == "PASS"


@pytest.mark.slow
def test_a_voxel_of_a_packed_image_is_traced(packed: Path, tiny_study: Path) -> None:
    image = next(
        path.name.partition(".")[0]
        for path in sorted((tiny_study / "ingest/images").glob("*.json"))
        if "SOPInstanceUIDs" in path.read_text()
    )
    config = {root: str(root.parent / "config.yaml") for root in (packed, tiny_study)}
    told = [
        CliRunner().invoke(main, ["trace", image, "3", "4", "5", "--config", config[root]])
        for root in (packed, tiny_study)
    ]
    assert [done.exit_code for done in told] == [0, 0]
    assert told[0].output == told[1].output
