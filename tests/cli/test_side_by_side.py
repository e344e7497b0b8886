"""Claims on `medvision report side-by-side`, on copies of a whole tiny run."""

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import find_chromium, open_browser
from click.testing import CliRunner, Result

from medvision.cli.main import main
from medvision.io.tables import read_table, write_table
from medvision.runtime.files import hash_file

CHROMIUM = find_chromium()


@pytest.fixture
def pair(tiny_study: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the tiny study."""
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        shutil.copytree(tiny_study, folder)
    return folders


def compare(a: Path, b: Path, output: Path) -> Result:
    return CliRunner().invoke(
        main, ["report", "side-by-side", str(a), str(b), "--output", str(output)]
    )


def test_the_old_name_does_the_same_and_names_the_new_one(tmp_path: Path) -> None:
    words = [str(tmp_path / "a"), str(tmp_path / "b")]
    old, new = (
        CliRunner().invoke(main, ["report", name, *words]) for name in ("compare", "side-by-side")
    )
    assert old.exit_code == new.exit_code != 0
    assert "is called `medvision report side-by-side` now" in old.output
    assert old.output.endswith(new.output)
    assert (
        "compare" not in CliRunner().invoke(main, ["report", "-h"]).output.partition("Commands")[2]
    )


def rewrite(folder: Path, step: str, name: str, change) -> None:
    """Change a table of a study as if its step had written it so."""
    path = folder / step / f"{name}.tsv"
    rows = [row for row in map(change, read_table(path)) if row is not None]
    write_table(path, rows, columns=tuple(rows[0]))
    record = folder / step / "record.json"
    held = json.loads(record.read_text())
    held["writes"][f"{step}/{name}.tsv"] = hash_file(path)
    record.write_text(json.dumps(held))


def flip(row):
    """Make a test prediction worse: its two classes change places."""
    if row["split"] != "test" or row["arm"] != "transfer":
        return row
    names = sorted(name for name in row if name.startswith(("logit_", "probability_")))
    a, b, c, d = names
    return {**row, a: row[b], b: row[a], c: row[d], d: row[c]}


def test_two_studies_are_compared_on_the_shared_test_subjects(pair, tmp_path: Path) -> None:
    a, b = pair
    gone = sorted({row["image_id"] for row in read_table(a / "predict" / "predictions.tsv")})[0]
    rewrite(b, "predict", "predictions", lambda row: None if row["image_id"] == gone else flip(row))
    for record in b.rglob("record.json"):
        held = json.loads(record.read_text())
        if "train" in held["parameters"]:
            held["parameters"]["train"]["epochs"] = 99
            record.write_text(json.dumps(held))
    result = compare(a, b, tmp_path / "out")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert facts["overlap"]["n_images_a"] == facts["overlap"]["n_images"] + 1
    assert facts["sentences"][0] in result.output
    (auc,) = [
        row
        for row in facts["figures"]
        if (row["metric"], row["arm"]) == ("auc", "Transfer learning")
    ]
    assert auc["b"] == pytest.approx(1 - auc["a"])
    assert auc["difference"] == pytest.approx(auc["a"] - auc["b"])
    assert {row["name"]: row["b"] for row in facts["settings"]}["train.epochs"] == "99"
    counts = {row["words"]: (row["a"], row["b"], row["shared"]) for row in facts["cohort"]}
    assert len(set(counts["Images"])) == 1
    assert counts["Test images"][0] == counts["Test images"][1] + 1
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "train.epochs" in page
    assert str(tmp_path) not in page + json.dumps(facts)


def test_equal_studies_differ_in_nothing(pair, tmp_path: Path) -> None:
    result = compare(*pair, tmp_path / "out")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert facts["settings"] == facts["software"] == []
    assert {row["difference"] for row in facts["figures"]} <= {0.0, None}
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert re.search(r"All \d+ settings are equal", page)
    first = page.encode()
    compare(*pair, tmp_path / "out")
    assert (tmp_path / "out" / "comparison.html").read_bytes() == first


def test_studies_of_other_test_subjects_are_refused(pair, tmp_path: Path) -> None:
    a, b = pair
    rewrite(
        b, "predict", "predictions", lambda row: {**row, "image_id": "other-" + row["image_id"]}
    )
    result = compare(a, b, tmp_path / "out")
    assert result.exit_code == 3
    assert "test images must be shared, got none of" in result.output
    assert "one key" in result.output
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_study_and_a_changed_file_are_refused(pair, tmp_path: Path) -> None:
    a, b = pair
    assert "study must have run the steps" in compare(a, tmp_path, tmp_path / "out").output
    with (b / "predict" / "predictions.tsv").open("a") as stream:
        stream.write("\n")
    result = compare(a, b, tmp_path / "out")
    assert result.exit_code == 3
    assert "must be as step predict wrote it" in result.output


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desk", "phone"])
def test_the_page_opens_without_error_or_request(
    pair, tmp_path: Path, width: int, dark: bool
) -> None:
    compare(*pair, tmp_path / "out")
    with open_browser(CHROMIUM or "", tmp_path / "profile") as page:
        page.open(tmp_path / "out" / "comparison.html", width=width, dark=dark)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelectorAll('main .tools button').length") >= 2
        faults = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        assert [event for event in page.events if event.get("method") in faults] == []
        urls = [
            event["params"]["request"]["url"]
            for event in page.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        assert all(url.startswith(("file:", "data:")) for url in urls)
